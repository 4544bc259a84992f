// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

interface IRandomnessBeacon {
    /// @notice A request names entropy that does not exist yet.
    /// @param members who must answer; without members one answer, from anyone, decides
    event BeaconRequested(uint256 indexed request, bytes32 context, uint256[] members, uint256 deadline);
    /// @notice A request has an answer; `member` is 0 where it has no members.
    event BeaconRevealed(uint256 indexed request, uint256 indexed member);

    /// @notice Ask for entropy. Consumer only. Ids count from 1. The value paid is shared by those who answer.
    function request(bytes32 context) external payable returns (uint256 id);

    /// @notice Who may ask.
    function consumer() external view returns (address);

    /// @notice Number of paid answers that the next request would ask for.
    function duties() external view returns (uint256);

    /// @notice value = keccak256(abi.encode(chainid, address(this), id, entropy)) once ready, the context being part of the
    /// entropy; `failed`: an answer was missing at the deadline.
    function seed(uint256 id) external view returns (bool ready, bool failed, bytes32 value);
}

interface ICommitRevealBeacon is IRandomnessBeacon {
    event OnionCommitted(uint256 indexed member, bytes32 tip);
    /// @notice Half of the members have answered; the others have until `deadline`.
    event BeaconClockStarted(uint256 indexed request, uint256 deadline);
    event BondForfeited(uint256 indexed request, uint256 indexed member, uint256 amount);
    /// @notice Most members were silent for a day: this one is none any more, and its bond waits for it.
    event MemberDismissed(uint256 indexed request, uint256 indexed member);
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

    /// @notice Become a member, or replace the hash onion of one. Signer of the validator; a new member pays the bond exactly,
    /// unless its bond is here since it was dismissed.
    /// @dev Hash onion: tip = keccak256^n(secret); each request is answered by the preimage of the present tip, which becomes the
    /// tip. Refused while an answer is due, so that entropy is fixed before it is asked for. One member for each organisation.
    function commit(uint256 validator, bytes32 tip) external payable;

    /// @notice Answer a request. Anyone may relay: preimages authenticate themselves. A member answers in the order of requests.
    function reveal(uint256 id, uint256 validator, bytes32 preimage) external;

    /// @notice Leave with the bond, or fetch that of a dismissed member; it goes to the validator's owner. Owner only; refused
    /// while an answer is due.
    function leave(uint256 validator) external;

    /// @notice Look at up to `limit` of the oldest requests and close those that are over: missing members lose bond and
    /// membership, or the membership alone where more than half are missing.
    function close(uint256 limit) external;

    /// @notice Pay a member's share of answered requests to the validator's owner. Anyone.
    function claimReveals(uint256 validator, uint256[] calldata ids) external;

    /// @notice Pay forfeited bonds and unearned fees to the treasury. Anyone.
    function payTreasury() external;

    /// @notice Whether a validator is asked for answers now.
    function isMember(uint256 validator) external view returns (bool);
    /// @notice Whether the bond of a dismissed member is still here.
    function isDismissed(uint256 validator) external view returns (bool);
    /// @notice The tip of a member's onion, to 208 bits, and the request that it answered last.
    function onionOf(uint256 validator) external view returns (bytes26 tip, uint256 answered);
    /// @notice How many members there are, on duty or not.
    function memberCount() external view returns (uint256);
    /// @notice Ids on duty and bitmap of those that have answered.
    function requestOf(uint256 id)
        external
        view
        returns (uint256[] memory members, uint256 revealed, uint256 deadline, uint256 feePerReveal);
}

/// @notice A drand network: its key and its clock.
struct DrandNetwork {
    bytes publicKey; // 256 bytes, a point of G2 as in EIP-2537
    bytes dst; // domain separation tag of the hash to the curve, at most 64 bytes
    uint64 genesis; // when round 1 was published, in Unix seconds
    uint64 period; // seconds from one round to the next
}

interface IDrandBeacon is IRandomnessBeacon {
    /// @notice A request waits for this round, which nobody can know yet.
    event DrandRoundNamed(uint256 indexed request, uint256 indexed round);
    event DrandRoundProven(uint256 indexed round, address indexed prover, bytes32 randomness);
    event FeePaid(address indexed account, uint256 amount);

    error DrandBeaconConfiguration();
    error DrandBeaconNotConsumer(address caller);
    error DrandBeaconUnknownRequest(uint256 request);
    error DrandBeaconWrongSignature(uint64 round);
    error DrandBeaconNothingDue();
    error DrandBeaconPaymentFailed();

    /// @notice Bring the signature of a round that requests wait for. Anyone; the first is paid the round's fee.
    /// @param signature the point of G1, x and y of 48 bytes each
    function prove(uint64 round, bytes calldata signature) external;

    /// @notice Pay what `account` has earned by proofs, or the treasury what nobody earned. Anyone.
    function payOut(address account) external;

    /// @notice The round's randomness as drand publishes it, SHA-256 of the compressed signature. Reverts for any signature
    /// but the one that the network's key gives this round.
    function verify(uint64 round, bytes calldata signature) external view returns (bytes32 randomness);

    /// @notice When a round is published, in Unix seconds.
    function timeOf(uint64 round) external view returns (uint256);
    /// @notice The round that the next request would name.
    function nextRound() external view returns (uint64);
    /// @notice The round that a request waits for, and when it fails.
    function requestOf(uint256 id) external view returns (uint64 round, uint256 deadline);
    /// @notice The randomness of a proven round, or zero.
    function randomnessOf(uint64 round) external view returns (bytes32);
    /// @notice What an account may withdraw, in wei.
    function creditOf(address account) external view returns (uint256);
}
