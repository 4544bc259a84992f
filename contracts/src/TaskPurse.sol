// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IRoundManager} from "./interfaces/IRoundManager.sol";
import {IStakeRegistry} from "./interfaces/IStakeRegistry.sol";
import {ITaskRegistry} from "./interfaces/ITaskRegistry.sol";
import {Attempt, ContributionClaim, Phase, Plan, Purse, Settlement} from "./interfaces/Types.sol";
import {Committee} from "./libraries/Committee.sol";
import {InclusionTree} from "./libraries/InclusionTree.sol";
import {Plans} from "./libraries/Plans.sol";

/// @title TaskPurse: the money of tasks, and what rounds leave behind for pay
/// @dev Value is conserved: the tokens held are the unreserved rewards plus the unclaimed pay of settled rounds; the native coin
/// held is the gas pools plus the credits of relayers.
abstract contract TaskPurse is IRoundManager {
    using Committee for uint256[2];
    using Plans for Plan;
    using SafeERC20 for IERC20;

    uint256 private constant BPS = 10_000;
    /// @dev Byte offset of the trainer's address word in a record.
    uint256 private constant RECORD_TRAINER = 64;

    IERC20 public immutable token;
    IStakeRegistry public immutable registry;
    ITaskRegistry public immutable tasks;
    /// @notice The highest price of gas that is refunded, in wei.
    uint256 public immutable gasPriceMax;

    mapping(uint256 task => Plan) internal _plans;
    mapping(uint256 task => Attempt) internal _attempts;
    mapping(uint256 task => mapping(uint256 round => Settlement)) internal _settlements;
    mapping(uint256 task => mapping(uint256 draw => uint256[2])) internal _committees;
    mapping(uint256 task => Purse) private _purses;
    mapping(address relayer => uint256) private _refunds;
    mapping(uint256 task => mapping(uint256 round => uint256 bitmap)) private _trainersPaid;
    mapping(uint256 task => mapping(uint256 round => uint256 bitmap)) private _seatsPaid;

    constructor(IERC20 token_, IStakeRegistry registry_, ITaskRegistry tasks_, uint256 gasPriceMax_) {
        // Delegators are paid through the registry's books.
        if (registry_.token() != token_) revert RoundManagerWrongPeer(address(registry_));
        token = token_;
        registry = registry_;
        tasks = tasks_;
        gasPriceMax = gasPriceMax_;
    }

    modifier onlyCreator(uint256 task) {
        if (msg.sender != tasks.creatorOf(task)) revert RoundManagerNotCreator(task, msg.sender);
        _;
    }

    /// @inheritdoc IRoundManager
    function fund(uint256 task, uint256 rewards) external payable {
        tasks.creatorOf(task); // refuses unknown tasks
        if (rewards > type(uint96).max || msg.value > type(uint96).max) revert RoundManagerAmount(rewards);
        if (rewards == 0 && msg.value == 0) revert RoundManagerAmount(0);
        Purse storage purse = _purses[task];
        purse.rewards += uint128(rewards);
        purse.gasPool += uint128(msg.value);
        emit TaskFunded(task, msg.sender, rewards, msg.value);
        if (rewards == 0) return;
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(msg.sender, address(this), rewards);
        // A token that keeps a fee would leave the books above the balance.
        if (token.balanceOf(address(this)) != before + rewards) revert RoundManagerAmount(rewards);
    }

    /// @inheritdoc IRoundManager
    function withdrawPurse(uint256 task) external onlyCreator(task) {
        Phase phase = _attempts[task].phase;
        bool idle = phase == Phase.Idle || phase == Phase.Paused;
        if (!idle) revert RoundManagerWrongPhase(task, uint256(phase));
        Purse memory purse = _purses[task];
        delete _purses[task];
        emit PurseWithdrawn(task, msg.sender, purse.rewards, purse.gasPool);
        if (purse.rewards != 0) token.safeTransfer(msg.sender, purse.rewards);
        if (purse.gasPool != 0) _send(msg.sender, purse.gasPool);
    }

    /// @inheritdoc IRoundManager
    function claimTrainer(uint256 task, ContributionClaim[] calldata claims) external {
        for (uint256 i = 0; i < claims.length; ++i) {
            _payTrainer(task, claims[i]);
        }
    }

    /// @inheritdoc IRoundManager
    function claimSeats(uint256 task, uint256 validator, uint256[] calldata rounds) external {
        uint256 sum = 0;
        for (uint256 i = 0; i < rounds.length; ++i) {
            sum += _takeSeatPay(task, validator, rounds[i]);
        }
        if (sum == 0) return;
        (address owner, uint256 due) = registry.creditReward(validator, sum);
        token.safeTransfer(owner, due);
        if (due != sum) token.safeTransfer(address(registry), sum - due);
    }

    /// @inheritdoc IRoundManager
    function withdrawRefund() external returns (uint256 amount) {
        amount = _refunds[msg.sender];
        if (amount == 0) revert RoundManagerAmount(0);
        _refunds[msg.sender] = 0;
        emit GasRefundWithdrawn(msg.sender, amount);
        _send(msg.sender, amount);
    }

    /// @inheritdoc IRoundManager
    function settlementOf(uint256 task, uint256 round) external view returns (Settlement memory) {
        return _settlements[task][round];
    }

    /// @inheritdoc IRoundManager
    function purseOf(uint256 task) public view returns (Purse memory) {
        return _purses[task];
    }

    /// @inheritdoc IRoundManager
    function refundOf(address relayer) external view returns (uint256) {
        return _refunds[relayer];
    }

    /// @dev Credit the caller with `gas` at the capped price, as far as the pool reaches.
    function _creditRefund(uint256 task, uint256 gas) internal {
        uint256 amount = _takeGas(task, gas);
        if (amount == 0) return;
        _refunds[msg.sender] += amount;
        emit GasRefundCredited(task, msg.sender, amount);
    }

    /// @dev Take the price of `gas` out of the pool, or all that is left.
    function _takeGas(uint256 task, uint256 gas) internal returns (uint256 amount) {
        uint256 pool = _purses[task].gasPool;
        amount = gas * (tx.gasprice < gasPriceMax ? tx.gasprice : gasPriceMax);
        if (amount > pool) amount = pool;
        if (amount != 0) _purses[task].gasPool = uint128(pool - amount);
    }

    function _returnGas(uint256 task, uint256 amount) internal {
        if (amount != 0) _purses[task].gasPool += uint128(amount);
    }

    /// @dev Reserve the round's reward, as far as the purse reaches; the remainder of the divisions stays in the purse.
    function _reserveReward(uint256 task, Plan memory p, Settlement memory s) internal {
        uint256 available = _purses[task].rewards;
        uint256 reward = p.rewardPerRound();
        if (reward > available) reward = available;
        s.reward = uint128(reward);
        (uint256 each, uint256 perBit) = _shares(p, s);
        uint256 bits = Committee.count(s.includeSeats) + Committee.count(s.proposeSeats);
        _purses[task].rewards = uint128(available - each * s.included - perBit * bits);
    }

    function _shares(Plan memory p, Settlement memory s) private pure returns (uint256 each, uint256 perBit) {
        uint256 trainers = uint256(s.reward) * p.trainerShareBps() / BPS;
        each = trainers / s.included;
        perBit = (s.reward - trainers) / (Committee.count(s.includeSeats) + Committee.count(s.proposeSeats));
    }

    function _settled(uint256 task, uint256 round) private view returns (Settlement memory s) {
        s = _settlements[task][round];
        if (s.draw == 0) revert RoundManagerNotSettled(task, round);
    }

    function _payTrainer(uint256 task, ContributionClaim calldata claim) private {
        Settlement memory s = _settled(task, claim.round);
        bytes32 root = InclusionTree.rootOf(claim.record, claim.position, s.included, claim.path);
        if (root != s.inclusionRoot) revert RoundManagerWrongRecord(task, claim.round, claim.position);
        uint256 paid = _trainersPaid[task][claim.round];
        if ((paid >> claim.position) & 1 == 1) revert RoundManagerAlreadyClaimed(task, claim.round);
        _trainersPaid[task][claim.round] = paid | (1 << claim.position);
        address trainer = address(uint160(uint256(bytes32(claim.record[RECORD_TRAINER:RECORD_TRAINER + 32]))));
        (uint256 amount,) = _shares(_plans[task], s);
        emit TrainerPaid(task, claim.round, trainer, amount);
        token.safeTransfer(trainer, amount);
    }

    function _takeSeatPay(uint256 task, uint256 validator, uint256 round) private returns (uint256 amount) {
        Settlement memory s = _settled(task, round);
        Plan memory p = _plans[task];
        uint256 seat = _seatOf(_committees[task][s.draw], p.seats(), round, validator);
        uint256 paid = _seatsPaid[task][round];
        if ((paid >> seat) & 1 == 1) revert RoundManagerAlreadyClaimed(task, round);
        _seatsPaid[task][round] = paid | (1 << seat);
        (, amount) = _shares(p, s);
        amount *= ((s.includeSeats >> seat) & 1) + ((s.proposeSeats >> seat) & 1);
        emit SeatPaid(task, round, validator, amount);
    }

    function _seatOf(uint256[2] storage committee, uint256 seats, uint256 round, uint256 validator)
        private
        view
        returns (uint256)
    {
        for (uint256 seat = 0; seat < seats; ++seat) {
            if (committee.at(seat) == validator) return seat;
        }
        revert RoundManagerNotSeated(round, validator);
    }

    function _send(address to, uint256 amount) private {
        (bool sent,) = to.call{value: amount}("");
        if (!sent) revert RoundManagerPaymentFailed();
    }
}
