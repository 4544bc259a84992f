// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ContributionClaim} from "./Types.sol";

interface IRoundManager {
    event RoundOpened(uint256 indexed task, uint256 indexed round, uint256 attempt, bytes32 modelRoot, uint256 request);
    event CommitteeDrawn(
        uint256 indexed task, uint256 indexed round, uint256 attempt, bytes32 modelRoot, bytes32 seed, bytes32 ctx,
        uint256[] committee, address[] signers, uint256 drawnAt, uint256 frozenTrainers
    );
    event SetAccepted(
        uint256 indexed task, uint256 indexed round, uint256 attempt, uint256 view_, bytes32 inclusionRoot, uint256 trainers,
        uint256 weight, uint256 seats, bytes32[] commitments, uint256 acceptedAt
    );
    event RollCalled(uint256 indexed task, uint256 indexed round, uint256 attempt, uint256 seat);
    event ProposalAccepted(
        uint256 indexed task, uint256 indexed round, uint256 attempt, uint256 view_, bytes32[] maskRoots, bytes32 aggregateRoot,
        bytes32 modelRoot, uint256 seats, uint256 acceptedAt
    );
    event RoundSettled(uint256 indexed task, uint256 indexed round, uint256 attempt, bytes32 modelRoot, uint256 settledAt);
    event AttemptAborted(uint256 indexed task, uint256 indexed round, uint256 attempt, bool spent, uint256 noShows);
    event TaskPaused(uint256 indexed task, uint256 indexed round);
    event TaskResumed(uint256 indexed task, uint256 indexed round);
    event GasRefundCredited(uint256 indexed task, address indexed relayer, uint256 amount);
    event TrainerPaid(uint256 indexed task, uint256 indexed round, address indexed trainer, uint256 amount);
    event SeatPaid(uint256 indexed task, uint256 indexed round, uint256 indexed validator, uint256 amount);

    /// Statement arguments; signatures are 65-byte low-s, in seat order of the set bits of `seats`.
    struct InclusionArgs {
        uint256 task; uint256 round; uint256 attempt; uint256 view_; bytes32 inclusionRoot; uint256 trainers; uint256 weight;
        uint256 seats; bytes32[] commitments; bytes signatures;
    }
    struct ProposalArgs {
        uint256 task; uint256 round; uint256 attempt; uint256 view_; bytes32[] maskRoots; bytes32 aggregateRoot; bytes32 modelRoot;
        uint256 seats; bytes signatures;
    }
    struct RollCallArgs {
        uint256 task; uint256 round; uint256 attempt; uint256 seat; uint256 view_; bytes32 inclusionRoot; uint256 trainers;
        uint256 weight; bytes32 commitment; bytes signature;
    }

    /// Creator: add rewards (tokens) and the gas pool (native coin).
    function fund(uint256 task, uint256 rewards) external payable;
    /// Permissionless: open the first round of a funded task.
    function openRound(uint256 task) external;
    function draw(uint256 task) external;
    function include(InclusionArgs calldata a) external;
    function answerRollCall(RollCallArgs calldata a) external;
    function propose(ProposalArgs calldata a) external;
    /// After the challenge window: adopts the model root and opens the next round, drawing at once where it can.
    function settle(uint256 task) external;
    /// The exit that is due: abort (no set, after the roll call), void (spent), draw failed, pause.
    function poke(uint256 task) external;
    function resume(uint256 task) external;
    function claimTrainer(uint256 task, ContributionClaim[] calldata claims) external;
    function claimSeats(uint256 task, uint256 validator, uint256[] calldata rounds) external;
    function withdrawRefund() external returns (uint256 amount);
}
