// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IRoundManager} from "../src/interfaces/IRoundManager.sol";
import {Attempt, Phase, TaskSpecification} from "../src/interfaces/Types.sol";
import {Signatures} from "../src/libraries/Signatures.sol";
import {RoundFixture} from "./RoundFixture.sol";

/// @notice How attempts end: abort, spent, pause, proposal, settlement.
contract RoundEndTest is RoundFixture {
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
        uint256[] memory before = committeeOf(task);
        skip(160);
        for (uint256 seat = 0; seat < 8; ++seat) {
            manager.answerRollCall(_rollCall(seat));
        }
        skip(49);
        vm.expectPartialRevert(IRoundManager.RoundManagerTooEarly.selector);
        manager.poke(task);
        skip(1);
        manager.poke(task);
        assertEq(manager.attemptOf(task).attempt, 1);
        assertEq(manager.attemptOf(task).noShows, 256);
        drawNow();
        uint256[] memory ids = committeeOf(task);
        for (uint256 i = 0; i < 9; ++i) {
            assertTrue(ids[i] != before[8], "the absent seat is drawn again");
        }
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
        uint256[] memory before = committeeOf(task);
        skip(160);
        for (uint256 seat = 0; seat < 9; ++seat) {
            manager.answerRollCall(_rollCall(seat));
        }
        skip(50);
        manager.poke(task);
        drawNow();
        uint256[] memory ids = committeeOf(task);
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
        // Nobody answered the beacon during the window: it waits.
        assertEq(uint256(a.phase), uint256(Phase.Drawing));
        vm.expectPartialRevert(IRoundManager.RoundManagerNothingDue.selector);
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
        uint256[] memory before = committeeOf(task);
        bytes32 ctx = manager.attemptOf(task).ctx;
        finishRound(SET);
        assertEq(keccak256(abi.encode(committeeOf(task))), keccak256(abi.encode(before)));
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
        uint256[] memory ids = committeeOf(task);
        assertEq(countBits(_bitmap(ids)), 21);
        skip(120 + 70);
        manager.include(includeArgs(PART, (1 << 21) - 1, 7));
    }
}
