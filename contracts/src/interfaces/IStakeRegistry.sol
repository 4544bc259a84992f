// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

interface IStakeRegistry {
    event OrganisationAdmitted(bytes32 indexed organisation, address indexed owner);
    event ValidatorRegistered(uint256 indexed validator, address indexed owner, bytes32 indexed organisation);
    event ValidatorKeysSet(uint256 indexed validator, address indexed signer, bytes peer);
    event Staked(uint256 indexed validator, uint256 amount, uint256 stake);
    event UnstakeRequested(uint256 indexed validator, uint256 amount, uint256 releaseAt);
    event Withdrawn(uint256 indexed validator, uint256 amount);
    event WeightSet(uint256 indexed validator, uint256 weight);

    /// Registrar only: `owner` may register validators of `organisation`.
    function admitOrganisation(bytes32 organisation, address owner) external;
    /// Owner (cold) key. Ids count from 0. `peer` = libp2p peer id bytes. Proof of the signing key: EIP-712 not needed in v1.
    function register(bytes32 organisation, address signer, bytes calldata peer) external returns (uint256 validator);
    function stake(uint256 validator, uint256 amount) external;
    function requestUnstake(uint256 validator, uint256 amount) external;
    function withdraw(uint256 validator) external returns (uint256 amount);
    /// Bring the sum tree up to the present stake; permissionless, refused while weights are frozen.
    function refreshWeight(uint256 validator) external;

    /// RoundManager only: weights stay as they are from request to draw.
    function freeze() external;
    function thaw() external;

    /// Draw `seats` validators of distinct organisations: ids[0..seats), weighted by capped stake without replacement.
    /// for i in 0 .. 8*seats-1: x = uint256(keccak256(abi.encode(seed, i))) % totalWeight; the validator whose weight
    /// interval (index order) holds x is taken unless it, or its organisation, is taken or excluded. Then the rest fill in index order:
    /// id = (uint256(keccak256(abi.encode(seed, "fill"))) % count + j) % count. Reverts StakeRegistryTooFewOrganisations.
    function draw(bytes32 seed, uint256 seats, uint256[] calldata excluded) external view returns (uint256[] memory ids);
    /// Number of organisations with a validator of positive weight.
    function eligibleOrganisations() external view returns (uint256);
    function validatorCount() external view returns (uint256);
    function signerOf(uint256 validator) external view returns (address);
    function ownerOf(uint256 validator) external view returns (address);
    function stakeOf(uint256 validator) external view returns (uint256);
    function weightOf(uint256 validator) external view returns (uint256);
    function organisationOf(uint256 validator) external view returns (bytes32);
    function validatorOf(address signer) external view returns (uint256 validator);
}
