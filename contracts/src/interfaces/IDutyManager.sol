// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ProposalStatement, SetStatement} from "./Types.sol";

interface IDutyManager {
    /// @notice `seat` lacks the seed of the contribution at `position` of the set for its column; answer before `deadline`.
    event SeedDemanded(
        uint256 indexed task,
        uint256 indexed round,
        uint256 attempt,
        uint256 indexed position,
        uint256 column,
        uint256 seat,
        uint256 deadline
    );
    event SeedAnswered(
        uint256 indexed task,
        uint256 indexed round,
        uint256 attempt,
        uint256 indexed position,
        uint256 column,
        bytes32 seed
    );
    /// @notice Nobody answered in time: the attempt aborted.
    event DemandUnanswered(
        uint256 indexed task, uint256 indexed round, uint256 attempt, uint256 indexed position, uint256 column
    );
    /// @notice `seat` is to open its commitment before `deadline`.
    event SeatAccused(
        uint256 indexed task, uint256 indexed round, uint256 attempt, uint256 indexed seat, uint256 deadline
    );
    /// @notice A seat's MASK_ROOT is on record.
    event CommitmentOpened(
        uint256 indexed task, uint256 indexed round, uint256 attempt, uint256 indexed seat, uint256 column, bytes32 root
    );
    event DutyMissed(
        uint256 indexed task, uint256 indexed round, uint256 attempt, uint256 indexed validator, bool second
    );
    /// @notice A node under a root of the proposal is asked for. `tree` counts the mask roots, then aggregate, model, inclusion.
    event TreeQuestioned(
        bytes32 indexed question,
        uint256 indexed task,
        uint256 indexed round,
        uint256 attempt,
        uint256 tree,
        uint256 level,
        uint256 index,
        bytes32 node,
        uint256 deadline
    );
    /// @notice `answer` is the leaf's bytes where the question was for level 0, else the children `min(level, 8)` levels below.
    event TreeAnswered(bytes32 indexed question, address indexed answerer, bytes answer);
    event QuestionUnanswered(bytes32 indexed question);

    error DutyManagerWrongPhase(uint256 phase);
    error DutyManagerWrongBond(uint256 paid, uint256 bond);
    error DutyManagerUnknownSeat(uint256 seat);
    error DutyManagerNotSigner(uint256 validator, address caller);
    error DutyManagerHoldsSeed(uint256 seat);
    error DutyManagerPosition(uint256 position, uint256 count);
    error DutyManagerTooEarly(uint256 opensAt);
    error DutyManagerTooLate(uint256 closedAt);
    error DutyManagerSeedGiven(uint256 position, uint256 column);
    error DutyManagerAlreadyAsked();
    error DutyManagerTooMany(uint256 count);
    error DutyManagerNotAsked();
    error DutyManagerLength(uint256 length, uint256 expected);
    error DutyManagerWrongSet();
    error DutyManagerWrongSeed(bytes32 found, bytes32 expected);
    error DutyManagerNotAccepted();
    error DutyManagerNotSilent(uint256 seat);
    error DutyManagerTree(uint256 tree);
    error DutyManagerNode(uint256 level, uint256 index);
    error DutyManagerWrongAnswer(bytes32 found, bytes32 expected);

    struct SeedAnswer {
        uint256 task;
        uint256 position;
        bytes opening; // of the record at that position: 321 bytes and the path
        bytes others; // the other columns' commitments, 32 bytes each
        bytes32 seed;
    }

    struct TreeQuestion {
        ProposalStatement proposal; // the accepted one
        uint256 tree; // 0..k-1 mask roots, k aggregate, k + 1 model, k + 2 inclusion
        uint256 level; // above the leaves
        uint256 index; // on that level
        bytes32 node; // zero for the top, which only the answer names
        bytes path; // from the node to the top
    }

    /// @notice Demand the seed of the contribution at `position` for the caller's column. Signer of a seat that did not sign the
    /// set, with the bond, in the first half of the demand window. Proposals wait for the answer.
    /// @dev A trainer's seed is given for one column only.
    function demandSeed(uint256 task, uint256 seat, uint256 position) external payable;

    /// @notice Give the seed that was demanded. Anyone before the demand end; the answerer gets the bond.
    function answerDemand(SeedAnswer calldata a) external;

    /// @notice After the demand end: abort the attempt for a demand that nobody answered; the column's signers of the set miss a
    /// duty. Frees the bond of a demand whose attempt is over. Anyone.
    function closeDemand(uint256 task, bytes32 ctx, uint256 position) external;

    /// @notice Accuse a seat of the set, which has not signed the proposal, of keeping its mask root to itself. With the bond, from
    /// the root deadline on.
    function accuse(uint256 task, uint256 seat) external payable;

    /// @notice Put a seat's MASK_ROOT on record. Anyone with the signature; it answers an accusation, whose bond the caller gets.
    function openCommitment(uint256 task, uint256 seat, bytes32 root, bytes calldata signature) external;

    /// @notice After the deadline: an accused seat that kept silent missed a duty, unless fewer than half of all seats answered.
    function closeAccusation(uint256 task, bytes32 ctx, uint256 seat) external;

    /// @notice Ask for a node under a root of the accepted proposal. Anyone, with the bond; the challenge window waits.
    function askTree(TreeQuestion calldata q) external payable returns (bytes32 question);

    /// @notice Answer with the children, or the bytes of a leaf. Anyone before the deadline; the answerer gets the bond.
    function answerTree(bytes32 question, bytes calldata answer) external;

    /// @notice After the deadline: strike the proposal for a question that nobody answered. Frees the bond of a question whose
    /// proposal fell for another reason. Anyone.
    function closeQuestion(bytes32 question) external;

    /// @notice The round of this task in which the validator missed its last duty, plus one.
    function missedAt(uint256 task, uint256 validator) external view returns (uint256);
    /// @notice The bond of a demand, an accusation or a question, in wei.
    function bond() external view returns (uint256);
}
