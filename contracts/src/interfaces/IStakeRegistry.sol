// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

interface IStakeRegistry {
    /// @notice `owner` may register validators of `organisation`.
    event OrganisationAdmitted(bytes32 indexed organisation, address indexed owner);
    event ValidatorRegistered(uint256 indexed validator, address indexed owner, bytes32 indexed organisation);
    event ValidatorKeysSet(uint256 indexed validator, address indexed signer, bytes peer);
    event Staked(uint256 indexed validator, uint256 amount, uint256 stake);
    event UnstakeRequested(uint256 indexed validator, uint256 amount, uint256 releaseAt);
    event Withdrawn(uint256 indexed validator, uint256 amount);
    event Slashed(
        uint256 indexed validator, bytes32 indexed scope, address indexed finder, uint256 taken, uint256 reward
    );
    event WeightSet(uint256 indexed validator, uint256 weight);
    event WeightsFrozen(uint256 freezes);
    event WeightsThawed(uint256 freezes);

    error StakeRegistryBounds(uint256 stakeMin, uint256 stakeCap);
    error StakeRegistryZero();
    error StakeRegistryNotRegistrar(address caller);
    error StakeRegistryNotRoundManager(address caller);
    error StakeRegistryNotSlashingManager(address caller);
    error StakeRegistryNotOwner(uint256 validator, address caller);
    error StakeRegistryNotOrganisationOwner(bytes32 organisation, address caller);
    error StakeRegistryOrganisationKnown(bytes32 organisation);
    error StakeRegistrySignerKnown(address signer);
    error StakeRegistryUnknownSigner(address signer);
    error StakeRegistryUnknownValidator(uint256 validator);
    error StakeRegistryPeerLength(uint256 length);
    error StakeRegistryFull();
    error StakeRegistryAmount(uint256 amount);
    error StakeRegistryUnbondingNotElapsed(uint256 releaseAt);
    error StakeRegistryFrozen(uint256 freezes);

    /// @notice Let `owner` register validators of `organisation`. Registrar only; anyone where there is no registrar.
    function admitOrganisation(bytes32 organisation, address owner) external;

    /// @notice Register a validator; the caller, the organisation's owner, becomes its owner (cold key).
    /// @dev Ids count from 0. The signing key is not asked to prove itself: registering another's key gives no power over it.
    /// @param peer libp2p peer id bytes
    function register(bytes32 organisation, address signer, bytes calldata peer) external returns (uint256 validator);

    /// @notice Add stake. Owner only.
    function stake(uint256 validator, uint256 amount) external;

    /// @notice Start to unbond `amount`; a request while another one runs joins it and starts the delay anew. Owner only.
    function requestUnstake(uint256 validator, uint256 amount) external;

    /// @notice Pay out what has unbonded to the owner. Owner only.
    function withdraw(uint256 validator) external returns (uint256 amount);

    /// @notice Bring the sum tree up to the present stake. Anyone; refused while weights are frozen.
    function refreshWeight(uint256 validator) external;

    /// @notice Hold all weights from a beacon request to its draw; calls nest. Round manager only.
    function freeze() external;

    /// @notice Undo one `freeze`. Round manager only.
    function thaw() external;

    /// @notice Take up to `amount` of the validator's stake, unbonding stake included, under the cap of `scope`: at most a tenth
    /// to `finder`, the rest to the pool. Slashing manager only.
    function slash(uint256 validator, uint256 amount, bytes32 scope, address finder) external returns (uint256 taken);

    /// @notice Draw `seats` validators of distinct organisations, weighted by capped stake without replacement.
    /// @dev For i in 0 .. 8 * seats - 1: x = uint256(keccak256(abi.encode(seed, i))) % totalWeight; the validator whose weight
    /// interval (index order) holds x is taken unless its organisation is taken, or is that of an excluded validator.
    /// Then validators of positive weight fill in index order: id = (uint256(keccak256(abi.encode(seed, "fill"))) % count + j) % count.
    /// Reverts with StakeRegistryTooFewOrganisations.
    function draw(bytes32 seed, uint256 seats, uint256[] calldata excluded) external view returns (uint256[] memory ids);

    /// @notice Choose the seats of the attempt after an aborted one of `committee`, whose absent seats are the bits of `noShows`.
    /// @dev Without `stay`: a draw that leaves out the absent if enough organisations are left, else nobody. With `stay`: the
    /// present in seat order, then a draw that excludes the committee, as far as others are left, then the first of the absent
    /// in seat order; all of them permuted (Fisher-Yates: for i from seats - 1 down to 1, swap i with
    /// uint256(keccak256(abi.encode(seed, i))) % (i + 1)).
    function redraw(bytes32 seed, uint256[] calldata committee, uint256 noShows, bool stay)
        external
        view
        returns (uint256[] memory ids);

    /// @notice Who may slash.
    function slashingManager() external view returns (address);
    /// @notice Who may freeze weights.
    function roundManager() external view returns (address);
    /// @notice Number of organisations with a validator of positive weight.
    function eligibleOrganisations() external view returns (uint256);
    /// @notice The same without the organisations of the excluded validators.
    function eligibleOrganisationsWithout(uint256[] calldata excluded) external view returns (uint256);
    function validatorCount() external view returns (uint256);
    /// @notice Number of beacon requests that wait for their draw.
    function freezes() external view returns (uint256);
    function totalWeight() external view returns (uint256);
    function signerOf(uint256 validator) external view returns (address);
    function signersOf(uint256[] calldata validators) external view returns (address[] memory signers);
    function ownerOf(uint256 validator) external view returns (address);
    function stakeOf(uint256 validator) external view returns (uint256);
    function unbondingOf(uint256 validator) external view returns (uint256 amount, uint256 releaseAt);
    function weightOf(uint256 validator) external view returns (uint256);
    function organisationOf(uint256 validator) external view returns (bytes32);
    /// @notice The validator of a signing key. Reverts with StakeRegistryUnknownSigner.
    function validatorOf(address signer) external view returns (uint256 validator);
}
