// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Delegation} from "./Delegation.sol";
import {Authorities, IStakeRegistry, StakeTerms} from "./interfaces/IStakeRegistry.sol";
import {Committee} from "./libraries/Committee.sol";
import {Seating} from "./libraries/Seating.sol";
import {StakePool} from "./libraries/StakePool.sol";
import {SumTree} from "./libraries/SumTree.sol";
import {ValidatorRoster} from "./ValidatorRoster.sol";

/// @title StakeRegistry: who may sit in committees, and with what weight
/// @notice Validators and their delegators stake tokens here. Only a proof takes stake; what leaves waits out the unbonding
/// delay and stays liable until then.
/// @dev One contract in three files: `ValidatorRoster` (keys), `Delegation` (money), `StakeRegistry` (weights and draws).
/// The weight of a validator is its stake in `WEIGHT_UNIT`s, zero while its owner's own stake is below `stakeMin`; the weights
/// of one organisation together stay at or below `stakeCap`.
contract StakeRegistry is Delegation {
    using StakePool for StakePool.Pool;
    using SumTree for SumTree.Tree;

    /// @notice Stake for one unit of weight.
    uint256 public constant WEIGHT_UNIT = 1 ether;

    address public immutable roundManager;
    address public immutable slashingManager;
    address public immutable paymaster;
    /// @notice Who receives what is slashed, less the finder's share.
    address public immutable treasury;
    uint256 public immutable stakeCap;
    /// @notice The most that all slashes of one scope take, of what the validator held at the first of them.
    uint256 public immutable slashCapBps;

    /// @dev What slashes of one scope may take and have taken.
    struct Scope {
        uint128 limit;
        uint128 taken;
    }

    SumTree.Tree private _tree;
    mapping(uint256 validator => mapping(bytes32 scope => Scope)) private _scopes;

    constructor(IERC20 token_, Authorities memory by, StakeTerms memory terms)
        ValidatorRoster(by.registrar, by.guardian)
        Delegation(token_, terms.stakeMin, terms.unbondingSeconds)
    {
        // Below 2^47 units each, 2^16 organisations' or validators' weights sum to less than 2^64.
        bool sound = terms.stakeMin >= WEIGHT_UNIT && terms.stakeCap >= terms.stakeMin
            && terms.stakeCap / WEIGHT_UNIT < 1 << 47 && terms.slashCapBps != 0 && terms.slashCapBps <= BPS;
        if (!sound) revert StakeRegistryBounds(terms.stakeMin, terms.stakeCap, terms.slashCapBps);
        if (by.treasury == address(0)) revert StakeRegistryZero();
        roundManager = by.roundManager;
        slashingManager = by.slashingManager;
        paymaster = by.paymaster;
        treasury = by.treasury;
        stakeCap = terms.stakeCap;
        slashCapBps = terms.slashCapBps;
    }

    modifier onlyRoundManager() {
        if (msg.sender != roundManager) revert StakeRegistryNotRoundManager(msg.sender);
        _;
    }

    /// @inheritdoc IStakeRegistry
    function slash(uint256 validator, uint256 amount, bytes32 scope, address finder)
        external
        returns (uint256 taken)
    {
        if (msg.sender != slashingManager) revert StakeRegistryNotSlashingManager(msg.sender);
        if (validator >= _totals.validators) revert StakeRegistryUnknownValidator(validator);
        taken = _takeFromScope(_scopes[validator][scope], _pools[validator].assets, amount);
        _pools[validator].slash(taken);
        uint256 share = _creditSlash(treasury, finder, taken);
        emit Slashed(validator, scope, finder, taken, share);
        if (_totals.freezes == 0) {
            _setWeight(validator);
        } else {
            _seats[validator].ejected = true;
            emit ValidatorEjected(validator);
        }
    }

    /// @inheritdoc IStakeRegistry
    function creditReward(uint256 validator, uint256 amount)
        external
        returns (address owner, uint256 due)
    {
        if (msg.sender != paymaster) revert StakeRegistryNotPaymaster(msg.sender);
        return (ownerOf(validator), _creditReward(validator, amount));
    }

    /// @inheritdoc IStakeRegistry
    function refreshWeight(uint256 validator) external {
        if (validator >= _totals.validators) revert StakeRegistryUnknownValidator(validator);
        if (_totals.freezes != 0) revert StakeRegistryFrozen(_totals.freezes);
        _setWeight(validator);
    }

    /// @inheritdoc IStakeRegistry
    function freeze() external onlyRoundManager {
        emit WeightsFrozen(++_totals.freezes);
    }

    /// @inheritdoc IStakeRegistry
    function thaw() external onlyRoundManager {
        emit WeightsThawed(--_totals.freezes);
    }

    /// @inheritdoc IStakeRegistry
    function draw(bytes32 seed, uint256 seats, uint256[] calldata excluded) external view returns (uint256[] memory) {
        return _draw(seed, seats, excluded);
    }

    /// @inheritdoc IStakeRegistry
    function redraw(bytes32 seed, uint256[] calldata committee, uint256 noShows, bool stay)
        external
        view
        returns (uint256[] memory)
    {
        (uint256[] memory present, uint256[] memory absent) = Committee.split(committee, noShows);
        if (!stay) {
            if (eligibleOrganisationsWithout(absent) < committee.length) absent = new uint256[](0);
            return _draw(seed, committee.length, absent);
        }
        (present, absent) = Committee.split(committee, noShows | _unfit(committee));
        uint256 others = eligibleOrganisationsWithout(committee);
        uint256[] memory fresh = _draw(seed, others < absent.length ? others : absent.length, committee);
        uint256[] memory ids = Committee.join(present, fresh, absent);
        Committee.shuffle(ids, seed);
        return ids;
    }

    /// @inheritdoc IStakeRegistry
    function eligibleOrganisations() external view returns (uint256) {
        return _totals.eligible;
    }

    /// @inheritdoc IStakeRegistry
    function eligibleOrganisationsWithout(uint256[] memory excluded) public view returns (uint256 count) {
        count = _totals.eligible;
        for (uint256 i = 0; i < excluded.length; ++i) {
            uint32 organisation = _seats[excluded[i]].organisation;
            bool seen = _organisations[_organisationAt[organisation]].weight == 0;
            for (uint256 j = 0; j < i && !seen; ++j) {
                seen = _seats[excluded[j]].organisation == organisation;
            }
            if (!seen) --count;
        }
    }

    /// @inheritdoc IStakeRegistry
    function freezes() external view returns (uint256) {
        return _totals.freezes;
    }

    /// @inheritdoc IStakeRegistry
    function totalWeight() external view returns (uint256) {
        return _tree.total();
    }

    /// @inheritdoc IStakeRegistry
    function isEjected(uint256 validator) external view returns (bool) {
        return _seats[validator].ejected;
    }

    /// @inheritdoc IStakeRegistry
    function weightOf(uint256 validator) external view returns (uint256) {
        return _tree.weightAt(validator);
    }

    function _draw(bytes32 seed, uint256 seats, uint256[] memory excluded) private view returns (uint256[] memory) {
        return Seating.draw(_tree, _seats, _totals.validators, seed, seats, excluded);
    }

    /// @dev Return the seats that a draw would not give any more, as a bitmap.
    function _unfit(uint256[] calldata committee) private view returns (uint256 seats) {
        for (uint256 seat = 0; seat < committee.length; ++seat) {
            uint256 validator = committee[seat];
            if (_seats[validator].ejected || _tree.weightAt(validator) == 0) seats |= 1 << seat;
        }
    }

    function _stakeChanged(uint256 validator) internal override {
        if (_totals.freezes == 0) _setWeight(validator);
    }

    /// @dev Return how much of `amount` the scope still allows, and count it.
    function _takeFromScope(Scope storage scope, uint256 assets, uint256 amount) private returns (uint256) {
        uint256 limit = scope.limit;
        if (limit == 0) {
            limit = (assets * slashCapBps + BPS - 1) / BPS;
            scope.limit = uint128(limit);
        }
        uint256 room = limit - scope.taken;
        if (amount > room) amount = room;
        if (amount > assets) amount = assets;
        scope.taken += uint128(amount);
        return amount;
    }

    function _setWeight(uint256 validator) private {
        if (_seats[validator].ejected) _seats[validator].ejected = false;
        Organisation storage o = _organisations[organisationOf(validator)];
        uint256 old = _tree.weightAt(validator);
        uint256 others = o.weight - old;
        uint256 weight = _weightOfStake(_pools[validator], stakeCap / WEIGHT_UNIT - others);
        if (weight == old) return;
        if (others + old == 0) ++_totals.eligible;
        if (others + weight == 0) --_totals.eligible;
        o.weight = uint64(others + weight);
        _tree.set(validator, weight);
        emit WeightSet(validator, weight);
    }

    function _weightOfStake(StakePool.Pool storage pool, uint256 room) private view returns (uint256) {
        if (!_isBacked(pool)) return 0;
        uint256 units = pool.valueOf(pool.bonded) / WEIGHT_UNIT;
        return units < room ? units : room;
    }
}
