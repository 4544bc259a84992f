// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Evidence} from "./Evidence.sol";
import {IDutyManager} from "./interfaces/IDutyManager.sol";
import {IRoundManager} from "./interfaces/IRoundManager.sol";
import {ISlashingManager} from "./interfaces/ISlashingManager.sol";
import {IStakeRegistry} from "./interfaces/IStakeRegistry.sol";
import {ITaskRegistry} from "./interfaces/ITaskRegistry.sol";
import {Attempt, Consequence, Conviction, Offence, Phase, Plan} from "./interfaces/Types.sol";
import {Committee} from "./libraries/Committee.sol";
import {Headers} from "./libraries/Headers.sol";
import {Plans} from "./libraries/Plans.sol";
import {Trees} from "./libraries/Trees.sol";
import {TreeQuestions} from "./TreeQuestions.sol";

/// @title DutyManager: what seats owe each other on chain, and what keeping silent costs
/// @notice Seeds that a seat lacks, commitments that a seat keeps closed, bytes that a proposal keeps to itself.
contract DutyManager is TreeQuestions {
    using Plans for Plan;

    /// @notice A second missed duty within so many rounds costs stake.
    uint256 public constant MEMORY_ROUNDS = 32;
    /// @notice Demands of one attempt.
    uint256 public constant DEMANDS_MAX = 64;

    ISlashingManager public immutable slashing;

    struct Demand {
        address demander; // zero: not open
        uint8 seat;
        uint8 column; // column + 1, kept: a trainer's seed is given for one column only
    }

    struct Accusation {
        address accuser; // zero: not open
        uint40 deadline;
        bool closed; // a seat is accused once in an attempt
    }

    mapping(bytes32 contribution => Demand) private _demands;
    mapping(bytes32 ctx => uint256) private _demanded;
    mapping(bytes32 seat => Accusation) private _accusations;
    mapping(bytes32 ctx => uint256 bitmap) private _opened;
    mapping(uint256 task => mapping(uint256 validator => uint256 roundPlusOne)) private _missed;

    constructor(
        IRoundManager manager_,
        IStakeRegistry registry_,
        ITaskRegistry tasks_,
        ISlashingManager slashing_,
        uint256 bond_
    ) Evidence(manager_, registry_, tasks_) TreeQuestions(bond_) {
        slashing = slashing_;
    }

    /// @inheritdoc IDutyManager
    function demandSeed(uint256 task, uint256 seat, uint256 position) external payable bonded {
        Case memory c = _case(task);
        Attempt memory a = c.attempt;
        if (a.phase != Phase.Included && a.phase != Phase.Demanded) revert DutyManagerWrongPhase(uint256(a.phase));
        uint256 until = c.plan.demandsUntil(a.acceptedAt);
        if (block.timestamp >= until) revert DutyManagerTooLate(until);
        if (position >= a.included) revert DutyManagerPosition(position, a.included);
        _checkSeat(c, seat);
        uint256 validator = _idAt(c, seat);
        if (msg.sender != registry.signerOf(validator)) revert DutyManagerNotSigner(validator, msg.sender);
        // Who signed the set said that it holds all seeds.
        if ((a.includeSeats >> seat) & 1 == 1) revert DutyManagerHoldsSeed(seat);
        if (++_demanded[a.ctx] > DEMANDS_MAX) revert DutyManagerTooMany(DEMANDS_MAX);
        uint256 column = seat % c.plan.columns();
        Demand storage demand = _demands[_key(a.ctx, position)];
        if (demand.column != 0) revert DutyManagerSeedGiven(position, demand.column - 1);
        demand.demander = msg.sender;
        demand.seat = uint8(seat);
        demand.column = uint8(column + 1);
        manager.hold(task);
        emit SeedDemanded(task, a.round, a.attempt, position, column, seat, c.plan.demandEnd(a.acceptedAt));
    }

    /// @inheritdoc IDutyManager
    function answerDemand(SeedAnswer calldata answer) external {
        Case memory c = _case(answer.task);
        Attempt memory a = c.attempt;
        if (a.phase != Phase.Demanded) revert DutyManagerWrongPhase(uint256(a.phase));
        uint256 end = c.plan.demandEnd(a.acceptedAt);
        if (block.timestamp >= end) revert DutyManagerTooLate(end);
        Demand storage demand = _demands[_key(a.ctx, answer.position)];
        if (demand.demander == address(0)) revert DutyManagerNotAsked();
        uint256 column = demand.column - 1;
        _checkSeed(c, column, answer);
        demand.demander = address(0);
        emit SeedAnswered(answer.task, a.round, a.attempt, answer.position, column, answer.seed);
        manager.release(answer.task);
        _payBond(msg.sender, answer.task);
    }

    /// @inheritdoc IDutyManager
    function closeDemand(uint256 task, bytes32 ctx, uint256 position) external {
        Demand storage demand = _demands[_key(ctx, position)];
        address demander = demand.demander;
        if (demander == address(0)) revert DutyManagerNotAsked();
        Case memory c = _case(task);
        if (c.attempt.ctx == ctx && c.attempt.phase == Phase.Demanded) {
            uint256 end = c.plan.demandEnd(c.attempt.acceptedAt);
            if (block.timestamp < end) revert DutyManagerTooEarly(end);
            demand.demander = address(0);
            _abort(c, task, position, demand.column - 1, demander);
        }
        demand.demander = address(0);
        _payBond(demander, task);
    }

    /// @inheritdoc IDutyManager
    function accuse(uint256 task, uint256 seat) external payable bonded {
        Case memory c = _case(task);
        Attempt memory a = c.attempt;
        if (!_hasSet(c) || a.phase == Phase.Demanded) revert DutyManagerWrongPhase(uint256(a.phase));
        uint256 start = c.plan.rootDeadline(a.acceptedAt);
        if (block.timestamp < start) revert DutyManagerTooEarly(start);
        _checkSeat(c, seat);
        bool silent = (a.includeSeats >> seat) & 1 == 1 && (_answered(c) >> seat) & 1 == 0;
        if (!silent) revert DutyManagerNotSilent(seat);
        Accusation storage accusation = _accusations[_key(a.ctx, seat)];
        if (accusation.closed || accusation.accuser != address(0)) revert DutyManagerAlreadyAsked();
        accusation.accuser = msg.sender;
        accusation.deadline = uint40(block.timestamp + c.plan.answerTime());
        emit SeatAccused(task, a.round, a.attempt, seat, accusation.deadline);
    }

    /// @inheritdoc IDutyManager
    function openCommitment(uint256 task, uint256 seat, bytes32 root, bytes calldata signature) external {
        Case memory c = _case(task);
        Attempt memory a = c.attempt;
        // Nothing is opened before the end of the demand window is final.
        uint256 start = c.plan.demandEnd(a.acceptedAt) + c.plan.finality();
        if (!_hasSet(c) || a.phase == Phase.Demanded) revert DutyManagerWrongPhase(uint256(a.phase));
        if (block.timestamp < start) revert DutyManagerTooEarly(start);
        _checkSeat(c, seat);
        if ((_opened[a.ctx] >> seat) & 1 == 1) revert DutyManagerNotSilent(seat);
        uint256 column = seat % c.plan.columns();
        uint256 words = tasks.integersOf(task).words;
        _checkSignatures(c, 1 << seat, _maskRootDigest(c, column, root, words), signature);
        _opened[a.ctx] |= 1 << seat;
        emit CommitmentOpened(task, a.round, a.attempt, seat, column, root);
        if (_closeAccusation(a.ctx, seat) != address(0)) _payBond(msg.sender, task);
    }

    /// @inheritdoc IDutyManager
    function closeAccusation(uint256 task, bytes32 ctx, uint256 seat) external {
        uint256 deadline = _accusations[_key(ctx, seat)].deadline;
        address accuser = _closeAccusation(ctx, seat);
        if (accuser == address(0)) revert DutyManagerNotAsked();
        Case memory c = _case(task);
        if (c.attempt.ctx == ctx && _hasSet(c)) {
            if (block.timestamp < deadline) revert DutyManagerTooEarly(deadline);
            // Where most seats keep silent, something else is wrong.
            if (2 * Committee.count(_answered(c)) >= c.plan.seats()) {
                manager.judge(task, 0, 1 << seat, Consequence.None);
                _miss(c, task, _idAt(c, seat), accuser);
            }
        }
        _payBond(accuser, task);
    }

    /// @inheritdoc IDutyManager
    function missedAt(uint256 task, uint256 validator) external view returns (uint256) {
        return _missed[task][validator];
    }

    function _key(bytes32 ctx, uint256 number) private pure returns (bytes32) {
        return keccak256(abi.encode(ctx, number));
    }

    function _checkSeat(Case memory c, uint256 seat) private pure {
        if (seat >= c.plan.seats()) revert DutyManagerUnknownSeat(seat);
    }

    /// @dev Seats that opened their commitment on chain or signed the proposal that stands.
    function _answered(Case memory c) private view returns (uint256) {
        return _opened[c.attempt.ctx] | (_hasProposal(c) ? c.attempt.proposeSeats : 0);
    }

    /// @dev The seed is the one that the record at the position commits to for the column.
    function _checkSeed(Case memory c, uint256 column, SeedAnswer calldata answer) private view {
        uint256 others = 32 * (c.plan.columns() - 1);
        if (answer.others.length != others) revert DutyManagerLength(answer.others.length, others);
        uint256 byteLength = Headers.RECORD_BYTES * c.attempt.included;
        Trees.check(c.inclusionRoot, Trees.INCLUSION, byteLength, Headers.RECORD_BYTES, answer.position, answer.opening);
        uint256 trainer = uint256(bytes32(answer.opening[64:96]));
        bytes32 own = Headers.commitment(c.attempt.ctx, trainer, column, answer.seed);
        bytes32 found = Headers.seedsHash(answer.others, column, own);
        bytes32 expected = bytes32(answer.opening[192:224]);
        if (found != expected) revert DutyManagerWrongSeed(found, expected);
    }

    /// @dev No sum is known yet. The column's signers of the set said that they hold the seed.
    function _abort(Case memory c, uint256 task, uint256 position, uint256 column, address demander) private {
        uint256 absent = c.attempt.includeSeats & _seatsOf(c, column);
        emit DemandUnanswered(task, c.attempt.round, c.attempt.attempt, position, column);
        uint256[] memory ids = _idsOf(c, absent);
        for (uint256 i = 0; i < ids.length; ++i) {
            _miss(c, task, ids[i], demander);
        }
        manager.judge(task, 0, absent, Consequence.Abort);
    }

    function _closeAccusation(bytes32 ctx, uint256 seat) private returns (address accuser) {
        Accusation storage accusation = _accusations[_key(ctx, seat)];
        accuser = accusation.accuser;
        accusation.accuser = address(0);
        accusation.closed = true;
    }

    /// @dev The first costs pay and the next draw, which the round manager sees to; the second costs stake as well.
    function _miss(Case memory c, uint256 task, uint256 validator, address finder) private {
        Attempt memory a = c.attempt;
        uint256 last = _missed[task][validator];
        bool second = last != 0 && uint256(a.round) + 1 - last < MEMORY_ROUNDS;
        _missed[task][validator] = uint256(a.round) + 1;
        emit DutyMissed(task, a.round, a.attempt, validator, second);
        if (!second) return;
        uint256[] memory ids = new uint256[](1);
        ids[0] = validator;
        slashing.convictAbsent(Conviction(task, a.round, a.attempt, Offence.MissedDuty, a.ctx, ids), finder);
    }
}
