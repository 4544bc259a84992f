// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IStakeRegistry} from "./interfaces/IStakeRegistry.sol";
import {Committee} from "./libraries/Committee.sol";
import {Seating} from "./libraries/Seating.sol";
import {SumTree} from "./libraries/SumTree.sol";

/// @title StakeRegistry: who may sit in committees, and with what weight
/// @notice Validators stake tokens here. Stake that leaves waits out the unbonding delay and stays on the books until then.
/// @dev The weight of a validator is its stake in `WEIGHT_UNIT`s, zero below `stakeMin`; the weights of one organisation together
/// stay at or below `stakeCap`. Keys never change: to rotate them an owner registers another validator.
contract StakeRegistry is IStakeRegistry {
    using SafeERC20 for IERC20;
    using SumTree for SumTree.Tree;

    /// @notice Stake for one unit of weight.
    uint256 public constant WEIGHT_UNIT = 1 ether;
    /// @notice Ids fit 16 bits.
    uint256 public constant VALIDATORS_MAX = 65_536;
    /// @notice The longest peer id in bytes.
    uint256 public constant PEER_LENGTH_MAX = 64;

    /// @notice A finder gets one of so many parts.
    uint256 public constant FINDER_PARTS = 10;

    IERC20 public immutable token;
    /// @notice Who admits organisations; the zero address lets everybody do so.
    address public immutable registrar;
    /// @notice The round manager, which alone freezes weights.
    address public immutable roundManager;
    /// @notice Who may slash.
    address public immutable slashingManager;
    /// @notice Where slashed stake goes, but for the finder's share.
    address public immutable treasury;
    uint256 public immutable stakeMin;
    uint256 public immutable stakeCap;
    uint256 public immutable unbondingSeconds;

    struct Stake {
        uint128 bonded;
        uint128 unbonding;
        uint40 releaseAt;
        address owner;
    }

    struct Organisation {
        address owner;
        uint32 index;
        uint64 weight;
    }

    struct Totals {
        uint32 validators;
        uint32 organisations;
        uint32 eligible;
        uint32 freezes;
    }

    Totals private _totals;
    SumTree.Tree private _tree;
    mapping(uint256 validator => Seating.Seat) private _seats;
    mapping(uint256 validator => Stake) private _stakes;
    mapping(bytes32 organisation => Organisation) private _organisations;
    mapping(uint256 index => bytes32 organisation) private _organisationAt;
    mapping(address signer => uint256 validatorPlusOne) private _validatorBySigner;

    constructor(
        IERC20 token_,
        address registrar_,
        address roundManager_,
        address slashingManager_,
        address treasury_,
        uint256 stakeMin_,
        uint256 stakeCap_,
        uint256 unbondingSeconds_
    ) {
        // Below 2^47 units each, 2^16 organisations' or validators' weights sum to less than 2^64.
        if (stakeMin_ < WEIGHT_UNIT || stakeCap_ < stakeMin_ || stakeCap_ / WEIGHT_UNIT >= 1 << 47) {
            revert StakeRegistryBounds(stakeMin_, stakeCap_);
        }
        token = token_;
        registrar = registrar_;
        roundManager = roundManager_;
        slashingManager = slashingManager_;
        treasury = treasury_;
        stakeMin = stakeMin_;
        stakeCap = stakeCap_;
        unbondingSeconds = unbondingSeconds_;
    }

    modifier onlyRoundManager() {
        if (msg.sender != roundManager) revert StakeRegistryNotRoundManager(msg.sender);
        _;
    }

    modifier onlyOwnerOf(uint256 validator) {
        if (msg.sender != ownerOf(validator)) revert StakeRegistryNotOwner(validator, msg.sender);
        _;
    }

    /// @inheritdoc IStakeRegistry
    function admitOrganisation(bytes32 organisation, address owner) external {
        if (registrar != address(0) && msg.sender != registrar) revert StakeRegistryNotRegistrar(msg.sender);
        if (organisation == 0 || owner == address(0)) revert StakeRegistryZero();
        Organisation storage o = _organisations[organisation];
        if (o.owner != address(0)) revert StakeRegistryOrganisationKnown(organisation);
        uint32 index = ++_totals.organisations;
        o.owner = owner;
        o.index = index;
        _organisationAt[index] = organisation;
        emit OrganisationAdmitted(organisation, owner);
    }

    /// @inheritdoc IStakeRegistry
    function register(bytes32 organisation, address signer, bytes calldata peer) external returns (uint256 validator) {
        Organisation storage o = _organisations[organisation];
        if (o.owner == address(0) || msg.sender != o.owner) {
            revert StakeRegistryNotOrganisationOwner(organisation, msg.sender);
        }
        if (signer == address(0)) revert StakeRegistryZero();
        if (peer.length == 0 || peer.length > PEER_LENGTH_MAX) revert StakeRegistryPeerLength(peer.length);
        if (_validatorBySigner[signer] != 0) revert StakeRegistrySignerKnown(signer);
        validator = _totals.validators;
        if (validator == VALIDATORS_MAX) revert StakeRegistryFull();
        ++_totals.validators;
        _seats[validator] = Seating.Seat({signer: signer, organisation: o.index});
        _stakes[validator].owner = msg.sender;
        _validatorBySigner[signer] = validator + 1;
        emit ValidatorRegistered(validator, msg.sender, organisation);
        emit ValidatorKeysSet(validator, signer, peer);
    }

    /// @inheritdoc IStakeRegistry
    function stake(uint256 validator, uint256 amount) external onlyOwnerOf(validator) {
        if (amount == 0 || amount > type(uint96).max) revert StakeRegistryAmount(amount);
        Stake storage s = _stakes[validator];
        uint128 bonded = s.bonded + uint128(amount);
        s.bonded = bonded;
        if (_totals.freezes == 0) _setWeight(validator);
        emit Staked(validator, amount, bonded);
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(msg.sender, address(this), amount);
        // A token that keeps a fee would leave the books above the balance.
        if (token.balanceOf(address(this)) != before + amount) revert StakeRegistryAmount(amount);
    }

    /// @inheritdoc IStakeRegistry
    function requestUnstake(uint256 validator, uint256 amount) external onlyOwnerOf(validator) {
        Stake storage s = _stakes[validator];
        if (amount == 0 || amount > s.bonded) revert StakeRegistryAmount(amount);
        uint40 releaseAt = uint40(block.timestamp + unbondingSeconds);
        s.bonded -= uint128(amount);
        s.unbonding += uint128(amount);
        s.releaseAt = releaseAt;
        if (_totals.freezes == 0) _setWeight(validator);
        emit UnstakeRequested(validator, amount, releaseAt);
    }

    /// @inheritdoc IStakeRegistry
    function withdraw(uint256 validator) external onlyOwnerOf(validator) returns (uint256 amount) {
        Stake storage s = _stakes[validator];
        amount = s.unbonding;
        if (amount == 0) revert StakeRegistryAmount(0);
        if (block.timestamp < s.releaseAt) revert StakeRegistryUnbondingNotElapsed(s.releaseAt);
        s.unbonding = 0;
        emit Withdrawn(validator, amount);
        token.safeTransfer(msg.sender, amount);
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
    function slash(uint256 validator, uint256 amount, bytes32 scope, address finder) external returns (uint256 taken) {
        if (msg.sender != slashingManager) revert StakeRegistryNotSlashingManager(msg.sender);
        Stake storage s = _stakes[validator];
        uint256 bonded = s.bonded;
        uint256 unbonding = s.unbonding;
        taken = amount < bonded + unbonding ? amount : bonded + unbonding;
        uint256 first = taken < bonded ? taken : bonded;
        s.bonded = uint128(bonded - first);
        s.unbonding = uint128(unbonding - (taken - first));
        if (_totals.freezes == 0) _setWeight(validator);
        uint256 reward = taken / FINDER_PARTS;
        emit Slashed(validator, scope, finder, taken, reward);
        token.safeTransfer(finder, reward);
        token.safeTransfer(treasury, taken - reward);
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
        uint256 others = eligibleOrganisationsWithout(committee);
        uint256[] memory fresh = _draw(seed, others < absent.length ? others : absent.length, committee);
        uint256[] memory ids = Committee.join(present, fresh, absent);
        Committee.shuffle(ids, seed);
        return ids;
    }

    /// @inheritdoc IStakeRegistry
    function signersOf(uint256[] calldata validators) external view returns (address[] memory signers) {
        signers = new address[](validators.length);
        for (uint256 i = 0; i < validators.length; ++i) {
            signers[i] = _seats[validators[i]].signer;
        }
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
    function validatorCount() external view returns (uint256) {
        return _totals.validators;
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
    function signerOf(uint256 validator) external view returns (address) {
        return _seats[validator].signer;
    }

    /// @inheritdoc IStakeRegistry
    function ownerOf(uint256 validator) public view returns (address) {
        return _stakes[validator].owner;
    }

    /// @inheritdoc IStakeRegistry
    function stakeOf(uint256 validator) external view returns (uint256) {
        return _stakes[validator].bonded;
    }

    /// @inheritdoc IStakeRegistry
    function unbondingOf(uint256 validator) external view returns (uint256 amount, uint256 releaseAt) {
        Stake storage s = _stakes[validator];
        return (s.unbonding, s.releaseAt);
    }

    /// @inheritdoc IStakeRegistry
    function weightOf(uint256 validator) external view returns (uint256) {
        return _tree.weightAt(validator);
    }

    /// @inheritdoc IStakeRegistry
    function organisationOf(uint256 validator) external view returns (bytes32) {
        return _organisationAt[_seats[validator].organisation];
    }

    /// @inheritdoc IStakeRegistry
    function validatorOf(address signer) external view returns (uint256) {
        uint256 plusOne = _validatorBySigner[signer];
        if (plusOne == 0) revert StakeRegistryUnknownSigner(signer);
        return plusOne - 1;
    }

    function _draw(bytes32 seed, uint256 seats, uint256[] memory excluded) private view returns (uint256[] memory) {
        return Seating.draw(_tree, _seats, _totals.validators, seed, seats, excluded);
    }

    function _setWeight(uint256 validator) private {
        Organisation storage o = _organisations[_organisationAt[_seats[validator].organisation]];
        uint256 old = _tree.weightAt(validator);
        uint256 others = o.weight - old;
        uint256 weight = _weightOfStake(_stakes[validator].bonded, stakeCap / WEIGHT_UNIT - others);
        if (weight == old) return;
        if (others + old == 0) ++_totals.eligible;
        if (others + weight == 0) --_totals.eligible;
        o.weight = uint64(others + weight);
        _tree.set(validator, weight);
        emit WeightSet(validator, weight);
    }

    function _weightOfStake(uint256 bonded, uint256 room) private view returns (uint256) {
        if (bonded < stakeMin) return 0;
        uint256 units = bonded / WEIGHT_UNIT;
        return units < room ? units : room;
    }
}
