// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ITaskRegistry} from "../src/interfaces/ITaskRegistry.sol";
import {Plan, TaskSpecification} from "../src/interfaces/Types.sol";
import {Plans} from "../src/libraries/Plans.sol";
import {TaskRegistry} from "../src/TaskRegistry.sol";
import {Fixture} from "./Fixture.sol";

contract TaskRegistryTest is Fixture {
    using Plans for Plan;

    TaskSpecification private _s;

    function setUp() public {
        tasks = new TaskRegistry();
        _s = specification(12, 3, 1);
    }

    function test_a_sound_task_is_kept_word_for_word() public {
        vm.prank(CREATOR);
        uint256 id = tasks.createTask(_s);
        assertEq(id, 1);
        assertEq(tasks.creatorOf(id), CREATOR);
        assertEq(tasks.taskCount(), 1);
        assertEq(keccak256(abi.encode(tasks.specificationOf(id))), keccak256(abi.encode(_s)));
    }

    function test_the_plan_says_the_same_as_the_specification() public {
        (Plan memory p, bytes32 modelRoot) = tasks.planOf(tasks.createTask(_s));
        assertEq(modelRoot, _s.modelRoot);
        assertEq(p.rosterRoot, _s.rosterRoot);
        assertEq(p.trainers(), 12);
        assertEq(p.trainersMin(), 2);
        assertEq(p.columns(), 3);
        assertEq(p.seatsPerColumn(), 3);
        assertEq(p.epochRounds(), 1);
        assertEq(p.attemptsMax(), 3);
        assertEq(p.rounds(), 20);
        assertEq(p.weightMax(), 16);
        assertEq(p.trainerShareBps(), 7000);
        assertEq(p.rewardPerRound(), REWARD);
        assertEq(p.views(), 4);
        assertEq(p.quorum(0), 6);
        _checkDeadlines(p);
    }

    /// @dev collect 100, settle 20, view 10, demand 30, roots 40, challenge 200, abort 50, finality 5.
    function _checkDeadlines(Plan memory p) private pure {
        (uint256 start, uint256 end) = p.inclusionView(1000, 0, false);
        assertEq(start, 1120);
        assertEq(end, 1130);
        (start, end) = p.inclusionView(1000, 0, true);
        assertEq(start, 1000);
        assertEq(end, 1130);
        (start, end) = p.inclusionView(1000, 3, true);
        assertEq(start, 1150);
        assertEq(end, 1160);
        (start, end) = p.rollCall(1000);
        assertEq(start, 1160);
        assertEq(end, 1210);
        (start, end) = p.proposalView(1000, 0, 0, 0);
        assertEq(start, 1035);
        assertEq(end, 1085);
        (start, end) = p.proposalView(1000, 0, 0, 1);
        assertEq(start, 1085);
        assertEq(end, 1095);
        assertEq(p.voidDeadline(1000, 0, 0), 1115);
        assertEq(p.windowEnd(1000), 1200);
    }

    function test_unknown_tasks_are_refused() public {
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.TaskRegistryUnknownTask.selector, 1));
        tasks.specificationOf(1);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.TaskRegistryUnknownTask.selector, 1));
        tasks.creatorOf(1);
        vm.expectRevert(abi.encodeWithSelector(ITaskRegistry.TaskRegistryUnknownTask.selector, 1));
        tasks.planOf(1);
    }

    function test_other_modes_are_refused() public {
        _s.mode = 1;
        _refused(ITaskRegistry.TaskRegistryMode.selector);
    }

    function test_zero_digests_are_refused() public {
        _s.configuration = 0;
        _refused(ITaskRegistry.TaskRegistryZeroDigest.selector);
        _s = specification(12, 3, 1);
        _s.modelRoot = 0;
        _refused(ITaskRegistry.TaskRegistryZeroDigest.selector);
        _s = specification(12, 3, 1);
        _s.rosterRoot = 0;
        _refused(ITaskRegistry.TaskRegistryZeroDigest.selector);
    }

    function test_more_than_the_whole_reward_for_trainers_is_refused() public {
        _s.trainerShareBps = 10_001;
        _refused(ITaskRegistry.TaskRegistryShare.selector);
    }

    function test_rosters_above_256_or_below_the_minimum_are_refused() public {
        _s.terms.trainers = 257;
        _refused(ITaskRegistry.TaskRegistryTrainers.selector);
        _s.terms.trainers = 1;
        _refused(ITaskRegistry.TaskRegistryTrainers.selector);
        _s.terms.trainers = 12;
        _s.terms.trainersMin = 13;
        _refused(ITaskRegistry.TaskRegistryTrainers.selector);
    }

    function test_a_set_of_one_trainer_is_refused() public {
        _s.terms.trainersMin = 1;
        _refused(ITaskRegistry.TaskRegistryTrainers.selector);
    }

    function test_committees_without_seats_or_above_32_are_refused() public {
        _s.terms.columns = 0;
        _refused(ITaskRegistry.TaskRegistryCommittee.selector);
        _s.terms.columns = 11;
        _refused(ITaskRegistry.TaskRegistryCommittee.selector);
        _s.terms.columns = 3;
        _s.terms.seatsPerColumn = 0;
        _refused(ITaskRegistry.TaskRegistryCommittee.selector);
    }

    function test_zero_rounds_epochs_or_attempts_are_refused() public {
        _s.terms.epochRounds = 0;
        _refused(ITaskRegistry.TaskRegistryRounds.selector);
        _s.terms.epochRounds = 1;
        _s.terms.attemptsMax = 0;
        _refused(ITaskRegistry.TaskRegistryRounds.selector);
        _s.terms.attemptsMax = 1;
        _s.terms.rounds = 0;
        _refused(ITaskRegistry.TaskRegistryRounds.selector);
    }

    function test_zero_and_endless_windows_are_refused() public {
        for (uint256 i = 0; i < 14; ++i) {
            uint32 length = i < 7 ? 0 : uint32(30 days + 1);
            _s = specification(12, 3, 1);
            if (i % 7 == 0) _s.terms.windows.collect = length;
            if (i % 7 == 1) _s.terms.windows.settle = length;
            if (i % 7 == 2) _s.terms.windows.view_ = length;
            if (i % 7 == 3) _s.terms.windows.demand = length;
            if (i % 7 == 4) _s.terms.windows.roots = length;
            if (i % 7 == 5) _s.terms.windows.challenge = length;
            if (i % 7 == 6) _s.terms.windows.abort = length;
            _refused(ITaskRegistry.TaskRegistryWindow.selector);
        }
    }

    function test_finality_may_be_immediate_but_must_fit_the_challenge_window() public {
        _s.terms.windows.finality = 0;
        tasks.createTask(_s);
        _s.terms.windows.finality = _s.terms.windows.challenge;
        _refused(ITaskRegistry.TaskRegistryWindow.selector);
    }

    function test_models_without_words_are_refused() public {
        _s.terms.integers.words = 0;
        _refused(ITaskRegistry.TaskRegistryWords.selector);
    }

    function test_only_rings_of_8_16_and_32_bits_exist() public {
        for (uint256 width = 0; width < 256; ++width) {
            if (width == 8 || width == 16 || width == 32) continue;
            _s.terms.integers.width = uint8(width);
            _refused(ITaskRegistry.TaskRegistryWidth.selector);
        }
    }

    function test_quantisers_of_one_bit_or_wider_than_the_ring_are_refused() public {
        _s.terms.integers.bits = 1;
        _refused(ITaskRegistry.TaskRegistryBits.selector);
        _s.terms.integers.bits = 33;
        _refused(ITaskRegistry.TaskRegistryBits.selector);
    }

    function test_a_sum_that_could_leave_the_ring_is_refused() public {
        // 16 * (2^11 - 1) < 2^15 <= 17 * (2^11 - 1)
        _s.terms.integers.width = 16;
        _s.terms.trainers = 16;
        tasks.createTask(_s);
        _s.terms.trainers = 17;
        _refused(ITaskRegistry.TaskRegistryRingTooSmall.selector);
    }

    function test_the_clamp_lies_within_the_quantiser() public {
        _s.terms.integers.tau = 0;
        _refused(ITaskRegistry.TaskRegistryTau.selector);
        _s.terms.integers.tau = 2048;
        _refused(ITaskRegistry.TaskRegistryTau.selector);
        _s.terms.integers.tau = 2047;
        tasks.createTask(_s);
    }

    function test_the_smallest_set_may_move_the_model() public {
        // L = floor(2 tau / 16) at trainersMin = 2.
        _s.terms.integers.tau = 8;
        tasks.createTask(_s);
        _s.terms.integers.tau = 7;
        _refused(ITaskRegistry.TaskRegistryWeightMax.selector);
        _s.terms.integers.weightMax = 0;
        _refused(ITaskRegistry.TaskRegistryWeightMax.selector);
    }

    function test_scales_above_24_bits_are_refused() public {
        _s.terms.integers.scaleBits = 25;
        _refused(ITaskRegistry.TaskRegistryScaleBits.selector);
    }

    function test_zero_rates_are_refused() public {
        _s.terms.integers.numerator = 0;
        _refused(ITaskRegistry.TaskRegistryRate.selector);
        _s.terms.integers.numerator = 1;
        _s.terms.integers.denominator = 0;
        _refused(ITaskRegistry.TaskRegistryRate.selector);
    }

    function test_steps_beyond_62_bits_are_refused() public {
        // 2 num D tau + den D with D = 12 * 16 = 192: below 2^62 up to num = (2^62 / 192 - den) / (2 * 511), den = 1.
        _s.terms.integers.numerator = uint64((((uint256(1) << 62) - 1) / 192 - 1) / 1022);
        tasks.createTask(_s);
        _s.terms.integers.numerator += 1;
        _refused(ITaskRegistry.TaskRegistryStepOverflow.selector);
        _s.terms.integers.numerator = type(uint64).max;
        _s.terms.integers.denominator = type(uint64).max;
        _refused(ITaskRegistry.TaskRegistryStepOverflow.selector);
    }

    function _refused(bytes4 selector) private {
        vm.expectPartialRevert(selector);
        tasks.createTask(_s);
    }
}
