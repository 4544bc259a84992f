// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @notice How a delta becomes integers and how their sum moves the model.
struct IntegerTerms {
    uint32 words; // d, length of the flat model
    uint8 width; // w: 8, 16 or 32
    uint8 bits; // b; Q = 2^(b-1) - 1
    uint8 weightMax;
    uint32 tau; // 1..Q
    uint8 scaleBits; // s <= 24
    uint64 numerator; // numerator / denominator = eta * weightMax * 2^(20 - s)
    uint64 denominator;
    int8 clipNormLog2; // C = 2^clipNormLog2
}

/// @notice Lengths of the phases in seconds.
struct Windows {
    uint32 collect; // draw -> attestDeadline
    uint32 settle; // attestDeadline -> inclusion view 0
    uint32 view_;
    uint32 demand; // accepted set -> demand end
    uint32 roots; // demand end -> root deadline = start of proposal view 0
    uint32 challenge;
    uint32 abort; // roll call after the last inclusion view
    uint32 finality;
}

struct TaskTerms {
    IntegerTerms integers;
    Windows windows;
    uint16 trainers; // length of the roster, <= 256
    uint16 trainersMin; // n_min
    uint8 columns; // k
    uint8 seatsPerColumn; // m
    uint8 epochRounds;
    uint8 attemptsMax;
    uint32 rounds;
}

/// @notice Everything a creator says about a task.
struct TaskSpecification {
    TaskTerms terms;
    uint8 mode; // 0 = sealed; any other is refused
    bytes32 configuration; // SHA-256 of the configuration file
    bytes32 modelRoot; // of the initial model
    bytes32 rosterRoot;
    uint128 rewardPerRound;
    uint16 trainerShareBps; // the rest goes to the seats
}

/// @notice One settled contribution of a trainer, as its leaf in the inclusion tree says.
/// record = abi.encode(ctx, index, trainer, root, words, width, seedsHash, capsulesHash) ++ 65-byte signature: 321 bytes.
struct ContributionClaim {
    uint256 round;
    uint256 position; // of the leaf in the inclusion tree (rank among the included)
    bytes record;
    bytes32[] path; // siblings, bottom up; an odd node is promoted and has none on that level
}

/// @notice What a round needs of its task, packed; the library Plans says where each field is.
struct Plan {
    uint256 windows;
    uint256 shape;
    bytes32 rosterRoot;
}

/// @notice Idle: before the first round, after the last one, and where the next one could not open.
enum Phase {
    Idle,
    Drawing,
    Collecting,
    Included,
    Proposed,
    Paused,
    Demanded, // Included, and a seed is asked for: nothing may be proposed
    Disputed // Proposed, and the clock of the challenge window stands still
}

/// @notice What a verdict does to the attempt.
enum Consequence {
    None,
    Strike, // the proposal falls, the next view proposes over the same set
    Abort, // no sum is known: redraw
    Spend, // the set's sum counts as known: redraw, and only the same trainers are accepted
    SpendAndPause
}

/// @notice The attempt in progress. Words are rewritten, not cleared: the phase says which of them mean something.
struct Attempt {
    Phase phase;
    uint16 attempt; // from 0; counts on after a pause
    uint32 round; // from 0; the number of rounds after the last
    uint40 drawnAt;
    uint40 acceptedAt; // of the set
    uint40 proposedAt; // Included after a strike: when it struck; Disputed: seconds of the window that have run
    uint48 request; // of the beacon; 0 if the round opened drawn
    uint32 draw; // number of the committee, from 1
    uint32 includeSeats; // bitmap of the accepted set
    uint32 proposeSeats; // bitmap of the accepted proposal
    uint32 rollCalled; // bitmap
    uint32 noShows; // bitmap of those whom the next draw leaves out
    uint16 included; // number of trainers in the set
    uint48 nextRequest; // asked ahead for the next epoch, or 0
    bool spent; // `trainers` is the only bitmap accepted
    uint8 strikes; // proposals of this attempt that fell
    uint8 holds; // open demands, locks and questions
    uint32 slashed; // bitmap of the seats convicted in this attempt
    bytes32 modelRoot;
    bytes32 ctx;
    uint256 trainers; // roster bitmap of the newest set
    bytes32 setHash; // keccak256(abi.encode(view, inclusionRoot, trainers, weight, seats, keccak256(commitments)))
    bytes32 proposalHash; // keccak256(abi.encode(digest of Propose, seats))
}

/// @notice What remains of a round for pay: two words.
struct Settlement {
    bytes32 inclusionRoot;
    uint128 reward; // 0 until settled, and if the purse was empty
    uint32 includeSeats;
    uint32 proposeSeats;
    uint32 draw; // number of the committee; 0 until settled
    uint16 included;
}

/// @notice Unreserved money of a task.
struct Purse {
    uint128 rewards; // tokens
    uint128 gasPool; // native coin
}

/// @notice The only acts that cost stake, and the second of two missed duties.
enum Offence {
    Equivocation,
    BadInclusion,
    WrongMaskSum,
    WrongAggregate,
    WrongStep,
    MissedDuty
}

/// @notice A Propose statement and who signed it. Of the accepted proposal the signatures are known: leave them empty.
struct ProposalStatement {
    uint256 task;
    uint256 view_;
    bytes32[] maskRoots;
    bytes32 aggregateRoot;
    bytes32 modelRoot;
    uint256 seats;
    bytes signatures; // 65 bytes each, in seat order
}

/// @notice The words of the accepted set, as its event gave them; `commitmentsHash` is Keccak-256 of the commitments.
struct SetStatement {
    uint256 view_;
    bytes32 inclusionRoot;
    uint256 trainers;
    uint256 weight;
    uint256 seats;
    bytes32 commitmentsHash;
}

/// @notice What a proof found: these validators, seats of this attempt, committed the offence.
struct Conviction {
    uint256 task;
    uint256 round;
    uint256 attempt;
    Offence offence;
    bytes32 ctx;
    uint256[] validators; // in seat order
}
