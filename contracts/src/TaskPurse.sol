// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IRoundManager} from "./interfaces/IRoundManager.sol";
import {IStakeRegistry} from "./interfaces/IStakeRegistry.sol";
import {ITaskRegistry} from "./interfaces/ITaskRegistry.sol";
import {Attempt, Phase, Plan, Purse, Settlement} from "./interfaces/Types.sol";
import {Plans} from "./libraries/Plans.sol";
import {Shares} from "./libraries/Shares.sol";

/// @title TaskPurse: the money of tasks, and what rounds leave behind for pay
/// @dev Value is conserved: the tokens held are the unreserved rewards plus the unclaimed pay of settled rounds; the native coin
/// held is the gas pools plus the credits of relayers.
abstract contract TaskPurse is IRoundManager {
    using Plans for Plan;
    using SafeERC20 for IERC20;

    IERC20 public immutable token;
    IStakeRegistry public immutable registry;
    ITaskRegistry public immutable tasks;
    /// @notice The highest price of gas that is refunded, in wei.
    uint256 public immutable gasPriceMax;
    /// @notice Who says which pay is due to whom.
    address public immutable roundPay;

    mapping(uint256 task => Plan) internal _plans;
    mapping(uint256 task => Attempt) internal _attempts;
    mapping(uint256 task => mapping(uint256 round => Settlement)) internal _settlements;
    mapping(uint256 task => mapping(uint256 draw => uint256[2])) internal _committees;
    mapping(uint256 task => bytes32) internal _epochSeeds;
    mapping(uint256 task => bytes32) internal _proposedRoots;
    mapping(uint256 task => Purse) private _purses;
    mapping(address relayer => uint256) private _refunds;

    constructor(
        IERC20 token_,
        IStakeRegistry registry_,
        ITaskRegistry tasks_,
        address roundPay_,
        uint256 gasPriceMax_
    ) {
        token = token_;
        registry = registry_;
        tasks = tasks_;
        gasPriceMax = gasPriceMax_;
        roundPay = roundPay_;
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
    function payOut(address to, uint256 amount) external {
        if (msg.sender != roundPay) revert RoundManagerNotPay(msg.sender);
        token.safeTransfer(to, amount);
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
        (uint256 each, uint256 perBit, uint256 bits) = Shares.split(p, s);
        _purses[task].rewards = uint128(available - each * s.included - perBit * bits);
    }

    function _send(address to, uint256 amount) private {
        (bool sent,) = to.call{value: amount}("");
        if (!sent) revert RoundManagerPaymentFailed();
    }
}
