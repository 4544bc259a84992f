// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Statements} from "../libraries/Statements.sol";
import {Conviction, Offence, ProposalStatement, SetStatement} from "./Types.sol";

interface ISlashingManager {
    /// @notice A proof held. The stake is taken by `punish`; `id` = keccak256(abi.encode(Conviction)). `seats` is the bitmap
    /// of `validators` in the attempt in progress, or 0 for an equivocation.
    event OffenceProven(
        bytes32 indexed id,
        uint256 indexed task,
        uint256 indexed round,
        uint256 attempt,
        Offence offence,
        bytes32 ctx,
        uint256 seats,
        uint256[] validators,
        address finder
    );
    event ValidatorSlashed(
        bytes32 indexed id, uint256 indexed validator, address indexed finder, Offence offence, uint256 amount
    );
    /// @notice A seat claims that its column's mask sum is another: it may open the column's seeds from `opensAt` to `deadline`.
    event ChallengeOpened(
        uint256 indexed task,
        uint256 indexed round,
        uint256 attempt,
        uint256 indexed column,
        uint256 seat,
        uint256 opensAt,
        uint256 deadline
    );
    /// @notice The challenge is over; `bondTo` is the zero address if the bond went to the task's gas pool.
    event ChallengeClosed(uint256 indexed task, bytes32 indexed ctx, uint256 indexed seat, address bondTo);
    /// @notice The seeds of `column` are public: anyone can compute its mask sum.
    event ColumnOpened(uint256 indexed task, uint256 indexed round, uint256 attempt, uint256 column);
    /// @notice A batch of contributions was added: `next` of the set are, up to `sum`.
    event AggregateAdvanced(bytes32 indexed proof, uint256 next, uint256 sum);

    error SlashingManagerNotDutyManager(address caller);
    error SlashingManagerWrongPhase(uint256 phase);
    error SlashingManagerStatementLength(uint256 length);
    error SlashingManagerSlot(uint256 slot);
    error SlashingManagerSameStatement();
    error SlashingManagerOtherSlot();
    error SlashingManagerNoSigner();
    error SlashingManagerAlreadyConvicted(bytes32 id);
    error SlashingManagerNothingNew(uint256 seats);
    error SlashingManagerNotConvicted(bytes32 id);
    error SlashingManagerAlreadyPunished(bytes32 id);
    error SlashingManagerWrongSet();
    error SlashingManagerNotAccepted();
    error SlashingManagerSoundRecord(uint256 position);
    error SlashingManagerUnknownSeat(uint256 seats);
    error SlashingManagerWrongBond(uint256 paid, uint256 bond);
    error SlashingManagerNotSigner(uint256 validator, address caller);
    error SlashingManagerSlashedSeat(uint256 seat);
    error SlashingManagerAlreadyTried(uint256 seat);
    error SlashingManagerSameRoot(bytes32 root);
    error SlashingManagerLocked(uint256 seat);
    error SlashingManagerNotLocked();
    error SlashingManagerColumnOpen(uint256 column);
    error SlashingManagerUnknownColumn(uint256 column);
    error SlashingManagerTooEarly(uint256 opensAt);
    error SlashingManagerTooLate(uint256 deadline);
    error SlashingManagerLength(uint256 length, uint256 expected);
    error SlashingManagerWrongSeeds(bytes32 found, bytes32 expected);
    error SlashingManagerGroup(uint256 group, uint256 groups);
    error SlashingManagerCoordinate(uint256 coordinate, uint256 words);
    error SlashingManagerSameLeaves();
    error SlashingManagerBatch(uint256 first, uint256 next);
    error SlashingManagerSound();
    error SlashingManagerPaymentFailed();

    /// @dev Two statements of one slot, as their EIP-712 words: SeatKey 3, Include 6, MaskRoot 5, Propose 6. The first two words,
    /// ctx and the slot's number, are equal; signatures are 65 bytes.
    struct Equivocation {
        Statements.Context context;
        uint256 slot; // 0 SEAT_KEY, 1 INCLUDE, 2 MASK_ROOT, 3 PROPOSE
        bytes first;
        bytes second;
        bytes firstSignature;
        bytes secondSignature;
    }

    /// @dev One leaf of the accepted set's tree: record and path, one after another. `count` is the number of leaves that the
    /// root holds. `roster`, which may be empty, is the opening of the roster's leaf at the record's index.
    struct BadRecord {
        uint256 task;
        uint256 count;
        uint256 position;
        bytes opening;
        bytes roster;
    }

    /// @dev Everything that disproves one root of a column's mask sum, at one group of 32 bytes.
    struct SeedOpening {
        ProposalStatement proposal; // the accepted one
        uint256 column;
        uint256 group;
        bytes contributions; // each: trainer 20, root 32, capsulesHash 32, signature 65, seed 32, the other columns' commitments 32 each
        bytes used; // opening of the proposal's root: leaf and path
        bytes own; // opening of the challenger's root: the same leaf of another tree; read only if `used` is right
        uint256 accused; // seats of the column that signed MASK_ROOT of the proposal's root, and their signatures
        bytes accusedSignatures;
    }

    /// @dev Contributions `first` to `first + 2^level`, as far as the set goes. Each header: trainer 20, root 32, seedsHash 32,
    /// capsulesHash 32, signature 65; each opening: the leaf of y that holds the coordinate, and its path.
    struct AggregateBatch {
        ProposalStatement proposal;
        uint256 coordinate;
        uint256 first;
        uint256 level;
        bytes headers;
        bytes path; // from the batch's node to the top of the inclusion tree
        bytes openings;
        bytes closing; // with the last batch: the openings of every mask root in column order, then of the aggregate's
    }

    struct StepProof {
        ProposalStatement proposal;
        SetStatement set;
        uint256 coordinate;
        bytes model; // openings: of the round's model, of the aggregate, of the next model
        bytes aggregate;
        bytes next;
    }

    /// @notice Prove two statements of one signer for one slot. Anyone, at any time; needs nothing of the attempt.
    function proveEquivocation(Equivocation calldata e) external;

    /// @notice Prove that the accepted set holds a record that no honest seat signs: wrong ctx, words, width or signature, an
    /// index other than the bitmap's, a trainer other than the roster's, or a root over another number of records.
    /// @dev Before the demand end the attempt aborts, later it is spent and the task pauses.
    function proveBadInclusion(BadRecord calldata r) external;

    /// @notice Prove that the accepted set's weight is not that of its trainers in the roster, as a bad inclusion.
    /// @param roster all leaves of the task's roster, one after another
    function proveWeight(uint256 task, SetStatement calldata set, bytes calldata roster) external;

    /// @notice Lock the attempt to disprove the mask sum of the caller's column. Signer of an unslashed seat of that column, once
    /// in an attempt, with the bond, whose own MASK_ROOT `root` differs from the proposal's.
    /// @dev Where another column has been opened already, the attempt is spent instead, without slashing.
    function openChallenge(ProposalStatement calldata proposal, uint256 seat, bytes32 root, bytes calldata signature)
        external
        payable;

    /// @notice Disprove a mask sum by the column's seeds. Under the lock once it is final, or at any time in a column that was
    /// opened before. Exactly one of the two roots is wrong: its signers are convicted.
    function openSeeds(SeedOpening calldata o) external;

    /// @notice Free a lock whose time is over or whose proposal fell. Anyone.
    function closeChallenge(uint256 task, bytes32 ctx) external;

    /// @notice Add a batch to the caller's proof that a proposal's aggregate is not the sum at one coordinate; the last one
    /// decides. Also against signers of a proposal that was not accepted.
    function proveAggregate(AggregateBatch calldata b) external;

    /// @notice Prove that a proposal's model is not the step of its aggregate at one coordinate.
    function proveStep(StepProof calldata s) external;

    /// @notice Take the stake of the convicted. Anyone; the finder gets its share.
    function punish(Conviction calldata c) external;

    /// @notice Convict a validator of its second missed duty. Duty manager only.
    function convictAbsent(Conviction calldata c, address finder) external;

    /// @notice Who found it; zero where nobody is convicted under `id`.
    function findingOf(bytes32 id) external view returns (address finder, bool punished);
    /// @notice The column whose seeds were opened in the attempt `ctx`, if one was.
    function openedColumn(bytes32 ctx) external view returns (bool opened, uint256 column);
    /// @notice The bond of a challenge, in wei.
    function bond() external view returns (uint256);
}
