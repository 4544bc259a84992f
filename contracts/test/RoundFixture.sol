// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IRoundManager} from "../src/interfaces/IRoundManager.sol";
import {Phase} from "../src/interfaces/Types.sol";
import {Fixture} from "./Fixture.sol";

/// @notice A task of 3 x 3 seats, 12 validators and 12 trainers, and what its tests share.
abstract contract RoundFixture is Fixture {
    uint256 internal constant SET = 0xFFF;
    uint256 internal constant PART = 0x7FF;

    function setUp() public {
        deploy();
        addValidators(12);
        joinBeacon(12);
        task = createTask(specification(12, 3, 1));
    }

    function _rollCall(uint256 seat) internal view returns (IRoundManager.RollCallArgs memory) {
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

    function _wrongPhase(Phase found) internal {
        vm.expectRevert(abi.encodeWithSelector(IRoundManager.RoundManagerWrongPhase.selector, task, uint256(found)));
    }

    function _includeRefused(IRoundManager.InclusionArgs memory args, bytes4 selector) internal {
        vm.expectPartialRevert(selector);
        manager.include(args);
    }

    function _proposeRefused(IRoundManager.ProposalArgs memory args, bytes4 selector) internal {
        vm.expectPartialRevert(selector);
        manager.propose(args);
    }

    function _bitmap(uint256[] memory ids) internal pure returns (uint256 bitmap) {
        for (uint256 i = 0; i < ids.length; ++i) {
            bitmap |= 1 << ids[i];
        }
    }
}
