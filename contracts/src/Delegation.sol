// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IStakeRegistry, Unbonding} from "./interfaces/IStakeRegistry.sol";
import {StakePool} from "./libraries/StakePool.sol";
import {ValidatorRoster} from "./ValidatorRoster.sol";

/// @title Delegation: whose stake it is, what it earns, and how it leaves
/// @dev Shares cannot be transferred. Pay is credited beside the pool and never raises the price of a share.
abstract contract Delegation is ValidatorRoster {
    using SafeERC20 for IERC20;
    using StakePool for StakePool.Pool;

    /// @notice Requests to unbond of one holder on one validator.
    uint256 public constant UNBONDINGS_MAX = 8;
    uint256 internal constant BPS = 10_000;

    IERC20 public immutable token;
    uint256 public immutable stakeMin;
    /// @notice Seconds from a request to its release.
    uint256 public immutable unbondingSeconds;

    struct Terms {
        address owner;
        uint16 commissionBps;
        uint16 nextCommissionBps;
        uint40 nextCommissionAt; // 0 where no raise is waiting
    }

    struct Position {
        uint128 shares;
        uint256 accrued; // of the pool when `earned` was last credited
    }

    struct Leaving {
        uint128 shares;
        uint40 releaseAt;
    }

    uint256 private _owed;
    mapping(uint256 validator => Terms) private _terms;
    mapping(uint256 validator => StakePool.Pool) internal _pools;
    mapping(uint256 validator => mapping(address holder => Position)) private _positions;
    mapping(uint256 validator => mapping(address holder => Leaving[])) private _leavings;
    mapping(address account => uint256) private _credits;

    constructor(IERC20 token_, uint256 stakeMin_, uint256 unbondingSeconds_) {
        token = token_;
        stakeMin = stakeMin_;
        unbondingSeconds = unbondingSeconds_;
    }

    /// @inheritdoc IStakeRegistry
    function stake(uint256 validator, uint256 amount) external onlyOwnerOf(validator) whileEntriesAreOpen {
        uint128 shares = _enter(validator, amount);
        _pools[validator].own += shares;
        _stakeChanged(validator);
        emit Staked(validator, amount, stakeOf(validator));
        _pull(amount);
    }

    /// @inheritdoc IStakeRegistry
    function delegate(uint256 validator, uint256 amount) external whileEntriesAreOpen {
        address owner = ownerOf(validator);
        if (owner == address(0)) revert StakeRegistryUnknownValidator(validator);
        // The owner's stake is told apart: it earns commission and decides whether the validator has weight.
        if (owner == msg.sender) revert StakeRegistryOwnStake(validator);
        // A latecomer must not take the pay of a validator that has left.
        if (!_isBacked(_pools[validator])) revert StakeRegistryNotBacked(validator);
        _creditEarned(validator, msg.sender);
        _enter(validator, amount);
        _stakeChanged(validator);
        emit Delegated(validator, msg.sender, amount);
        _pull(amount);
    }

    /// @inheritdoc IStakeRegistry
    function requestUnstake(uint256 validator, uint256 amount) external {
        StakePool.Pool storage pool = _pools[validator];
        Position storage position = _positions[validator][msg.sender];
        uint256 held = position.shares;
        if (amount == 0 || amount > pool.valueOf(held)) revert StakeRegistryAmount(amount);
        bool own = msg.sender == ownerOf(validator);
        if (!own) _creditEarned(validator, msg.sender);
        uint128 shares = pool.sharesFor(amount, held);
        uint40 releaseAt = uint40(block.timestamp + unbondingSeconds);
        position.shares = uint128(held - shares);
        if (own) pool.own -= shares;
        pool.bonded -= shares;
        pool.unbonding += shares;
        pool.releaseAt = releaseAt;
        _queue(_leavings[validator][msg.sender], shares, releaseAt);
        _stakeChanged(validator);
        emit UnstakeRequested(validator, msg.sender, amount, releaseAt);
    }

    /// @inheritdoc IStakeRegistry
    function withdraw(uint256 validator) external returns (uint256 amount) {
        Leaving[] storage queue = _leavings[validator][msg.sender];
        uint256 count = queue.length;
        if (count == 0) revert StakeRegistryAmount(0);
        uint256 released = 0;
        uint256 shares = 0;
        for (; released < count && queue[released].releaseAt <= block.timestamp; ++released) {
            shares += queue[released].shares;
        }
        if (released == 0) revert StakeRegistryUnbondingNotElapsed(queue[0].releaseAt);
        for (uint256 i = released; i < count; ++i) {
            queue[i - released] = queue[i];
        }
        for (uint256 i = 0; i < released; ++i) {
            queue.pop();
        }
        amount = _pools[validator].leave(shares);
        emit Withdrawn(validator, msg.sender, amount);
        token.safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc IStakeRegistry
    function setCommission(uint256 validator, uint256 bps) external onlyOwnerOf(validator) {
        if (bps > BPS) revert StakeRegistryCommission(bps);
        Terms storage t = _terms[validator];
        uint256 present = commissionOf(validator);
        uint256 effectiveAt = bps > present ? block.timestamp + unbondingSeconds : block.timestamp;
        t.commissionBps = uint16(bps > present ? present : bps);
        t.nextCommissionBps = uint16(bps);
        t.nextCommissionAt = uint40(effectiveAt);
        emit CommissionSet(validator, bps, effectiveAt);
    }

    /// @inheritdoc IStakeRegistry
    function claimRewards(uint256 validator) external returns (uint256) {
        _creditEarned(validator, msg.sender);
        return payOut(msg.sender);
    }

    /// @inheritdoc IStakeRegistry
    function payOut(address account) public returns (uint256 amount) {
        amount = _credits[account];
        if (amount == 0) revert StakeRegistryAmount(0);
        _credits[account] = 0;
        _owed -= amount;
        emit Paid(account, amount);
        token.safeTransfer(account, amount);
    }

    /// @inheritdoc IStakeRegistry
    function ownerOf(uint256 validator) public view override returns (address) {
        return _terms[validator].owner;
    }

    /// @inheritdoc IStakeRegistry
    function stakeOf(uint256 validator) public view returns (uint256) {
        StakePool.Pool storage pool = _pools[validator];
        return pool.valueOf(pool.bonded);
    }

    /// @inheritdoc IStakeRegistry
    function unbondingOf(uint256 validator) external view returns (uint256 amount, uint256 releaseAt) {
        StakePool.Pool storage pool = _pools[validator];
        return (pool.valueOf(pool.unbonding), pool.releaseAt);
    }

    /// @inheritdoc IStakeRegistry
    function assetsOf(uint256 validator) external view returns (uint256) {
        return _pools[validator].assets;
    }

    /// @inheritdoc IStakeRegistry
    function positionOf(uint256 validator, address holder)
        external
        view
        returns (uint256 amount, Unbonding[] memory unbonding, uint256 earned)
    {
        StakePool.Pool storage pool = _pools[validator];
        Leaving[] storage queue = _leavings[validator][holder];
        amount = pool.valueOf(_positions[validator][holder].shares);
        unbonding = new Unbonding[](queue.length);
        for (uint256 i = 0; i < unbonding.length; ++i) {
            unbonding[i] = Unbonding(pool.valueOf(queue[i].shares), queue[i].releaseAt);
        }
        earned = _earned(validator, holder);
    }

    /// @inheritdoc IStakeRegistry
    function commissionOf(uint256 validator) public view returns (uint256) {
        Terms storage t = _terms[validator];
        return block.timestamp < t.nextCommissionAt ? t.commissionBps : t.nextCommissionBps;
    }

    /// @inheritdoc IStakeRegistry
    function creditOf(address account) external view returns (uint256) {
        return _credits[account];
    }

    /// @inheritdoc IStakeRegistry
    function owed() external view returns (uint256) {
        return _owed;
    }

    /// @dev Bring the weight in line with the stake, if it may change now.
    function _stakeChanged(uint256 validator) internal virtual;

    /// @dev An owner without stake of its own would risk its delegators' only.
    function _isBacked(StakePool.Pool storage pool) internal view returns (bool) {
        return pool.valueOf(pool.own) >= stakeMin;
    }

    function _openPool(uint256 validator, address owner) internal override {
        _terms[validator].owner = owner;
        _pools[validator].open();
    }

    /// @dev Book a validator's pay: the delegators' part by their shares, less commission; the owner's part is returned.
    function _creditReward(uint256 validator, uint256 amount) internal returns (uint256 due) {
        StakePool.Pool storage pool = _pools[validator];
        uint256 delegated = pool.bonded - pool.own;
        uint256 rest = delegated == 0 ? 0 : amount * delegated / pool.bonded;
        rest -= rest * commissionOf(validator) / BPS;
        due = amount - rest;
        if (rest != 0) {
            pool.accrued += rest * StakePool.ONE / delegated;
            _owed += rest;
        }
        emit RewardCredited(validator, due, rest);
    }

    /// @dev Owe what was slashed, to be paid by `payOut`: a payment that fails must not save a liar.
    function _creditSlash(address treasury, address finder, uint256 taken) internal returns (uint256 share) {
        share = finder == address(0) ? 0 : taken / 10;
        _owed += taken;
        if (share != 0) _credits[finder] += share;
        _credits[treasury] += taken - share;
    }

    function _enter(uint256 validator, uint256 amount) private returns (uint128 shares) {
        if (amount == 0 || amount > type(uint96).max) revert StakeRegistryAmount(amount);
        StakePool.Pool storage pool = _pools[validator];
        if (pool.price < StakePool.PRICE_MIN) revert StakeRegistryWornOut(validator);
        shares = pool.enter(amount);
        _positions[validator][msg.sender].shares += shares;
    }

    /// @dev A full queue never refuses an exit: the newest request takes the new one along.
    function _queue(Leaving[] storage queue, uint128 shares, uint40 releaseAt) private {
        uint256 count = queue.length;
        if (count < UNBONDINGS_MAX) {
            queue.push(Leaving({shares: shares, releaseAt: releaseAt}));
            return;
        }
        queue[count - 1].shares += shares;
        queue[count - 1].releaseAt = releaseAt;
    }

    function _creditEarned(uint256 validator, address holder) private {
        uint256 earned = _earned(validator, holder);
        _positions[validator][holder].accrued = _pools[validator].accrued;
        if (earned != 0) _credits[holder] += earned;
    }

    /// @dev The owner's part of all pay went to it directly.
    function _earned(uint256 validator, address holder) private view returns (uint256) {
        if (holder == ownerOf(validator)) return 0;
        Position storage position = _positions[validator][holder];
        return position.shares * (_pools[validator].accrued - position.accrued) / StakePool.ONE;
    }

    function _pull(uint256 amount) private {
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(msg.sender, address(this), amount);
        // A token that keeps a fee would leave the books above the balance.
        if (token.balanceOf(address(this)) != before + amount) revert StakeRegistryAmount(amount);
    }
}
