// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Attempt, Consequence, Plan, Purse, Settlement} from "./Types.sol";

interface IRoundManager {
    event TaskFunded(uint256 indexed task, address indexed funder, uint256 rewards, uint256 gasPool);
    event PurseWithdrawn(uint256 indexed task, address indexed creator, uint256 rewards, uint256 gasPool);
    event RoundOpened(uint256 indexed task, uint256 indexed round, uint256 attempt, bytes32 modelRoot, uint256 request);
    event CommitteeDrawn(
        uint256 indexed task,
        uint256 indexed round,
        uint256 attempt,
        bytes32 modelRoot,
        bytes32 seed,
        bytes32 ctx,
        uint256[] committee,
        address[] signers,
        uint256 drawnAt,
        uint256 frozenTrainers
    );
    event SetAccepted(
        uint256 indexed task,
        uint256 indexed round,
        uint256 attempt,
        uint256 view_,
        bytes32 inclusionRoot,
        uint256 trainers,
        uint256 weight,
        uint256 seats,
        bytes32[] commitments,
        uint256 acceptedAt
    );
    event RollCalled(uint256 indexed task, uint256 indexed round, uint256 attempt, uint256 seat);
    event ProposalAccepted(
        uint256 indexed task,
        uint256 indexed round,
        uint256 attempt,
        uint256 view_,
        bytes32[] maskRoots,
        bytes32 aggregateRoot,
        bytes32 modelRoot,
        uint256 seats,
        uint256 acceptedAt
    );
    event RoundSettled(
        uint256 indexed task, uint256 indexed round, uint256 attempt, bytes32 modelRoot, uint256 settledAt
    );
    event AttemptAborted(uint256 indexed task, uint256 indexed round, uint256 attempt, bool spent, uint256 noShows);
    /// @notice The accepted proposal fell; view `nextView` proposes over the same set from `opensAt` on.
    event ProposalStruck(
        uint256 indexed task,
        uint256 indexed round,
        uint256 attempt,
        uint256 nextView,
        uint256 opensAt,
        uint256 voidDeadline
    );
    /// @notice Seats of the attempt that a verdict touched: convicted ones and those that missed a duty. Both lose their pay.
    event SeatsJudged(uint256 indexed task, uint256 indexed round, uint256 attempt, uint256 slashed, uint256 absent);
    /// @notice The attempt waits for an answer: proposals (`Demanded`) or the challenge window (`Disputed`) stand still.
    event AttemptHeld(uint256 indexed task, uint256 indexed round, uint256 attempt);
    /// @notice All answers are in; `windowEnd` is the end of the challenge window, or 0 if nothing is proposed.
    event AttemptReleased(uint256 indexed task, uint256 indexed round, uint256 attempt, uint256 windowEnd);
    event TaskPaused(uint256 indexed task, uint256 indexed round);
    event TaskResumed(uint256 indexed task, uint256 indexed round);
    event GasRefundCredited(uint256 indexed task, address indexed relayer, uint256 amount);
    event GasRefundWithdrawn(address indexed relayer, uint256 amount);

    error RoundManagerWrongPeer(address peer);
    error RoundManagerNotJudge(address caller);
    error RoundManagerNotPay(address caller);
    error RoundManagerSlashedSeat(uint256 seats);
    error RoundManagerNotCreator(uint256 task, address caller);
    error RoundManagerWrongPhase(uint256 task, uint256 phase);
    error RoundManagerWrongAttempt(uint256 round, uint256 attempt);
    error RoundManagerUnfunded(uint256 rewards, uint256 rewardPerRound);
    error RoundManagerTaskOver(uint256 task);
    error RoundManagerBeaconRefused(uint256 task);
    error RoundManagerTooFewOrganisations(uint256 eligible, uint256 seats);
    error RoundManagerBeaconNotReady(uint256 request);
    error RoundManagerTooEarly(uint256 opensAt);
    error RoundManagerTooLate(uint256 closedAt);
    error RoundManagerUnknownView(uint256 view_);
    error RoundManagerRoster(uint256 trainers);
    error RoundManagerTooFewTrainers(uint256 included, uint256 trainersMin);
    error RoundManagerFrozenSet(uint256 trainers, uint256 frozen);
    error RoundManagerWeight(uint256 weight);
    error RoundManagerNoMajority(uint256 seats);
    error RoundManagerNoQuorum(uint256 seats);
    error RoundManagerUnknownSeat(uint256 seat);
    error RoundManagerAlreadyRecorded(uint256 seat);
    error RoundManagerLength(uint256 length, uint256 expected);
    error RoundManagerZeroRoot();
    error RoundManagerNothingDue(uint256 task);
    error RoundManagerAmount(uint256 amount);
    error RoundManagerPaymentFailed();

    /// @dev Statement arguments; signatures are 65 bytes each, low s, in seat order of the set bits of `seats`.
    struct InclusionArgs {
        uint256 task;
        uint256 round;
        uint256 attempt;
        uint256 view_;
        bytes32 inclusionRoot;
        uint256 trainers;
        uint256 weight;
        uint256 seats;
        bytes32[] commitments;
        bytes signatures;
    }

    struct ProposalArgs {
        uint256 task;
        uint256 round;
        uint256 attempt;
        uint256 view_;
        bytes32[] maskRoots;
        bytes32 aggregateRoot;
        bytes32 modelRoot;
        uint256 seats;
        bytes signatures;
    }

    struct RollCallArgs {
        uint256 task;
        uint256 round;
        uint256 attempt;
        uint256 seat;
        uint256 view_;
        bytes32 inclusionRoot;
        uint256 trainers;
        uint256 weight;
        bytes32 commitment;
        bytes signature;
    }

    /// @notice Add rewards (tokens, by allowance) and the gas pool (native coin) to a task. Anyone.
    function fund(uint256 task, uint256 rewards) external payable;

    /// @notice Take back what no round has reserved. Creator only, while no round is open.
    function withdrawPurse(uint256 task) external;

    /// @notice Open the first round of a task that can pay for one, or the next where a settlement could not. Anyone.
    function openRound(uint256 task) external;

    /// @notice Seat the committee once the beacon is ready. Anyone.
    function draw(uint256 task) external;

    /// @notice Fix the inclusion set of the attempt, by a majority of each column. Anyone with the signatures.
    function include(InclusionArgs calldata a) external;

    /// @notice Put a seat's own Include on record after the last inclusion view. Anyone with the signature.
    function answerRollCall(RollCallArgs calldata a) external;

    /// @notice Propose the next model, by two thirds of all seats. Anyone with the signatures.
    function propose(ProposalArgs calldata a) external;

    /// @notice After the challenge window: adopt the model root and open the next round, drawing at once where it can. Anyone.
    function settle(uint256 task) external;

    /// @notice Take the exit that is due: abort (no set, after the roll call), spend (no proposal), ask a failed beacon again. Anyone.
    function poke(uint256 task) external;

    /// @notice Open the paused round again, as its next attempt. Creator only.
    function resume(uint256 task) external;

    /// @notice Carry out a verdict on the attempt in progress: seats convicted, seats that missed a duty, and what follows.
    /// Slashing or duty manager only.
    function judge(uint256 task, uint256 slashed, uint256 absent, Consequence consequence) external;

    /// @notice Let the attempt wait for an answer; calls nest. Slashing or duty manager only.
    function hold(uint256 task) external;

    /// @notice Undo one `hold`. Slashing or duty manager only.
    function release(uint256 task) external;

    /// @notice Pay what is due of a settled round. Only `RoundPay`.
    function payOut(address to, uint256 amount) external;

    /// @notice Withdraw the caller's refunds.
    function withdrawRefund() external returns (uint256 amount);

    /// @notice The state of a task: its phase and the attempt in progress.
    function attemptOf(uint256 task) external view returns (Attempt memory);
    /// @notice What proofs need: the attempt, its plan (without the roster's root, to spare a read), the root of its set and the committee's ids, 16 bits each, seat 0 lowest.
    function evidenceOf(uint256 task)
        external
        view
        returns (Attempt memory attempt, Plan memory plan, bytes32 inclusionRoot, uint256[2] memory committee);
    /// @notice The ids of committee `draw`, 16 bits each, seat 0 lowest.
    function committeeAt(uint256 task, uint256 draw) external view returns (uint256[2] memory);
    /// @notice What claims of a round are judged by; it is whole once the round is settled.
    function settlementOf(uint256 task, uint256 round) external view returns (Settlement memory);
    /// @notice What a task has put aside for gas and rewards.
    function purseOf(uint256 task) external view returns (Purse memory);
    /// @notice What a relayer may withdraw for gas, in wei.
    function refundOf(address relayer) external view returns (uint256);
    /// @notice EIP-712 domain separator of all statements.
    function domainSeparator() external view returns (bytes32);
}
