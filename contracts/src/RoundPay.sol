// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IRoundManager} from "./interfaces/IRoundManager.sol";
import {IRoundPay} from "./interfaces/IRoundPay.sol";
import {IStakeRegistry} from "./interfaces/IStakeRegistry.sol";
import {ITaskRegistry} from "./interfaces/ITaskRegistry.sol";
import {ContributionClaim, Plan, Settlement} from "./interfaces/Types.sol";
import {InclusionTree} from "./libraries/InclusionTree.sol";
import {Plans} from "./libraries/Plans.sol";
import {Shares} from "./libraries/Shares.sol";

/// @title RoundPay: who has been paid for which settled round
/// @dev The round manager holds the money; this contract says what is due of it, once.
contract RoundPay is IRoundPay {
    using Plans for Plan;

    /// @dev Byte offset of the trainer's address word in a record.
    uint256 private constant RECORD_TRAINER = 64;

    IRoundManager public immutable manager;
    IStakeRegistry public immutable registry;
    ITaskRegistry public immutable tasks;

    mapping(uint256 task => mapping(uint256 round => uint256 bitmap)) private _trainersPaid;
    mapping(uint256 task => mapping(uint256 round => uint256 bitmap)) private _seatsPaid;

    constructor(IRoundManager manager_, IStakeRegistry registry_, ITaskRegistry tasks_) {
        manager = manager_;
        registry = registry_;
        tasks = tasks_;
    }

    /// @inheritdoc IRoundPay
    function claimTrainer(uint256 task, ContributionClaim[] calldata claims) external {
        (Plan memory p,) = tasks.planOf(task);
        for (uint256 i = 0; i < claims.length; ++i) {
            _payTrainer(task, p, claims[i]);
        }
    }

    /// @inheritdoc IRoundPay
    function claimSeats(uint256 task, uint256 validator, uint256[] calldata rounds) external {
        (Plan memory p,) = tasks.planOf(task);
        uint256 sum = 0;
        for (uint256 i = 0; i < rounds.length; ++i) {
            sum += _takeSeatPay(task, p, validator, rounds[i]);
        }
        if (sum != 0) manager.payOut(registry.ownerOf(validator), sum);
    }

    function _settled(uint256 task, uint256 round) private view returns (Settlement memory s) {
        s = manager.settlementOf(task, round);
        if (s.draw == 0) revert RoundPayNotSettled(task, round);
    }

    function _payTrainer(uint256 task, Plan memory p, ContributionClaim calldata claim) private {
        Settlement memory s = _settled(task, claim.round);
        bytes32 root = InclusionTree.rootOf(claim.record, claim.position, s.included, claim.path);
        if (root != s.inclusionRoot) revert RoundPayWrongRecord(task, claim.round, claim.position);
        uint256 paid = _trainersPaid[task][claim.round];
        if ((paid >> claim.position) & 1 == 1) revert RoundPayAlreadyClaimed(task, claim.round);
        _trainersPaid[task][claim.round] = paid | (1 << claim.position);
        address trainer = address(uint160(uint256(bytes32(claim.record[RECORD_TRAINER:RECORD_TRAINER + 32]))));
        (uint256 amount,,) = Shares.split(p, s);
        emit TrainerPaid(task, claim.round, trainer, amount);
        manager.payOut(trainer, amount);
    }

    function _takeSeatPay(uint256 task, Plan memory p, uint256 validator, uint256 round)
        private
        returns (uint256 amount)
    {
        Settlement memory s = _settled(task, round);
        uint256 seat = _seatOf(manager.committeeAt(task, s.draw), p.seats(), round, validator);
        uint256 paid = _seatsPaid[task][round];
        if ((paid >> seat) & 1 == 1) revert RoundPayAlreadyClaimed(task, round);
        _seatsPaid[task][round] = paid | (1 << seat);
        (, amount,) = Shares.split(p, s);
        amount *= ((s.includeSeats >> seat) & 1) + ((s.proposeSeats >> seat) & 1);
        emit SeatPaid(task, round, validator, amount);
    }

    function _seatOf(uint256[2] memory committee, uint256 seats, uint256 round, uint256 validator)
        private
        pure
        returns (uint256)
    {
        for (uint256 seat = 0; seat < seats; ++seat) {
            if ((committee[seat >> 4] >> ((seat & 15) << 4)) & 0xffff == validator) return seat;
        }
        revert RoundPayNotSeated(round, validator);
    }
}
