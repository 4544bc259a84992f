// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IDutyManager} from "../src/interfaces/IDutyManager.sol";
import {ISlashingManager} from "../src/interfaces/ISlashingManager.sol";
import {Attempt, Conviction, Offence, Phase, ProposalStatement, TaskSpecification} from "../src/interfaces/Types.sol";
import {Headers} from "../src/libraries/Headers.sol";
import {Signatures} from "../src/libraries/Signatures.sol";
import {ProofFixture} from "./ProofFixture.sol";

/// @notice Seeds that a seat lacks, and seats that keep silent. Seat s sits in column s mod 3.
contract DutiesTest is ProofFixture {
    uint256 private constant WITHOUT_8 = 0x0ff;
    uint256 private constant WITHOUT_7_AND_8 = 0x07f;

    address private constant WATCHER = address(0x3A7C);

    function setUp() public {
        setUpProofs(5, 600);
        TaskSpecification memory s = tasks.specificationOf(task);
        s.terms.epochRounds = 4; // the committee stays
        task = createTask(s);
        openAndDraw();
        vm.deal(WATCHER, 1 ether);
    }

    // Demands.

    function test_proposals_wait_for_a_seed_that_is_demanded_and_its_answer_earns_the_bond() public {
        includeBy(WITHOUT_8);
        _demand(8, 1);
        assertEq(uint256(phase()), uint256(Phase.Demanded));
        skip(29);
        IDutyManager.SeedAnswer memory answer = _answer(2, 1);
        uint256 before = WATCHER.balance;
        vm.prank(WATCHER);
        duties.answerDemand(answer);
        assertEq(WATCHER.balance, before + CHALLENGE_BOND);
        assertEq(uint256(phase()), uint256(Phase.Included));
        assertEq(address(duties).balance, 0);
        vm.expectPartialRevert(IDutyManager.DutyManagerWrongPhase.selector);
        duties.answerDemand(answer);
    }

    function test_only_the_signer_of_a_seat_that_did_not_sign_the_set_demands_in_time_with_the_bond() public {
        includeBy(WITHOUT_8);
        _demandRefused(8, 5, IDutyManager.DutyManagerPosition.selector);
        _demandRefused(7, 1, IDutyManager.DutyManagerHoldsSeed.selector);
        vm.expectPartialRevert(IDutyManager.DutyManagerNotSigner.selector);
        duties.demandSeed{value: CHALLENGE_BOND}(task, 8, 1);
        vm.expectPartialRevert(IDutyManager.DutyManagerUnknownSeat.selector);
        duties.demandSeed{value: CHALLENGE_BOND}(task, 9, 1);
        vm.expectPartialRevert(IDutyManager.DutyManagerWrongBond.selector);
        duties.demandSeed{value: CHALLENGE_BOND - 1}(task, 8, 1);
        skip(15);
        _demandRefused(8, 1, IDutyManager.DutyManagerTooLate.selector);
    }

    function test_a_trainers_seed_is_given_for_one_column_only() public {
        includeBy(WITHOUT_7_AND_8);
        _demand(8, 1);
        _demandRefused(7, 1, IDutyManager.DutyManagerSeedGiven.selector);
        duties.answerDemand(_answer(2, 1));
        _demandRefused(7, 1, IDutyManager.DutyManagerSeedGiven.selector);
        _demandRefused(8, 1, IDutyManager.DutyManagerSeedGiven.selector);
        _demand(7, 2);
        assertEq(uint256(phase()), uint256(Phase.Demanded));
    }

    function test_only_the_committed_seed_answers_and_only_before_the_demand_end() public {
        includeBy(WITHOUT_8);
        _demand(8, 1);
        IDutyManager.SeedAnswer memory answer = _answer(2, 1);
        answer.seed ^= bytes32(uint256(1));
        vm.expectPartialRevert(IDutyManager.DutyManagerWrongSeed.selector);
        duties.answerDemand(answer);
        answer = _answer(1, 1); // another column's
        vm.expectPartialRevert(IDutyManager.DutyManagerWrongSeed.selector);
        duties.answerDemand(answer);
        answer = _answer(2, 2);
        vm.expectRevert(IDutyManager.DutyManagerNotAsked.selector);
        duties.answerDemand(answer);
        answer = _answer(2, 1);
        skip(30);
        vm.expectPartialRevert(IDutyManager.DutyManagerTooLate.selector);
        duties.answerDemand(answer);
    }

    function test_an_unanswered_demand_aborts_and_the_columns_signers_miss_a_duty() public {
        includeBy(WITHOUT_8);
        uint256[] memory ids = committeeOf(task);
        _demand(8, 1);
        bytes32 ctx = manager.attemptOf(task).ctx;
        skip(29);
        vm.expectPartialRevert(IDutyManager.DutyManagerTooEarly.selector);
        duties.closeDemand(task, ctx, 1);
        skip(1);
        uint256 before = signerAt(ids[8]).balance;
        duties.closeDemand(task, ctx, 1);
        assertEq(signerAt(ids[8]).balance, before + CHALLENGE_BOND);
        Attempt memory a = manager.attemptOf(task);
        assertEq(a.attempt, 1);
        assertTrue(!a.spent, "no sum was known");
        for (uint256 seat = 0; seat < 9; ++seat) {
            assertEq(duties.missedAt(task, ids[seat]), seat == 2 || seat == 5 ? 1 : 0);
            assertEq(registry.stakeOf(ids[seat]), 50 ether);
        }
        vm.expectRevert(IDutyManager.DutyManagerNotAsked.selector);
        duties.closeDemand(task, ctx, 1);
    }

    function test_a_demand_of_an_attempt_that_is_over_frees_its_bond() public {
        includeBy(WITHOUT_7_AND_8);
        _demand(8, 1);
        _demand(7, 2);
        bytes32 ctx = manager.attemptOf(task).ctx;
        address other = signerAt(committeeOf(task)[7]);
        skip(30);
        duties.closeDemand(task, ctx, 1);
        uint256 before = other.balance;
        duties.closeDemand(task, ctx, 2);
        assertEq(other.balance, before + CHALLENGE_BOND);
        assertEq(manager.attemptOf(task).attempt, 1);
        assertEq(address(duties).balance, 0);
    }

    // Silence.

    function test_a_first_silence_costs_the_pay_and_the_next_draw_and_no_stake() public {
        _proposeWithout8();
        uint256[] memory ids = committeeOf(task);
        bytes32 ctx = _accuse(8);
        skip(14);
        vm.expectPartialRevert(IDutyManager.DutyManagerTooEarly.selector);
        duties.closeAccusation(task, ctx, 8);
        skip(1);
        uint256 before = WATCHER.balance;
        duties.closeAccusation(task, ctx, 8);
        assertEq(WATCHER.balance, before + CHALLENGE_BOND);
        Attempt memory a = manager.attemptOf(task);
        assertEq(a.noShows, 1 << 8);
        assertEq(a.includeSeats, 0x0ff);
        assertEq(a.slashed, 0);
        assertEq(duties.missedAt(task, ids[8]), 1);
        assertEq(registry.stakeOf(ids[8]), 50 ether);
        vm.expectRevert(IDutyManager.DutyManagerNotAsked.selector);
        duties.closeAccusation(task, ctx, 8);
    }

    function test_a_second_silence_within_32_rounds_costs_half_a_percent() public {
        uint256 validator = committeeOf(task)[8];
        Conviction memory first = _beSilent();
        vm.expectPartialRevert(ISlashingManager.SlashingManagerNotConvicted.selector);
        slashing.punish(first);
        skip(200);
        settleNow();
        slashing.punish(_beSilent());
        assertEq(registry.stakeOf(validator), 49.75 ether);
        assertEq(duties.missedAt(task, validator), 2);
    }

    function test_where_fewer_than_half_answered_silence_is_nobodys_fault() public {
        includeBy(allSeats());
        uint256 validator = committeeOf(task)[8];
        for (uint256 seat = 0; seat < 4; ++seat) {
            if (seat == 0) skip(75);
            duties.openCommitment(task, seat, "root", maskRootSignature(seat, "root"));
        }
        bytes32 ctx = _accuse(8);
        skip(15);
        duties.closeAccusation(task, ctx, 8);
        assertEq(duties.missedAt(task, validator), 0);
        assertEq(manager.attemptOf(task).noShows, 0);
    }

    function test_an_opened_commitment_answers_and_earns_the_bond() public {
        _proposeWithout8();
        uint256 validator = committeeOf(task)[8];
        _accuse(8);
        bytes memory others = maskRootSignature(7, "own");
        vm.expectPartialRevert(Signatures.SignaturesWrongSigner.selector);
        duties.openCommitment(task, 8, "own", others);
        uint256 before = address(this).balance;
        duties.openCommitment(task, 8, "own", maskRootSignature(8, "own"));
        assertEq(address(this).balance, before + CHALLENGE_BOND);
        assertEq(duties.missedAt(task, validator), 0);
        _accusationRefused(8, IDutyManager.DutyManagerNotSilent.selector);
    }

    function test_only_who_signed_the_set_and_not_the_proposal_is_accused_once_after_the_root_deadline() public {
        includeBy(WITHOUT_8);
        skip(74);
        _accusationRefused(0, IDutyManager.DutyManagerTooEarly.selector);
        skip(1);
        _accusationRefused(8, IDutyManager.DutyManagerNotSilent.selector);
        _accusationRefused(9, IDutyManager.DutyManagerUnknownSeat.selector);
        submit(statement(Lie.None, 0x07f, 0));
        _accusationRefused(0, IDutyManager.DutyManagerNotSilent.selector);
        bytes32 ctx = _accuse(7);
        _accusationRefused(7, IDutyManager.DutyManagerAlreadyAsked.selector);
        skip(15);
        duties.closeAccusation(task, ctx, 7);
        _accusationRefused(7, IDutyManager.DutyManagerNotSilent.selector);
    }

    function test_nothing_is_opened_before_the_demand_end_is_final() public {
        includeBy(allSeats());
        skip(34);
        bytes memory signature_ = maskRootSignature(0, "root");
        vm.expectPartialRevert(IDutyManager.DutyManagerTooEarly.selector);
        duties.openCommitment(task, 0, "root", signature_);
        skip(1);
        duties.openCommitment(task, 0, "root", signature_);
    }

    function test_only_the_duty_manager_convicts_the_absent() public {
        Conviction memory c = conviction(Offence.MissedDuty, 1);
        vm.expectPartialRevert(ISlashingManager.SlashingManagerNotDutyManager.selector);
        slashing.convictAbsent(c, WATCHER);
    }

    function _demand(uint256 seat, uint256 position) private {
        address signer = signerAt(committeeOf(task)[seat]);
        vm.deal(signer, 1 ether);
        vm.prank(signer);
        duties.demandSeed{value: CHALLENGE_BOND}(task, seat, position);
    }

    function _demandRefused(uint256 seat, uint256 position, bytes4 selector) private {
        address signer = signerAt(committeeOf(task)[seat]);
        vm.deal(signer, 1 ether);
        vm.prank(signer);
        vm.expectPartialRevert(selector);
        duties.demandSeed{value: CHALLENGE_BOND}(task, seat, position);
    }

    function _answer(uint256 column, uint256 position) private view returns (IDutyManager.SeedAnswer memory a) {
        (a.task, a.position, a.seed) = (task, position, seedAt(position, column));
        a.opening = bytes.concat(records[position], pathAbove(position, 0));
        uint256 trainer = uint160(vm.addr(trainerKeys[position]));
        for (uint256 j = 0; j < 3; ++j) {
            if (j == column) continue;
            bytes32 other = Headers.commitment(manager.attemptOf(task).ctx, trainer, j, seedAt(position, j));
            a.others = bytes.concat(a.others, other);
        }
    }

    function _proposeWithout8() private {
        includeTruth();
        skip(40);
        submit(statement(Lie.None, WITHOUT_8, 0));
    }

    /// @dev Seat 8 is accused and says nothing.
    function _beSilent() private returns (Conviction memory c) {
        _proposeWithout8();
        c = conviction(Offence.MissedDuty, 1 << 8);
        bytes32 ctx = _accuse(8);
        skip(15);
        duties.closeAccusation(task, ctx, 8);
    }

    function _accuse(uint256 seat) private returns (bytes32 ctx) {
        vm.prank(WATCHER);
        duties.accuse{value: CHALLENGE_BOND}(task, seat);
        return manager.attemptOf(task).ctx;
    }

    function _accusationRefused(uint256 seat, bytes4 selector) private {
        vm.prank(WATCHER);
        vm.expectPartialRevert(selector);
        duties.accuse{value: CHALLENGE_BOND}(task, seat);
    }

    receive() external payable {}
}
