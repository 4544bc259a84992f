// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Phase, ProposalStatement} from "../src/interfaces/Types.sol";
import {ProofFixture} from "./ProofFixture.sol";

/// @notice What a defect must leave working to go unnoticed: two rounds of true vectors settle and are paid.
contract HonestTest is ProofFixture {
    function test_two_honest_rounds_settle_and_are_paid() public {
        setUpProofs(5, 600);
        uint256 validator = committeeOf(task)[0];
        for (uint256 round = 0; round < 2; ++round) {
            includeTruth();
            ProposalStatement memory p = statement(Lie.None, allSeats(), 0);
            submit(p);
            revealAll(manager.attemptOf(task).nextRequest);
            skip(200);
            settleNow();
            assertEq(manager.attemptOf(task).modelRoot, p.modelRoot);
            assertEq(uint256(phase()), uint256(Phase.Collecting));
        }
        uint256 before = token.balanceOf(ownerAt(validator));
        pay.claimSeats(task, validator, new uint256[](1));
        assertTrue(token.balanceOf(ownerAt(validator)) > before, "a seat is not paid");
        vm.prank(RELAYER);
        assertTrue(manager.withdrawRefund() > 0, "a relayer is not refunded");
    }
}
