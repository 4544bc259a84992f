// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

interface IRandomnessBeacon {
    /// @notice A request names entropy that does not exist yet.
    event BeaconRequested(uint256 indexed request, bytes32 context, uint256[] members, uint256 deadline);

    /// @notice Ask for entropy. Consumer only. Ids count from 1. The value paid is shared by those who answer.
    function request(bytes32 context) external payable returns (uint256 id);

    /// @notice Who may ask.
    function consumer() external view returns (address);

    /// @notice Number of paid answers that the next request would ask for.
    function duties() external view returns (uint256);

    /// @notice value = keccak256(abi.encode(chainid, address(this), id, entropy)) once ready, the context being part of the
    /// entropy; `failed`: below the quorum at the deadline.
    function seed(uint256 id) external view returns (bool ready, bool failed, bytes32 value);
}

interface ICommitRevealBeacon is IRandomnessBeacon {
    event OnionCommitted(uint256 indexed member, bytes32 tip);
    event BeaconRevealed(uint256 indexed request, uint256 indexed member);
    event BondForfeited(uint256 indexed request, uint256 indexed member, uint256 amount);
    event MemberLeft(uint256 indexed member, address indexed recipient, uint256 amount);
    event RevealsPaid(uint256 indexed member, address indexed recipient, uint256 amount);
    event TreasuryPaid(uint256 amount);

    error CommitRevealBeaconConfiguration();
    error CommitRevealBeaconNotConsumer(address caller);
    error CommitRevealBeaconNotSigner(uint256 validator, address caller);
    error CommitRevealBeaconNotOwner(uint256 validator, address caller);
    error CommitRevealBeaconNoWeight(uint256 validator);
    error CommitRevealBeaconWrongBond(uint256 paid, uint256 bond);
    error CommitRevealBeaconOrganisationPresent(bytes32 organisation);
    error CommitRevealBeaconNotMember(uint256 validator);
    error CommitRevealBeaconOnDuty(uint256 request, uint256 validator);
    error CommitRevealBeaconTooFewMembers(uint256 members, uint256 membersMin);
    error CommitRevealBeaconUnknownRequest(uint256 request);
    error CommitRevealBeaconClosed(uint256 request);
    error CommitRevealBeaconNotOnDuty(uint256 request, uint256 validator);
    error CommitRevealBeaconOutOfOrder(uint256 request, uint256 answered);
    error CommitRevealBeaconWrongPreimage(uint256 validator);
    error CommitRevealBeaconNothingDue();
    error CommitRevealBeaconPaymentFailed();

    /// @notice Become a member, or replace the hash onion of one. Signer of the validator; a new member pays the bond exactly.
    /// @dev Hash onion: tip = keccak256^n(secret); each request is answered by the preimage of the present tip, which becomes the
    /// tip. Refused while an answer is due, so that entropy is fixed before it is asked for. One member for each organisation.
    function commit(uint256 validator, bytes32 tip) external payable;

    /// @notice Answer a request. Anyone may relay: preimages authenticate themselves. A member answers in the order of requests.
    function reveal(uint256 id, uint256 validator, bytes32 preimage) external;

    /// @notice Leave with the bond, which goes to the validator's owner. Owner only; refused while an answer is due.
    function leave(uint256 validator) external;

    /// @notice Close up to `limit` of the oldest requests that are over: missing members lose bond and membership.
    function close(uint256 limit) external;

    /// @notice Pay a member's share of answered requests to the validator's owner. Anyone.
    function claimReveals(uint256 validator, uint256[] calldata ids) external;

    /// @notice Pay forfeited bonds and unearned fees to the treasury. Anyone.
    function payTreasury() external;

    function isMember(uint256 validator) external view returns (bool);
    /// @notice The tip of a member's onion, to 208 bits, and the request that it answered last.
    function onionOf(uint256 validator) external view returns (bytes26 tip, uint256 answered);
    function memberCount() external view returns (uint256);
    /// @notice Ids on duty and bitmap of those that have answered.
    function requestOf(uint256 id)
        external
        view
        returns (uint256[] memory members, uint256 revealed, uint256 deadline, uint256 feePerReveal);
}
