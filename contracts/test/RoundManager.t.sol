// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {CommitRevealBeacon} from "../src/CommitRevealBeacon.sol";
import {IRoundManager} from "../src/interfaces/IRoundManager.sol";
import {ITaskRegistry} from "../src/interfaces/ITaskRegistry.sol";
import {Attempt, Phase, TaskSpecification} from "../src/interfaces/Types.sol";
import {Signatures} from "../src/libraries/Signatures.sol";
import {RoundManager} from "../src/RoundManager.sol";
import {StakeRegistry} from "../src/StakeRegistry.sol";
import {Fixture} from "./Fixture.sol";

/// @notice Phases, windows and refusals of a round with 3 x 3 seats, 12 validators and 12 trainers.
contract RoundManagerTest is Fixture {
    uint256 private constant SET = 0xFFF;
    uint256 private constant PART = 0x7FF;

    function setUp() public {
        deploy();
        addValidators(12);
        joinBeacon(12);
        task = createTask(specification(12, 3, 1));
    }

    function test_registry_and_beacon_name_this_manager() public {
        StakeRegistry other = new StakeRegistry(token, REGISTRAR, address(this), STAKE_MIN, STAKE_CAP, UNBONDING);
        vm.expectPartialRevert(IRoundManager.RoundManagerWrongPeer.selector);
        new RoundManager(token, other, beacon, tasks, 1);
    }

    // Opening and drawing.

    function test_an_unfunded_or_unknown_task_does_not_open() public {
        vm.expectPartialRevert(ITaskRegistry.TaskRegistryUnknownTask.selector);
        manager.openRound(2);
        uint256 poor = tasks.createTask(specification(12, 3, 1));
        vm.expectPartialRevert(IRoundManager.RoundManagerUnfunded.selector);
        manager.openRound(poor);
    }

    function test_too_few_organisations_do_not_open() public {
        task = createTask(specification(12, 5, 1));
        vm.expectRevert(abi.encodeWithSelector(IRoundManager.RoundManagerTooFewOrganisations.selector, 12, 15));
        manager.openRound(task);
    }

    function test_a_task_opens_once() public {
        manager.openRound(task);
        _wrongPhase(Phase.Drawing);
        manager.openRound(task);
    }

    function test_weights_are_frozen_from_the_request_to_the_draw() public {
        manager.openRound(task);
        assertEq(registry.freezes(), 1);
        vm.expectPartialRevert(IRoundManager.RoundManagerBeaconNotReady.selector);
        manager.draw(task);
        drawNow();
        assertEq(registry.freezes(), 0);
        assertEq(uint256(phase()), uint256(Phase.Collecting));
    }

    function test_the_committee_is_the_registrys_draw() public {
        manager.openRound(task);
        revealAll(1);
        (,, bytes32 seed) = beacon.seed(1);
        uint256[] memory ids = registry.draw(seed, 9, new uint256[](0));
        manager.draw(task);
        assertEq(keccak256(abi.encode(manager.committeeOf(task))), keccak256(abi.encode(ids)));
    }

    function test_a_failed_request_is_asked_again_without_the_silent() public {
        manager.openRound(task);
        for (uint256 i = 0; i < 7; ++i) revealAs(1, i);
        vm.expectPartialRevert(IRoundManager.RoundManagerNothingDue.selector);
        manager.poke(task);
        skip(REVEAL);
        manager.poke(task);
        assertEq(manager.attemptOf(task).request, 2);
        assertEq(beacon.memberCount(), 7);
        assertEq(registry.freezes(), 1);
        drawNow();
        assertEq(manager.attemptOf(task).attempt, 0);
    }

    function test_a_beacon_without_members_leaves_the_task_idle_and_the_weights_free() public {
        manager.openRound(task);
        skip(REVEAL);
        manager.poke(task);
        assertEq(uint256(phase()), uint256(Phase.Idle));
        assertEq(registry.freezes(), 0);
        beacon.close(1);
        vm.expectPartialRevert(IRoundManager.RoundManagerBeaconRefused.selector);
        manager.openRound(task);
        joinBeacon(12);
        openAndDraw();
    }

    // Inclusion.

    function test_a_full_set_is_accepted_from_the_draw_on() public {
        openAndDraw();
        includeNow(SET);
        assertEq(uint256(phase()), uint256(Phase.Included));
    }

    function test_any_other_set_waits_for_view_0() public {
        openAndDraw();
        uint256 drawnAt = block.timestamp;
        IRoundManager.InclusionArgs memory args = includeArgs(PART, allSeats(), 0);
        vm.warp(drawnAt + 119);
        vm.expectRevert(abi.encodeWithSelector(IRoundManager.RoundManagerTooEarly.selector, drawnAt + 120));
        manager.include(args);
        vm.warp(drawnAt + 120);
        manager.include(args);
    }

    function test_a_set_of_a_view_is_accepted_during_that_view_only() public {
        openAndDraw();
        uint256 drawnAt = block.timestamp;
        for (uint256 v = 0; v < 4; ++v) {
            IRoundManager.InclusionArgs memory args = includeArgs(PART, allSeats(), v);
            vm.warp(drawnAt + 120 + 10 * v - 1);
            vm.expectPartialRevert(IRoundManager.RoundManagerTooEarly.selector);
            manager.include(args);
            vm.warp(drawnAt + 120 + 10 * v + 10);
            vm.expectPartialRevert(IRoundManager.RoundManagerTooLate.selector);
            manager.include(args);
        }
        _includeRefused(includeArgs(PART, allSeats(), 4), IRoundManager.RoundManagerUnknownView.selector);
    }

    function test_one_set_per_attempt() public {
        openAndDraw();
        IRoundManager.InclusionArgs memory args = includeArgs(SET, allSeats(), 0);
        manager.include(args);
        _wrongPhase(Phase.Included);
        manager.include(args);
    }

    function test_a_set_holds_enough_trainers_of_the_roster_only() public {
        openAndDraw();
        _includeRefused(includeArgs(0x1FFF, allSeats(), 0), IRoundManager.RoundManagerRoster.selector);
        _includeRefused(includeArgs(1, allSeats(), 0), IRoundManager.RoundManagerTooFewTrainers.selector);
    }

    function test_a_weight_that_no_set_has_is_refused() public {
        openAndDraw();
        IRoundManager.InclusionArgs memory args = includeArgs(SET, allSeats(), 0);
        args.weight = 11;
        _includeRefused(args, IRoundManager.RoundManagerWeight.selector);
        args.weight = 12 * 16 + 1;
        _includeRefused(args, IRoundManager.RoundManagerWeight.selector);
    }

    function test_a_set_needs_a_majority_of_every_column() public {
        openAndDraw();
        // Seat p sits in column p mod 3: without seats 1 and 4 column 1 has one.
        _includeRefused(includeArgs(SET, 511 - 2 - 16, 0), IRoundManager.RoundManagerNoMajority.selector);
        _includeRefused(includeArgs(SET, 1023, 0), IRoundManager.RoundManagerUnknownSeat.selector);
        manager.include(includeArgs(SET, 63, 0));
    }

    function test_signatures_are_the_seats_own_over_these_words() public {
        openAndDraw();
        IRoundManager.InclusionArgs memory args = includeArgs(SET, 63, 0);
        args.seats = 0x1F8;
        _includeRefused(args, Signatures.SignaturesWrongSigner.selector);
        args = includeArgs(SET, 63, 0);
        args.inclusionRoot = "another";
        _includeRefused(args, Signatures.SignaturesWrongSigner.selector);
        args = includeArgs(SET, 63, 0);
        args.commitments[5] = "another";
        vm.expectRevert(abi.encodeWithSelector(Signatures.SignaturesWrongSigner.selector, 5));
        manager.include(args);
        args.commitments = new bytes32[](5);
        _includeRefused(args, IRoundManager.RoundManagerLength.selector);
        args = includeArgs(SET, 63, 0);
        args.signatures = bytes.concat(args.signatures, hex"00");
        _includeRefused(args, Signatures.SignaturesLength.selector);
        args = includeArgs(SET, 63, 0);
        args.inclusionRoot = 0;
        _includeRefused(args, IRoundManager.RoundManagerZeroRoot.selector);
    }

    function test_signatures_with_high_s_or_small_v_are_refused() public {
        openAndDraw();
        IRoundManager.InclusionArgs memory args = includeArgs(SET, 63, 0);
        bytes memory honest = bytes.concat(args.signatures);
        uint8 v = uint8(args.signatures[64]);
        args.signatures[64] = bytes1(v - 27);
        _includeRefused(args, Signatures.SignaturesWrongSigner.selector);
        args.signatures = honest;
        uint256 s;
        bytes memory signatures = args.signatures;
        assembly {
            s := mload(add(signatures, 64))
            mstore(add(signatures, 64), sub(0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141, s))
        }
        args.signatures[64] = bytes1(v == 27 ? 28 : 27);
        _includeRefused(args, Signatures.SignaturesWrongSigner.selector);
    }

    function test_statements_of_another_attempt_are_refused() public {
        openAndDraw();
        IRoundManager.InclusionArgs memory args = includeArgs(SET, 511, 0);
        args.attempt = 1;
        _includeRefused(args, IRoundManager.RoundManagerWrongAttempt.selector);
        args.attempt = 0;
        args.round = 1;
        _includeRefused(args, IRoundManager.RoundManagerWrongAttempt.selector);
    }

    // Roll call, abort and spent attempts.

    function test_the_roll_call_records_each_seat_once_and_in_its_window() public {
        openAndDraw();
        uint256 drawnAt = block.timestamp;
        IRoundManager.RollCallArgs memory args = _rollCall(4);
        vm.warp(drawnAt + 159);
        vm.expectRevert(abi.encodeWithSelector(IRoundManager.RoundManagerTooEarly.selector, drawnAt + 160));
        manager.answerRollCall(args);
        vm.warp(drawnAt + 160);
        manager.answerRollCall(args);
        assertEq(manager.attemptOf(task).rollCalled, 16);
        vm.expectRevert(abi.encodeWithSelector(IRoundManager.RoundManagerAlreadyRecorded.selector, 4));
        manager.answerRollCall(args);
        args.seat = 5;
        vm.expectPartialRevert(Signatures.SignaturesWrongSigner.selector);
        manager.answerRollCall(args);
        args.seat = 9;
        vm.expectPartialRevert(IRoundManager.RoundManagerUnknownSeat.selector);
        manager.answerRollCall(args);
        args = _rollCall(3);
        vm.warp(drawnAt + 210);
        vm.expectPartialRevert(IRoundManager.RoundManagerTooLate.selector);
        manager.answerRollCall(args);
    }

    function test_an_attempt_without_a_set_aborts_after_the_roll_call_and_leaves_the_absent_out() public {
        openAndDraw();
        uint256[] memory before = manager.committeeOf(task);
        skip(160);
        for (uint256 seat = 0; seat < 8; ++seat) manager.answerRollCall(_rollCall(seat));
        skip(49);
        vm.expectPartialRevert(IRoundManager.RoundManagerTooEarly.selector);
        manager.poke(task);
        skip(1);
        manager.poke(task);
        assertEq(manager.attemptOf(task).attempt, 1);
        assertEq(manager.attemptOf(task).noShows, 256);
        drawNow();
        uint256[] memory ids = manager.committeeOf(task);
        for (uint256 i = 0; i < 9; ++i) assertTrue(ids[i] != before[8], "the absent seat is drawn again");
    }

    function test_after_attemptsMax_attempts_the_task_pauses_until_its_creator_resumes_it() public {
        openAndDraw();
        for (uint256 i = 0; i < 2; ++i) {
            skip(210);
            manager.poke(task);
            drawNow();
        }
        skip(210);
        manager.poke(task);
        assertEq(uint256(phase()), uint256(Phase.Paused));
        _wrongPhase(Phase.Paused);
        manager.openRound(task);
        vm.expectPartialRevert(IRoundManager.RoundManagerNotCreator.selector);
        manager.resume(task);
        vm.prank(CREATOR);
        manager.resume(task);
        drawNow();
        assertEq(manager.attemptOf(task).attempt, 3);
        vm.startPrank(CREATOR);
        _wrongPhase(Phase.Collecting);
        manager.resume(task);
        vm.stopPrank();
    }

    function test_after_a_spent_attempt_only_the_same_trainers_are_accepted() public {
        openAndDraw();
        skip(120);
        manager.include(includeArgs(PART, 63, 0));
        skip(114);
        vm.expectPartialRevert(IRoundManager.RoundManagerTooEarly.selector);
        manager.poke(task);
        skip(1);
        manager.poke(task);
        drawNow();
        assertTrue(manager.attemptOf(task).spent, "spent");
        _includeRefused(includeArgs(SET, 511, 0), IRoundManager.RoundManagerFrozenSet.selector);
        skip(120);
        manager.include(includeArgs(PART, 511, 0));
        skip(35);
        proposeNow();
        revealAll(manager.attemptOf(task).nextRequest);
        skip(200);
        manager.settle(task);
        // The model root has changed: any set counts again.
        includeNow(SET);
    }

    function test_within_an_epoch_an_abort_keeps_the_present_and_permutes_them() public {
        task = createTask(specification(12, 3, 4));
        openAndDraw();
        uint256[] memory before = manager.committeeOf(task);
        skip(160);
        for (uint256 seat = 0; seat < 9; ++seat) manager.answerRollCall(_rollCall(seat));
        skip(50);
        manager.poke(task);
        drawNow();
        uint256[] memory ids = manager.committeeOf(task);
        assertTrue(keccak256(abi.encode(ids)) != keccak256(abi.encode(before)), "the columns are the same");
        assertEq(_bitmap(ids), _bitmap(before));
    }

    // Proposals and settlement.

    function test_view_0_of_proposals_opens_when_the_demand_window_is_final() public {
        openAndDraw();
        includeNow(SET);
        uint256 acceptedAt = block.timestamp;
        IRoundManager.ProposalArgs memory args = proposeArgs(63, 0);
        vm.warp(acceptedAt + 34);
        vm.expectRevert(abi.encodeWithSelector(IRoundManager.RoundManagerTooEarly.selector, acceptedAt + 35));
        manager.propose(args);
        vm.warp(acceptedAt + 85);
        vm.expectRevert(abi.encodeWithSelector(IRoundManager.RoundManagerTooLate.selector, acceptedAt + 85));
        manager.propose(args);
        manager.propose(proposeArgs(63, 1));
    }

    function test_a_proposal_needs_two_thirds_of_all_seats() public {
        openAndDraw();
        includeNow(SET);
        skip(35);
        _proposeRefused(proposeArgs(31, 0), IRoundManager.RoundManagerNoQuorum.selector);
        _proposeRefused(proposeArgs(1023, 0), IRoundManager.RoundManagerUnknownSeat.selector);
        _proposeRefused(proposeArgs(63, 4), IRoundManager.RoundManagerUnknownView.selector);
        manager.propose(proposeArgs(0x1B6, 0));
    }

    function test_a_proposal_is_signed_word_for_word() public {
        openAndDraw();
        includeNow(SET);
        skip(35);
        IRoundManager.ProposalArgs memory args = proposeArgs(63, 0);
        args.maskRoots[1] = "another";
        _proposeRefused(args, Signatures.SignaturesWrongSigner.selector);
        args = proposeArgs(63, 0);
        args.aggregateRoot = "another";
        _proposeRefused(args, Signatures.SignaturesWrongSigner.selector);
        args.maskRoots = new bytes32[](2);
        _proposeRefused(args, IRoundManager.RoundManagerLength.selector);
        args = proposeArgs(63, 0);
        args.modelRoot = 0;
        _proposeRefused(args, IRoundManager.RoundManagerZeroRoot.selector);
    }

    function test_a_round_settles_after_the_challenge_window_and_opens_the_next() public {
        openAndDraw();
        includeNow(SET);
        skip(35);
        proposeNow();
        skip(199);
        vm.expectPartialRevert(IRoundManager.RoundManagerTooEarly.selector);
        manager.settle(task);
        skip(1);
        manager.settle(task);
        Attempt memory a = manager.attemptOf(task);
        assertEq(a.round, 1);
        assertEq(a.attempt, 0);
        assertEq(a.modelRoot, keccak256(abi.encode("model", 0)));
        // Nobody answered the beacon during the window: it is asked again.
        assertEq(uint256(a.phase), uint256(Phase.Drawing));
        beacon.close(1);
        joinBeacon(12);
        manager.poke(task);
        drawNow();
    }

    function test_the_settlement_draws_at_once_if_the_beacon_is_ready() public {
        openAndDraw();
        finishRound(SET);
        assertEq(uint256(phase()), uint256(Phase.Collecting));
        assertEq(manager.attemptOf(task).round, 1);
        assertEq(registry.freezes(), 0);
    }

    function test_within_an_epoch_the_committee_stays_and_ctx_changes() public {
        task = createTask(specification(12, 3, 2));
        openAndDraw();
        uint256[] memory before = manager.committeeOf(task);
        bytes32 ctx = manager.attemptOf(task).ctx;
        finishRound(SET);
        assertEq(keccak256(abi.encode(manager.committeeOf(task))), keccak256(abi.encode(before)));
        assertTrue(manager.attemptOf(task).ctx != ctx, "ctx is the same");
        assertEq(manager.attemptOf(task).draw, 1);
        finishRound(SET);
        assertEq(manager.attemptOf(task).draw, 2);
    }

    function test_the_last_round_ends_the_task_and_freezes_nothing() public {
        TaskSpecification memory s = specification(12, 3, 1);
        s.terms.rounds = 1;
        task = createTask(s);
        openAndDraw();
        finishRound(SET);
        assertEq(uint256(phase()), uint256(Phase.Idle));
        assertEq(registry.freezes(), 0);
        vm.expectPartialRevert(IRoundManager.RoundManagerTaskOver.selector);
        manager.openRound(task);
    }

    function test_a_round_that_cannot_be_paid_does_not_open_until_it_can() public {
        vm.startPrank(CREATOR);
        task = tasks.createTask(specification(12, 3, 1));
        manager.fund(task, REWARD);
        vm.stopPrank();
        openAndDraw();
        finishRound(SET);
        assertEq(uint256(phase()), uint256(Phase.Idle));
        vm.expectPartialRevert(IRoundManager.RoundManagerUnfunded.selector);
        manager.openRound(task);
        vm.prank(CREATOR);
        manager.fund(task, REWARD);
        openAndDraw();
        assertEq(manager.attemptOf(task).round, 1);
    }

    function test_a_settlement_is_never_blocked_by_the_beacon() public {
        openAndDraw();
        for (uint256 i = 0; i < 12; ++i) {
            vm.prank(ownerAt(i));
            beacon.leave(i);
        }
        includeNow(SET);
        skip(35);
        proposeNow();
        skip(200);
        settleNow();
        assertEq(uint256(phase()), uint256(Phase.Idle));
        assertEq(manager.attemptOf(task).round, 1);
        assertEq(registry.freezes(), 0);
    }

    function test_calls_out_of_phase_are_refused() public {
        openAndDraw();
        _wrongPhase(Phase.Collecting);
        manager.draw(task);
        _wrongPhase(Phase.Collecting);
        manager.settle(task);
        IRoundManager.ProposalArgs memory args = proposeArgs(63, 0);
        _wrongPhase(Phase.Collecting);
        manager.propose(args);
        includeNow(SET);
        IRoundManager.RollCallArgs memory roll = _rollCall(0);
        _wrongPhase(Phase.Included);
        manager.answerRollCall(roll);
        skip(35);
        proposeNow();
        vm.expectPartialRevert(IRoundManager.RoundManagerNothingDue.selector);
        manager.poke(task);
    }

    function test_seven_columns_of_three_take_two_words_and_eight_views() public {
        addValidators(10);
        task = createTask(specification(12, 7, 1));
        openAndDraw();
        uint256[] memory ids = manager.committeeOf(task);
        assertEq(countBits(_bitmap(ids)), 21);
        skip(120 + 70);
        manager.include(includeArgs(PART, (1 << 21) - 1, 7));
    }

    function _rollCall(uint256 seat) private view returns (IRoundManager.RollCallArgs memory) {
        IRoundManager.InclusionArgs memory args = includeArgs(PART, 1 << seat, 0);
        return IRoundManager.RollCallArgs({
            task: task,
            round: args.round,
            attempt: args.attempt,
            seat: seat,
            view_: 0,
            inclusionRoot: args.inclusionRoot,
            trainers: args.trainers,
            weight: args.weight,
            commitment: args.commitments[0],
            signature: args.signatures
        });
    }

    function _wrongPhase(Phase found) private {
        vm.expectRevert(
            abi.encodeWithSelector(IRoundManager.RoundManagerWrongPhase.selector, task, uint256(found))
        );
    }

    function _includeRefused(IRoundManager.InclusionArgs memory args, bytes4 selector) private {
        vm.expectPartialRevert(selector);
        manager.include(args);
    }

    function _proposeRefused(IRoundManager.ProposalArgs memory args, bytes4 selector) private {
        vm.expectPartialRevert(selector);
        manager.propose(args);
    }

    function _bitmap(uint256[] memory ids) private pure returns (uint256 bitmap) {
        for (uint256 i = 0; i < ids.length; ++i) bitmap |= 1 << ids[i];
    }
}
