// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IRoundManager} from "../src/interfaces/IRoundManager.sol";
import {ITaskRegistry} from "../src/interfaces/ITaskRegistry.sol";
import {Phase} from "../src/interfaces/Types.sol";
import {Signatures} from "../src/libraries/Signatures.sol";
import {RoundManager} from "../src/RoundManager.sol";
import {StakeRegistry} from "../src/StakeRegistry.sol";
import {RoundFixture} from "./RoundFixture.sol";

/// @notice From the opening of a round to its inclusion set.
contract RoundManagerTest is RoundFixture {
    function test_registry_and_beacon_name_this_manager() public {
        StakeRegistry other = new StakeRegistry(token, authorities(address(this)), stakeTerms());
        vm.expectPartialRevert(IRoundManager.RoundManagerWrongPeer.selector);
        new RoundManager(token, other, beacon, tasks, address(0), address(0), address(0), 1);
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
        assertEq(keccak256(abi.encode(committeeOf(task))), keccak256(abi.encode(ids)));
    }

    function test_a_failed_request_is_asked_again_without_the_silent() public {
        manager.openRound(task);
        for (uint256 i = 0; i < 7; ++i) {
            revealAs(1, i);
        }
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
        skip(beacon.STALL_SECONDS());
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
}
