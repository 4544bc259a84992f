// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

interface IRandomnessBeacon {
    /// A request names entropy that does not exist yet.
    event BeaconRequested(uint256 indexed request, bytes32 context, uint256[] members, uint256 deadline);

    /// Consumer (RoundManager) only. Ids count from 1.
    function request(bytes32 context) external returns (uint256 id);
    /// value = keccak256(abi.encode(chainid, address(this), id, context, entropy)) once ready; `failed`: below quorum at the deadline.
    function seed(uint256 id) external view returns (bool ready, bool failed, bytes32 value);
}

interface ICommitRevealBeacon is IRandomnessBeacon {
    event OnionCommitted(uint256 indexed member, bytes32 tip);
    event BeaconRevealed(uint256 indexed request, uint256 indexed member);
    event BondForfeited(uint256 indexed request, uint256 indexed member, uint256 amount);

    /// Hash onion: tip = keccak256^n(secret); each request is answered by the preimage of the present tip, which becomes the tip.
    /// Signer of the validator; bonded in native coin. At most 16 members are on duty per request.
    function commit(uint256 validator, bytes32 tip) external payable;
    /// Anyone may relay: preimages authenticate themselves.
    function reveal(uint256 id, uint256 validator, bytes32 preimage) external;
}
