// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @notice Who may do what no owner of stake may do, fixed at deployment.
struct Authorities {
    address registrar; // admits organisations; the zero address lets everybody do so
    address roundManager; // freezes weights
    address slashingManager; // slashes; the zero address lets nobody
    address paymaster; // credits pay
    address treasury; // receives what is slashed, less the finder's share
    address guardian; // pauses entries; the zero address lets nobody
}

struct StakeTerms {
    uint256 stakeMin; // of the owner itself; below it a validator has no weight
    uint256 stakeCap; // of an organisation's stake that counts
    uint256 unbondingSeconds; // at least the evidence window
    uint256 slashCapBps; // of what a validator holds, for each scope
}

/// @notice Stake that is on its way out.
struct Unbonding {
    uint256 amount;
    uint256 releaseAt;
}

interface IStakeRegistry {
    /// @notice `owner` may register validators of `organisation`.
    event OrganisationAdmitted(bytes32 indexed organisation, address indexed owner);
    event ValidatorRegistered(uint256 indexed validator, address indexed owner, bytes32 indexed organisation);
    /// @notice Registration or rotation: from the next second on `signer` signs for `validator`.
    event ValidatorKeysSet(uint256 indexed validator, address indexed signer, bytes peer);
    event Staked(uint256 indexed validator, uint256 amount, uint256 stake);
    event Delegated(uint256 indexed validator, address indexed delegator, uint256 amount);
    event UnstakeRequested(uint256 indexed validator, address indexed holder, uint256 amount, uint256 releaseAt);
    event Withdrawn(uint256 indexed validator, address indexed holder, uint256 amount);
    event CommissionSet(uint256 indexed validator, uint256 bps, uint256 effectiveAt);
    event RewardCredited(uint256 indexed validator, uint256 toOwner, uint256 toDelegators);
    event Slashed(
        uint256 indexed validator, bytes32 indexed scope, address indexed finder, uint256 taken, uint256 reward
    );
    /// @notice Slashed while weights were frozen: pending draws seat it only if nobody else is left.
    event ValidatorEjected(uint256 indexed validator);
    event Paid(address indexed account, uint256 amount);
    event WeightSet(uint256 indexed validator, uint256 weight);
    event WeightsFrozen(uint256 freezes);
    event WeightsThawed(uint256 freezes);
    event EntriesPaused(bool paused);

    error StakeRegistryBounds(uint256 stakeMin, uint256 stakeCap, uint256 slashCapBps);
    error StakeRegistryZero();
    error StakeRegistryNotRegistrar(address caller);
    error StakeRegistryNotRoundManager(address caller);
    error StakeRegistryNotSlashingManager(address caller);
    error StakeRegistryNotPaymaster(address caller);
    error StakeRegistryNotGuardian(address caller);
    error StakeRegistryNotOwner(uint256 validator, address caller);
    error StakeRegistryNotOrganisationOwner(bytes32 organisation, address caller);
    error StakeRegistryOrganisationKnown(bytes32 organisation);
    error StakeRegistrySignerKnown(address signer);
    error StakeRegistryUnknownSigner(address signer);
    error StakeRegistryNoConsent(address signer);
    error StakeRegistryRotating(uint256 validator);
    error StakeRegistryUnknownValidator(uint256 validator);
    error StakeRegistryPeerLength(uint256 length);
    error StakeRegistryFull();
    error StakeRegistryAmount(uint256 amount);
    error StakeRegistryCommission(uint256 bps);
    error StakeRegistryOwnStake(uint256 validator);
    error StakeRegistryNotBacked(uint256 validator);
    error StakeRegistryWornOut(uint256 validator);
    error StakeRegistryEntriesPaused();
    error StakeRegistryUnbondingNotElapsed(uint256 releaseAt);
    error StakeRegistryFrozen(uint256 freezes);

    // Organisations and keys.

    /// @notice Let `owner` register validators of `organisation`. Registrar only; anyone where there is no registrar.
    function admitOrganisation(bytes32 organisation, address owner) external;

    /// @notice Register a validator; the caller, the organisation's owner, becomes its owner (cold key).
    /// @dev Ids count from 0. A signing key serves one validator, for ever.
    /// @param peer libp2p peer id bytes
    /// @param consent the signing key's signature over `consentDigest`: it serves this owner under this peer id
    function register(bytes32 organisation, address signer, bytes calldata peer, bytes calldata consent)
        external
        returns (uint256 validator);

    /// @notice Replace signing key and peer id. Owner (cold key) only; the signing key may stay.
    /// @dev Statements of committees drawn before stay those of the old key, see `signerAt`, and slash as ever.
    function rotateKeys(uint256 validator, address signer, bytes calldata peer, bytes calldata consent) external;

    // Stake. No call here waits for another party but the clock.

    /// @notice Add to the validator's own stake. Owner only.
    function stake(uint256 validator, uint256 amount) external;

    /// @notice Stake on somebody else's validator: earns its pay less commission, and is slashed with it. Refused while the
    /// owner's own stake is below `stakeMin`.
    function delegate(uint256 validator, uint256 amount) external;

    /// @notice Start to unbond `amount` of the caller's stake; it stays liable until it is withdrawn.
    /// @dev Each holder has up to eight requests for each validator; the next joins the newest and starts its delay anew.
    function requestUnstake(uint256 validator, uint256 amount) external;

    /// @notice Pay out what the caller's requests have released.
    function withdraw(uint256 validator) external returns (uint256 amount);

    /// @notice Set the owner's share of what delegators earn. Owner only; a raise counts after the unbonding delay, so
    /// that delegators can leave before.
    function setCommission(uint256 validator, uint256 bps) external;

    /// @notice Pay the caller what it has earned as a delegator of `validator`, and all else that it is owed.
    function claimRewards(uint256 validator) external returns (uint256 amount);

    /// @notice Pay what `account` is owed: finders' shares, the treasury's part of slashes. Anyone.
    function payOut(address account) external returns (uint256 amount);

    /// @notice Bring the sum tree up to the present stake, and back an ejected validator. Anyone; refused while weights
    /// are frozen.
    function refreshWeight(uint256 validator) external;

    /// @notice Refuse registrations, stake and delegations, or let them in again. Guardian only; nothing else stops.
    function pauseEntries(bool paused) external;

    // For the other contracts.

    /// @notice Split a validator's pay: `due` is for `owner`, the caller must send the rest here. Paymaster only.
    function creditReward(uint256 validator, uint256 amount) external returns (address owner, uint256 due);

    /// @notice Take up to `amount` from own, delegated and unbonding stake alike, pro rata. Slashing manager only.
    /// @dev All slashes of one scope take at most `slashCapBps` of what the validator held at the first of them. A tenth
    /// goes to the finder, the rest to the treasury. Weight follows at once; while frozen the validator is ejected.
    /// @param scope keccak256(abi.encode(task, round))
    function slash(uint256 validator, uint256 amount, bytes32 scope, address finder) external returns (uint256 taken);

    /// @notice Hold all weights from a beacon request to its draw; calls nest. Round manager only.
    function freeze() external;

    /// @notice Undo one `freeze`. Round manager only.
    function thaw() external;

    // The draw.

    /// @notice Draw `seats` validators of distinct organisations, weighted by capped stake without replacement.
    /// @dev For i in 0 .. 8 * seats - 1: x = uint256(keccak256(abi.encode(seed, i))) % totalWeight; the validator whose weight
    /// interval (index order) holds x is taken unless it is ejected, its organisation is taken, or is that of an excluded
    /// validator. Then validators of positive weight fill in index order, the ejected after all others:
    /// id = (uint256(keccak256(abi.encode(seed, "fill"))) % count + j) % count. Reverts with StakeRegistryTooFewOrganisations.
    function draw(bytes32 seed, uint256 seats, uint256[] calldata excluded) external view returns (uint256[] memory ids);

    /// @notice Choose the seats of the attempt after an aborted one of `committee`, whose absent seats are the bits of `noShows`.
    /// @dev Without `stay`: a draw that leaves out the absent if enough organisations are left, else nobody. With `stay`: the
    /// present in seat order, then a draw that excludes the committee, as far as others are left, then the first of the absent
    /// in seat order; whoever is ejected or has no weight any more counts as absent; all of them permuted (Fisher-Yates: for i from seats - 1 down to 1, swap i with
    /// uint256(keccak256(abi.encode(seed, i))) % (i + 1)).
    function redraw(bytes32 seed, uint256[] calldata committee, uint256 noShows, bool stay)
        external
        view
        returns (uint256[] memory ids);

    // Views.

    /// @notice The token of all stakes.
    function token() external view returns (IERC20);
    /// @notice Who may freeze weights.
    function roundManager() external view returns (address);
    /// @notice Who may credit pay.
    function paymaster() external view returns (address);
    /// @notice Who may slash.
    function slashingManager() external view returns (address);
    /// @notice Number of organisations with a validator of positive weight.
    function eligibleOrganisations() external view returns (uint256);
    /// @notice The same without the organisations of the excluded validators.
    function eligibleOrganisationsWithout(uint256[] calldata excluded) external view returns (uint256);
    /// @notice How many validators were ever registered; ids count from 0.
    function validatorCount() external view returns (uint256);
    /// @notice Number of beacon requests that wait for their draw.
    function freezes() external view returns (uint256);
    /// @notice The weight of all validators that can be drawn.
    function totalWeight() external view returns (uint256);
    /// @notice The digest that a signing key signs to serve `owner`'s validator with this peer id.
    function consentDigest(address owner, bytes32 organisation, bytes calldata peer) external view returns (bytes32);
    /// @notice The signing key of a validator now.
    function signerOf(uint256 validator) external view returns (address);
    /// @notice The signing keys of several validators now.
    function signersOf(uint256[] calldata validators) external view returns (address[] memory signers);
    /// @notice Who signed for `validator` at `time`: what a committee drawn then is bound to.
    function signerAt(uint256 validator, uint256 time) external view returns (address);
    /// @notice The signing keys of several validators at a time in the past.
    function signersAt(uint256[] calldata validators, uint256 time) external view returns (address[] memory signers);
    /// @notice The cold key of a validator, which moves stake and rotates keys.
    function ownerOf(uint256 validator) external view returns (address);
    /// @notice Own and delegated stake that counts for the draw.
    function stakeOf(uint256 validator) external view returns (uint256);
    /// @notice All that unbonds, of the owner and of delegators, and when the last of it is released.
    function unbondingOf(uint256 validator) external view returns (uint256 amount, uint256 releaseAt);
    /// @notice What is liable for the validator: stake and unbonding, and what divisions left over.
    function assetsOf(uint256 validator) external view returns (uint256);
    /// @notice The holder's stake on the validator, its requests to unbond, and what it has earned there and not claimed.
    function positionOf(uint256 validator, address holder)
        external
        view
        returns (uint256 amount, Unbonding[] memory unbonding, uint256 earned);
    /// @notice The share of delegators' rewards that a validator keeps, in basis points.
    function commissionOf(uint256 validator) external view returns (uint256 bps);
    /// @notice What is credited to `account` and not paid.
    function creditOf(address account) external view returns (uint256);
    /// @notice All that is credited or earned and not paid.
    function owed() external view returns (uint256);
    /// @notice Whether the guardian has stopped new stake for now; exits are never stopped.
    function entriesPaused() external view returns (bool);
    /// @notice Whether a slash while weights were frozen keeps a validator from seats, whatever the tree says.
    function isEjected(uint256 validator) external view returns (bool);
    /// @notice The weight of a validator in draws.
    function weightOf(uint256 validator) external view returns (uint256);
    /// @notice The organisation that a validator belongs to; a committee has one seat of each.
    function organisationOf(uint256 validator) external view returns (bytes32);
    /// @notice The validator that a signing key serves or has ever served. Reverts with StakeRegistryUnknownSigner.
    function validatorOf(address signer) external view returns (uint256 validator);
}
