// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ISlashingManager} from "../src/interfaces/ISlashingManager.sol";
import {Conviction, Offence, ProposalStatement} from "../src/interfaces/Types.sol";
import {Signatures} from "../src/libraries/Signatures.sol";
import {Trees} from "../src/libraries/Trees.sol";
import {ProofFixture} from "./ProofFixture.sol";

/// @notice Bytes that are not those of the attempt prove nothing, and a verdict falls once.
contract RefusalsTest is ProofFixture {
    uint256 private constant SIX = 0x3f;
    uint256 private constant ALL_BUT_7 = 0x17f;

    function setUp() public {
        setUpProofs(5, 600);
        includeTruth();
    }

    function test_a_step_is_judged_by_the_weight_of_the_set() public {
        ProposalStatement memory p = statement(Lie.None, SIX, 0);
        submit(p);
        ISlashingManager.StepProof memory s = stepProof(p);
        s.set.weight = 1;
        vm.expectRevert(ISlashingManager.SlashingManagerWrongSet.selector);
        slashing.proveStep(s);
    }

    function test_a_step_is_judged_by_words_under_the_roots() public {
        ProposalStatement memory p = statement(Lie.None, SIX, 0);
        submit(p);
        ISlashingManager.StepProof memory s = stepProof(p);
        s.model[0] ^= 0x01;
        vm.expectPartialRevert(Trees.TreesWrongRoot.selector);
        slashing.proveStep(s);
    }

    function test_an_aggregate_is_judged_by_the_headers_and_vectors_of_the_set() public {
        ProposalStatement memory p = statement(Lie.None, SIX, 0);
        submit(p);
        ISlashingManager.AggregateBatch memory b = batch(p, 0, 3);
        b.openings[10] ^= 0x01;
        vm.expectPartialRevert(Trees.TreesWrongRoot.selector);
        slashing.proveAggregate(b);
        b = batch(p, 0, 3);
        bytes32 other = plant(Trees.MASKED_VECTOR, 2 * words, leafWith(7, 2, "other"), "other");
        for (uint256 i = 0; i < 32; ++i) {
            b.headers[20 + i] = other[i];
        }
        bytes memory opening = openings[other];
        for (uint256 i = 0; i < opening.length; ++i) {
            b.openings[i] = opening[i];
        }
        vm.expectPartialRevert(Trees.TreesWrongRoot.selector);
        slashing.proveAggregate(b);
    }

    function test_nobody_goes_on_with_anothers_sum() public {
        ProposalStatement memory p = statement(Lie.Aggregate, SIX, 0);
        submit(p);
        slashing.proveAggregate(batch(p, 0, 1));
        ISlashingManager.AggregateBatch memory b = batch(p, 2, 1);
        vm.prank(RELAYER);
        vm.expectPartialRevert(ISlashingManager.SlashingManagerBatch.selector);
        slashing.proveAggregate(b);
    }

    function test_only_seeds_of_the_headers_open_a_column() public {
        ProposalStatement memory p = statement(Lie.None, SIX, 0);
        submit(p);
        _challenge(p, plantMask(1, true));
        skip(5);
        ISlashingManager.SeedOpening memory o = seedOpening(p, 1);
        o.contributions[180] ^= 0x01; // the last byte of the first seed
        vm.expectPartialRevert(ISlashingManager.SlashingManagerWrongSeeds.selector);
        slashing.openSeeds(o);
        o = seedOpening(p, 0); // no lock is about this column
        vm.expectRevert(ISlashingManager.SlashingManagerNotLocked.selector);
        slashing.openSeeds(o);
    }

    function test_a_group_at_which_both_roots_are_true_convicts_nobody() public {
        ProposalStatement memory p = statement(Lie.None, SIX, 0);
        submit(p);
        // Another root over the same words: it differs only where nobody looks.
        bytes memory leaf = slice(openings[p.maskRoots[1]], 0, 176);
        bytes32 own = plant(Trees.MASK_SUM, 2 * words, leaf, "elsewhere");
        _challenge(p, own);
        skip(5);
        ISlashingManager.SeedOpening memory o = seedOpening(p, 1);
        o.own = openings[own];
        vm.expectRevert(ISlashingManager.SlashingManagerSameLeaves.selector);
        slashing.openSeeds(o);
    }

    function test_seeds_are_too_late_after_the_lock() public {
        ProposalStatement memory p = statement(Lie.Mask, ALL_BUT_7, 0);
        submit(p);
        _challenge(p, plantMask(1, false));
        ISlashingManager.SeedOpening memory o = seedOpening(p, 1);
        skip(20);
        vm.expectPartialRevert(ISlashingManager.SlashingManagerTooLate.selector);
        slashing.openSeeds(o);
    }

    function test_a_struck_proposal_is_struck_once() public {
        ProposalStatement memory p = statement(Lie.Step, SIX, 0);
        bytes memory signatures = p.signatures;
        submit(p);
        slashing.proveStep(stepProof(p));
        ISlashingManager.StepProof memory again = stepProof(p);
        vm.expectPartialRevert(Signatures.SignaturesLength.selector);
        slashing.proveStep(again);
        again.proposal.signatures = signatures;
        vm.expectPartialRevert(ISlashingManager.SlashingManagerNothingNew.selector);
        slashing.proveStep(again);
        assertEq(manager.attemptOf(task).strikes, 1);
    }

    function test_statements_that_nobody_signed_convict_nobody() public {
        submit(statement(Lie.None, SIX, 0));
        ISlashingManager.StepProof memory s = stepProof(statement(Lie.Step, 4, 1));
        s.proposal.seats = 8;
        vm.expectPartialRevert(Signatures.SignaturesWrongSigner.selector);
        slashing.proveStep(s);
        s.proposal.seats = 1 << 9;
        vm.expectPartialRevert(ISlashingManager.SlashingManagerUnknownSeat.selector);
        slashing.proveStep(s);
    }

    function test_what_nobody_was_convicted_of_is_not_punished() public {
        uint256[] memory ids = new uint256[](1);
        ids[0] = committeeOf(task)[0];
        bytes32 ctx = manager.attemptOf(task).ctx;
        uint256 before = registry.assetsOf(ids[0]);
        vm.expectPartialRevert(ISlashingManager.SlashingManagerNotConvicted.selector);
        slashing.punish(Conviction(task, 0, 0, Offence.WrongStep, ctx, ids));
        assertEq(registry.assetsOf(ids[0]), before);
    }

    function test_two_statements_of_two_signers_convict_nobody() public {
        ISlashingManager.Equivocation memory e = _equivocation(2);
        e.secondSignature = _equivocation(5).secondSignature;
        vm.expectRevert(ISlashingManager.SlashingManagerNoSigner.selector);
        slashing.proveEquivocation(e);
    }

    function test_statements_of_two_slots_convict_nobody() public {
        ISlashingManager.Equivocation memory e = _equivocation(2);
        e.second[63] ^= 0x01; // another column
        vm.expectRevert(ISlashingManager.SlashingManagerOtherSlot.selector);
        slashing.proveEquivocation(e);
    }

    function test_a_round_that_is_spent_after_its_proposal_frees_the_weights_that_the_next_one_froze() public {
        ProposalStatement memory p = statement(Lie.Mask, ALL_BUT_7, 0);
        submit(p);
        assertEq(registry.freezes(), 1); // asked ahead
        revealAll(manager.attemptOf(task).nextRequest);
        _challenge(p, plantMask(1, false));
        skip(5);
        slashing.openSeeds(seedOpening(p, 1));
        skip(5 + 5 * 10);
        manager.poke(task);
        assertTrue(manager.attemptOf(task).spent, "the sum counts as known");
        assertEq(registry.freezes(), 1); // for its own redraw
        revealAll(manager.attemptOf(task).request);
        manager.draw(task);
        assertEq(registry.freezes(), 0);
    }

    /// @dev Seat 7 of column 1 has another root.
    function _challenge(ProposalStatement memory p, bytes32 own) private {
        bytes memory signature_ = maskRootSignature(7, own);
        address signer = signerAt(committeeOf(task)[7]);
        vm.deal(signer, 1 ether);
        vm.prank(signer);
        slashing.openChallenge{value: CHALLENGE_BOND}(p, 7, own, signature_);
    }

    receive() external payable {}
}
