// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IRoundManager} from "../src/interfaces/IRoundManager.sol";
import {Attempt, Phase} from "../src/interfaces/Types.sol";
import {Fixture} from "./Fixture.sol";
import {Metered} from "./Metered.sol";

/// @notice What a round costs its relayers: whole transactions, with intrinsic gas and cold storage.
/// forge-config: default.isolate = true
contract GasTest is Fixture, Metered {
    uint256 private constant ROUND_LIMIT = 1_400_000;

    uint256 private _total;

    function test_a_round_that_starts_an_epoch_stays_below_the_limit_with_3_trainers() public {
        assertTrue(_measure("3x3, 3 trainers", 3, 1) <= ROUND_LIMIT, "a round of 3 trainers is too dear");
    }

    function test_a_round_that_starts_an_epoch_stays_below_the_limit_with_12_trainers() public {
        assertTrue(_measure("3x3, 12 trainers", 12, 1) <= ROUND_LIMIT, "a round of 12 trainers is too dear");
    }

    function test_a_round_within_an_epoch_costs_less_than_half_of_the_limit() public {
        assertTrue(
            _measure("3x3, 12 trainers, within an epoch", 12, 8) <= ROUND_LIMIT / 2,
            "a round within an epoch is too dear"
        );
    }

    function test_gas_of_a_round_does_not_depend_on_the_number_of_trainers() public {
        uint256 few = _measure("", 3, 1);
        uint256 some = _measure("", 12, 1);
        uint256 many = _measure("3x3, 256 trainers", 256, 1);
        assertTrue(many <= ROUND_LIMIT, "a round of 256 trainers is too dear");
        // A wider bitmap has more bytes that are not zero: at most 32 of them, twice.
        assertTrue(some < few + 10_000 && many < few + 10_000, "gas grows with the trainers");
        assertTrue(some * 100 <= few * 102 && many * 100 <= few * 102, "gas grows by more than 2 %");
    }

    function test_a_round_of_5x3_seats_and_16_reveals_stays_below_2_million() public {
        assertTrue(_measure("5x3, 12 trainers", 12, 1, 5) <= 2_000_000, "a round of 5x3 seats is too dear");
    }

    function test_calls_off_the_beaten_track_do_not_pay_for_themselves_either() public {
        deploy();
        addValidators(12);
        joinBeacon(12);
        task = createTask(specification(12, 3, 1));
        _call("open", address(manager), abi.encodeCall(manager.openRound, (task)));
        revealAll(1);
        _call("draw", address(manager), abi.encodeCall(manager.draw, (task)));
        skip(160);
        IRoundManager.InclusionArgs memory args = includeArgs(0xFFF, 1, 0);
        IRoundManager.RollCallArgs memory roll;
        (roll.task, roll.inclusionRoot, roll.trainers) = (task, args.inclusionRoot, args.trainers);
        (roll.weight, roll.commitment, roll.signature) = (args.weight, args.commitments[0], args.signatures);
        _call("roll call", address(manager), abi.encodeCall(manager.answerRollCall, (roll)));
        skip(50);
        _call("poke", address(manager), abi.encodeCall(manager.poke, (task)));
        revealAll(2);
        _call("redraw", address(manager), abi.encodeCall(manager.draw, (task)));
    }

    function test_a_set_and_a_proposal_of_six_seats_do_not_pay_for_themselves_either() public {
        deploy();
        addValidators(12);
        joinBeacon(12);
        task = createTask(specification(12, 3, 2));
        openAndDraw();
        IRoundManager.InclusionArgs memory set = includeArgs(0xFFF, 63, 0);
        _call("include, 6 seats", address(manager), abi.encodeCall(manager.include, (set)));
        skip(35);
        IRoundManager.ProposalArgs memory args = proposeArgs(63, 0);
        _call("propose, 6 seats", address(manager), abi.encodeCall(manager.propose, (args)));
        skip(200);
        _call("settle", address(manager), abi.encodeCall(manager.settle, (task)));
    }

    /// @dev Settle two rounds, then measure every transaction of the third.
    function _measure(string memory name, uint256 trainers, uint256 epochRounds) private returns (uint256) {
        return _measure(name, trainers, epochRounds, 3);
    }

    function _measure(string memory name, uint256 trainers, uint256 epochRounds, uint256 columns)
        private
        returns (uint256)
    {
        if (address(manager) == address(0)) {
            deploy();
            addValidators(4 * columns);
            joinBeacon(4 * columns);
        }
        uint256 set = trainers == 256 ? type(uint256).max : (1 << trainers) - 1;
        task = createTask(specification(trainers, columns, epochRounds));
        // The relay has been refunded before, as any relayer has.
        _call("", address(manager), abi.encodeCall(manager.openRound, (task)));
        drawNow();
        finishRound(set);
        finishRound(set);
        delete _total;
        log("trainers", trainers);
        _include(set);
        skip(35);
        _propose();
        uint256 request = manager.attemptOf(task).nextRequest;
        if (request != 0) _reveals(request);
        skip(200);
        _call("settle and draw", address(manager), abi.encodeCall(manager.settle, (task)));
        assertEq(uint256(phase()), uint256(Phase.Collecting));
        log("  round", _total);
        if (bytes(name).length != 0) vm.snapshotValue("rounds", name, _total);
        return _total;
    }

    function _include(uint256 set) private {
        IRoundManager.InclusionArgs memory args = includeArgs(set, allSeats(), 0);
        _call("include, all seats", address(manager), abi.encodeCall(manager.include, (args)));
    }

    function _propose() private {
        IRoundManager.ProposalArgs memory args = proposeArgs(allSeats(), 0);
        _call("propose, all seats", address(manager), abi.encodeCall(manager.propose, (args)));
    }

    function _reveals(uint256 request) private {
        (uint256[] memory ids,,,) = beacon.requestOf(request);
        uint256 before = _total;
        for (uint256 i = 0; i < ids.length; ++i) {
            bytes32 preimage = bytes32(onions[ids[i]][ONION - 1 - layers[ids[i]]++]);
            _call("", address(beacon), abi.encodeCall(beacon.reveal, (request, ids[i], preimage)));
        }
        log("  reveals", _total - before);
    }

    /// @dev Make the call and check that it does not pay for itself.
    function _call(string memory name, address target, bytes memory data) private {
        uint256 before = address(relay) == address(0) ? 0 : manager.refundOf(address(relay));
        uint256 gas = transact(target, data);
        uint256 refund = manager.refundOf(address(relay)) - before;
        assertTrue(refund <= gas * PRICE, name);
        _total += gas;
        if (bytes(name).length == 0) return;
        assertTrue(refund != 0, "nothing is refunded");
        log(string.concat("  ", name), gas);
        log("    refunded", refund / PRICE);
    }
}
