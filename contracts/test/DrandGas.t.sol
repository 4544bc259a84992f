// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IRoundManager} from "../src/interfaces/IRoundManager.sol";
import {Phase} from "../src/interfaces/Types.sol";
import {DrandFixture} from "./DrandFixture.sol";
import {Metered} from "./Metered.sol";

/// @notice What a round of 5x3 seats costs its relayers under drand: whole transactions, from the second round on.
/// forge-config: default.isolate = true
contract DrandGasTest is DrandFixture, Metered {
    uint256 private constant ROUND_LIMIT = 1_200_000;

    uint256 private _total;
    uint256 private _earned;

    function test_a_round_of_5x3_seats_stays_below_the_limit_for_3_12_and_256_trainers_within_2_percent() public {
        deploy();
        addValidators(30);
        uint256 few = _measure("drand 5x3, 3 trainers", 3);
        uint256 some = _measure("drand 5x3, 12 trainers", 12);
        uint256 many = _measure("drand 5x3, 256 trainers", 256);
        assertTrue(few <= ROUND_LIMIT && some <= ROUND_LIMIT && many <= ROUND_LIMIT, "a round is too dear");
        assertTrue(some * 100 <= few * 102 && many * 100 <= few * 102, "gas grows with the trainers");
    }

    /// @dev Settle two rounds, then measure every transaction of the third.
    function _measure(string memory name, uint256 trainers) private returns (uint256) {
        uint256 set = trainers == 256 ? type(uint256).max : (1 << trainers) - 1;
        task = createTask(specification(trainers, 5, 1));
        vm.prank(RELAYER);
        manager.openRound(task);
        proveRequest(manager.attemptOf(task).request);
        manager.draw(task);
        for (uint256 i = 0; i < 3; ++i) {
            _total = 0;
            _round(set);
        }
        log("trainers", trainers);
        log("  round", _total);
        vm.snapshotValue("rounds", name, _total);
        return _total;
    }

    function _round(uint256 set) private {
        IRoundManager.InclusionArgs memory inclusion = includeArgs(set, allSeats(), 0);
        _call("include", address(manager), abi.encodeCall(manager.include, (inclusion)));
        skip(35);
        IRoundManager.ProposalArgs memory proposal = proposeArgs(allSeats(), 0);
        _call("propose", address(manager), abi.encodeCall(manager.propose, (proposal)));
        skip(LEAD + PERIOD);
        (uint64 round,) = drand.requestOf(manager.attemptOf(task).nextRequest);
        uint256 gas = _call("prove", address(drand), abi.encodeCall(drand.prove, (round, signRound(SECRET, round))));
        uint256 fee = drand.creditOf(address(relay)) - _earned;
        _earned += fee;
        assertTrue(fee != 0 && fee <= gas * PRICE, "a proof pays for itself");
        skip(200);
        _call("settle and draw", address(manager), abi.encodeCall(manager.settle, (task)));
        assertEq(uint256(phase()), uint256(Phase.Collecting));
    }

    function _call(string memory name, address target, bytes memory data) private returns (uint256 gas) {
        gas = transact(target, data);
        _total += gas;
        log(string.concat("  ", name), gas);
    }
}
