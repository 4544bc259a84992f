// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IRoundManager} from "../src/interfaces/IRoundManager.sol";
import {ISlashingManager} from "../src/interfaces/ISlashingManager.sol";
import {Attempt, Conviction, Offence, Phase, ProposalStatement, SetStatement} from "../src/interfaces/Types.sol";
import {Trees} from "../src/libraries/Trees.sol";
import {ProofFixture} from "./ProofFixture.sol";

/// @notice The five proofs against majorities and minorities, and what they leave alone.
contract ProofsTest is ProofFixture {
    uint256 private constant SIX = 0x3f;
    uint256 private constant COLUMN = 0x92; // seats 1, 4, 7: column 1

    function setUp() public {
        setUpProofs(5, 600);
    }

    function test_a_wrong_aggregate_is_struck_and_its_signers_pay_a_tenth_each() public {
        includeTruth();
        ProposalStatement memory p = statement(Lie.Aggregate, SIX, 0);
        submit(p);
        slashing.proveAggregate(batch(p, 0, 3));
        Attempt memory a = manager.attemptOf(task);
        assertEq(uint256(a.phase), uint256(Phase.Included));
        assertEq(a.slashed, SIX);
        assertEq(a.strikes, 1);
        Conviction memory c = conviction(Offence.WrongAggregate, SIX);
        slashing.punish(c);
        for (uint256 i = 0; i < 6; ++i) {
            assertEq(registry.stakeOf(c.validators[i]), 45 ether);
        }
        assertEq(registry.creditOf(address(this)), 3 ether);
        assertEq(registry.creditOf(TREASURY), 27 ether);
        vm.expectPartialRevert(ISlashingManager.SlashingManagerAlreadyPunished.selector);
        slashing.punish(c);
    }

    function test_after_a_strike_the_next_turn_of_views_settles_the_truth_with_the_unslashed() public {
        includeTruth();
        ProposalStatement memory lie = statement(Lie.Step, SIX, 0);
        submit(lie);
        slashing.proveStep(stepProof(lie));
        ProposalStatement memory truth = statement(Lie.None, 0x1C0, 4);
        IRoundManager.ProposalArgs memory early = argsOf(truth);
        vm.expectPartialRevert(IRoundManager.RoundManagerTooEarly.selector);
        manager.propose(early);
        skip(5);
        ProposalStatement memory again = statement(Lie.None, 0x1E0, 4);
        IRoundManager.ProposalArgs memory slashed = argsOf(again);
        vm.expectPartialRevert(IRoundManager.RoundManagerSlashedSeat.selector);
        manager.propose(slashed);
        submit(truth); // three of three
        skip(200);
        settleNow();
        assertEq(manager.attemptOf(task).modelRoot, truth.modelRoot);
    }

    function test_where_all_seats_are_convicted_a_proposal_that_nobody_signed_is_refused() public {
        includeTruth();
        ProposalStatement memory p = statement(Lie.Step, 0x1ff, 0);
        submit(p);
        slashing.proveStep(stepProof(p));
        skip(5);
        IRoundManager.ProposalArgs memory args = argsOf(statement(Lie.None, 0, 4));
        vm.expectPartialRevert(IRoundManager.RoundManagerNoQuorum.selector);
        manager.propose(args);
    }

    function test_an_aggregate_is_proven_in_batches() public {
        includeTruth();
        ProposalStatement memory p = statement(Lie.Aggregate, SIX, 0);
        submit(p);
        slashing.proveAggregate(batch(p, 0, 1));
        slashing.proveAggregate(batch(p, 2, 1));
        ISlashingManager.AggregateBatch memory again = batch(p, 2, 1);
        vm.expectPartialRevert(ISlashingManager.SlashingManagerBatch.selector);
        slashing.proveAggregate(again);
        slashing.proveAggregate(batch(p, 4, 1));
        assertEq(manager.attemptOf(task).strikes, 1);
    }

    function test_the_truth_cannot_be_disproved() public {
        includeTruth();
        ProposalStatement memory p = statement(Lie.None, SIX, 0);
        submit(p);
        ISlashingManager.AggregateBatch memory b = batch(p, 0, 3);
        vm.expectPartialRevert(ISlashingManager.SlashingManagerSound.selector);
        slashing.proveAggregate(b);
        ISlashingManager.StepProof memory s = stepProof(p);
        vm.expectPartialRevert(ISlashingManager.SlashingManagerSound.selector);
        slashing.proveStep(s);
        assertEq(manager.attemptOf(task).slashed, 0);
    }

    function test_a_minority_that_signed_a_wrong_step_pays_and_the_accepted_proposal_stands() public {
        includeTruth();
        ProposalStatement memory lie = statement(Lie.Step, 4, 1);
        submit(statement(Lie.None, SIX, 0));
        ISlashingManager.StepProof memory proof = stepProof(lie);
        slashing.proveStep(proof);
        Attempt memory a = manager.attemptOf(task);
        assertEq(a.slashed, 4);
        assertEq(uint256(a.phase), uint256(Phase.Proposed));
        vm.expectPartialRevert(ISlashingManager.SlashingManagerNothingNew.selector);
        slashing.proveStep(proof);
    }

    function test_a_wrong_mask_sum_is_disproved_under_a_final_lock_and_burns_the_fuse() public {
        includeTruth();
        ProposalStatement memory p = statement(Lie.Mask, 0x1ff & ~uint256(0x80), 0);
        submit(p);
        uint256 before = manager.attemptOf(task).proposedAt;
        _challenge(p, 7);
        assertEq(uint256(phase()), uint256(Phase.Disputed));
        ISlashingManager.SeedOpening memory o = seedOpening(p, 1);
        vm.expectPartialRevert(ISlashingManager.SlashingManagerTooEarly.selector);
        slashing.openSeeds(o);
        skip(5);
        slashing.openSeeds(o);
        Attempt memory a = manager.attemptOf(task);
        assertEq(a.slashed, 0x12);
        assertEq(uint256(a.phase), uint256(Phase.Included));
        assertTrue(a.proposedAt > before, "the strike's time");
        (bool opened, uint256 column) = slashing.openedColumn(a.ctx);
        assertTrue(opened && column == 1, "the fuse");
        assertEq(address(slashing).balance, 0);
    }

    function test_a_failed_challenge_costs_the_challenger_and_the_window_goes_on_where_it_stood() public {
        includeTruth();
        ProposalStatement memory p = statement(Lie.None, SIX, 0);
        submit(p);
        skip(50);
        bytes32 own = plantMask(1, true);
        _challengeWith(p, 7, own);
        skip(5);
        ISlashingManager.SeedOpening memory o = seedOpening(p, 1);
        o.own = openings[own];
        slashing.openSeeds(o);
        Attempt memory a = manager.attemptOf(task);
        assertEq(a.slashed, 0x80);
        assertEq(uint256(a.phase), uint256(Phase.Proposed));
        assertEq(a.proposedAt + 50, block.timestamp);
        (bool opened,) = slashing.openedColumn(a.ctx);
        assertTrue(!opened, "a failed challenge burns nothing");
        skip(150);
        settleNow();
    }

    function test_a_lapsed_challenge_frees_the_lock_and_leaves_its_bond() public {
        includeTruth();
        ProposalStatement memory p = statement(Lie.None, SIX, 0);
        submit(p);
        _challengeWith(p, 7, plantMask(1, true));
        bytes32 ctx = manager.attemptOf(task).ctx;
        skip(19);
        vm.expectPartialRevert(ISlashingManager.SlashingManagerTooEarly.selector);
        slashing.closeChallenge(task, ctx);
        vm.expectPartialRevert(IRoundManager.RoundManagerWrongPhase.selector);
        manager.settle(task);
        skip(1);
        uint256 pool = manager.purseOf(task).gasPool;
        slashing.closeChallenge(task, ctx);
        assertEq(manager.purseOf(task).gasPool, pool + CHALLENGE_BOND);
        assertEq(uint256(phase()), uint256(Phase.Proposed));
        // Once for each seat.
        _expectChallengeRefused(p, 7, plantMask(1, true), ISlashingManager.SlashingManagerAlreadyTried.selector);
        skip(200);
        settleNow();
    }

    function test_after_the_fuse_another_column_spends_the_attempt_without_slashing() public {
        includeTruth();
        ProposalStatement memory p = statement(Lie.Mask, 0x1ff & ~uint256(0x80), 0);
        submit(p);
        _challenge(p, 7);
        skip(5);
        slashing.openSeeds(seedOpening(p, 1));
        skip(5);
        ProposalStatement memory next = statement(Lie.None, 0x1ff & ~uint256(0x12), 4);
        submit(next);
        uint256 slashedBefore = manager.attemptOf(task).slashed;
        bytes32 own = plantMask(0, true);
        _challengeWith(next, 0, own);
        assertTrue(manager.attemptOf(task).spent, "spent");
        assertEq(manager.attemptOf(task).slashed, slashedBefore);
    }

    function test_only_a_seat_of_the_column_with_another_root_may_challenge() public {
        includeTruth();
        ProposalStatement memory p = statement(Lie.Mask, SIX, 0);
        submit(p);
        _expectChallengeRefused(p, 7, p.maskRoots[1], ISlashingManager.SlashingManagerSameRoot.selector);
        bytes32 own = plantMask(1, false);
        bytes memory stolen = maskRootSignature(7, own);
        vm.expectPartialRevert(ISlashingManager.SlashingManagerNotSigner.selector);
        slashing.openChallenge{value: CHALLENGE_BOND}(p, 7, own, stolen);
    }

    function test_two_statements_of_one_slot_convict_once_and_for_ever() public {
        includeTruth();
        ISlashingManager.Equivocation memory e = _equivocation(2);
        slashing.proveEquivocation(e);
        vm.expectPartialRevert(ISlashingManager.SlashingManagerAlreadyConvicted.selector);
        slashing.proveEquivocation(e);
        assertEq(manager.attemptOf(task).slashed, 1 << 2);
        ProposalStatement memory p = statement(Lie.None, 0x1ff & ~uint256(4), 0);
        submit(p);
        skip(200);
        settleNow();
        slashing.punish(_equivocator(e, committeeAtDraw(1, 2)));
    }

    function test_evidence_of_another_contract_chain_or_attempt_recovers_nobody() public {
        includeTruth();
        ISlashingManager.Equivocation memory e = _equivocation(2);
        e.context.attempt += 1;
        vm.expectPartialRevert(ISlashingManager.SlashingManagerOtherSlot.selector);
        slashing.proveEquivocation(e);
        e.context.attempt -= 1;
        vm.chainId(5);
        vm.expectPartialRevert(ISlashingManager.SlashingManagerOtherSlot.selector);
        slashing.proveEquivocation(e);
    }

    function test_one_content_signed_twice_is_no_offence() public {
        includeTruth();
        ISlashingManager.Equivocation memory e = _equivocation(2);
        e.second = e.first;
        vm.expectPartialRevert(ISlashingManager.SlashingManagerSameStatement.selector);
        slashing.proveEquivocation(e);
    }

    function test_a_bad_record_aborts_early_and_spends_and_pauses_late() public {
        _includeBad();
        vm.warp(block.timestamp - 30);
        slashing.proveBadInclusion(_badRecord());
        assertEq(manager.attemptOf(task).attempt, 1);
        assertTrue(!manager.attemptOf(task).spent, "nothing was known");
    }

    function test_a_bad_record_spends_and_pauses_late() public {
        _includeBad();
        slashing.proveBadInclusion(_badRecord());
        assertEq(uint256(phase()), uint256(Phase.Paused));
        assertTrue(manager.attemptOf(task).spent, "the sum counts as known");
        assertEq(manager.attemptOf(task).slashed, 0x1ff);
    }

    function test_a_sound_record_is_no_offence() public {
        includeTruth();
        ISlashingManager.BadRecord memory r = _badRecord();
        vm.expectPartialRevert(ISlashingManager.SlashingManagerSoundRecord.selector);
        slashing.proveBadInclusion(r);
    }

    function test_a_wrong_weight_is_disproved_by_the_whole_roster() public {
        excess = 1;
        includeTruth();
        vm.warp(block.timestamp - 30);
        slashing.proveWeight(task, setStatement(), rosterBytes());
        Attempt memory a = manager.attemptOf(task);
        assertTrue(a.attempt == 1 && !a.spent, "aborted before any sum was known");
    }

    function test_a_wrong_weight_spends_and_pauses_late_and_convicts_its_signers() public {
        excess = 1;
        includeTruth();
        slashing.proveWeight(task, setStatement(), rosterBytes());
        Attempt memory a = manager.attemptOf(task);
        assertTrue(a.phase == Phase.Paused && a.spent && a.slashed == 0x1ff, "all nine signed it");
        slashing.punish(conviction(Offence.BadInclusion, 0x1ff));
    }

    function test_the_true_weight_another_roster_and_other_words_disprove_nothing() public {
        includeTruth();
        SetStatement memory s = setStatement();
        bytes memory roster = rosterBytes();
        vm.expectPartialRevert(ISlashingManager.SlashingManagerSound.selector);
        slashing.proveWeight(task, s, roster);
        roster[95] = 0x02;
        vm.expectPartialRevert(Trees.TreesWrongRoot.selector);
        slashing.proveWeight(task, s, roster);
        vm.expectPartialRevert(ISlashingManager.SlashingManagerLength.selector);
        slashing.proveWeight(task, s, slice(roster, 0, 512));
        ++s.weight;
        vm.expectPartialRevert(ISlashingManager.SlashingManagerWrongSet.selector);
        slashing.proveWeight(task, s, roster);
    }

    function _includeBad() private {
        trainerKeys[2] = trainerKeys[1];
        words = 700; // headers of other words than the task's
        includeTruth();
        words = 600;
    }

    function _badRecord() private view returns (ISlashingManager.BadRecord memory r) {
        (r.task, r.count, r.position) = (task, 5, 2);
        r.opening = bytes.concat(records[2], pathAbove(2, 0));
    }

    function _challenge(ProposalStatement memory p, uint256 seat) private {
        _challengeWith(p, seat, plantMask(seat % 3, false));
    }

    function _challengeWith(ProposalStatement memory p, uint256 seat, bytes32 own) private {
        bytes memory signature_ = maskRootSignature(seat, own);
        address signer = signerAt(committeeOf(task)[seat]);
        vm.deal(signer, 1 ether);
        vm.prank(signer);
        slashing.openChallenge{value: CHALLENGE_BOND}(p, seat, own, signature_);
    }

    function _expectChallengeRefused(ProposalStatement memory p, uint256 seat, bytes32 own, bytes4 selector) private {
        bytes memory signature_ = maskRootSignature(seat, own);
        address signer = signerAt(committeeOf(task)[seat]);
        vm.deal(signer, 1 ether);
        vm.prank(signer);
        vm.expectPartialRevert(selector);
        slashing.openChallenge{value: CHALLENGE_BOND}(p, seat, own, signature_);
    }

    function committeeAtDraw(uint256 draw, uint256 seat) private view returns (uint256) {
        return (manager.committeeAt(task, draw)[0] >> (16 * seat)) & 0xffff;
    }

    receive() external payable {}
}
