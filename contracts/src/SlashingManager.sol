// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {Convictions} from "./Convictions.sol";
import {Evidence} from "./Evidence.sol";
import {IRoundManager} from "./interfaces/IRoundManager.sol";
import {ISlashingManager} from "./interfaces/ISlashingManager.sol";
import {IStakeRegistry} from "./interfaces/IStakeRegistry.sol";
import {ITaskRegistry} from "./interfaces/ITaskRegistry.sol";
import {
    Attempt,
    Consequence,
    Conviction,
    IntegerTerms,
    Offence,
    Plan,
    ProposalStatement,
    SetStatement
} from "./interfaces/Types.sol";
import {Headers} from "./libraries/Headers.sol";
import {Plans} from "./libraries/Plans.sol";
import {Signatures} from "./libraries/Signatures.sol";
import {Statements} from "./libraries/Statements.sol";
import {Step} from "./libraries/Step.sol";
import {Trees} from "./libraries/Trees.sol";
import {MaskChallenges} from "./MaskChallenges.sol";

/// @title SlashingManager: the five proofs that cost stake
/// @notice Every proof is bytes that this contract recomputes; nobody's opinion counts. Calls can be joined by `multicall`.
contract SlashingManager is MaskChallenges, Multicall {
    using Plans for Plan;

    uint256 private constant HEADER_BYTES = 181;
    uint256 private constant ROSTER_BYTES = 128;

    /// @dev Of each prover's sums: contributions added so far in the lowest 16 bits, their sum above.
    mapping(bytes32 proof => uint256) private _sums;

    constructor(
        IRoundManager manager_,
        IStakeRegistry registry_,
        ITaskRegistry tasks_,
        address dutyManager_,
        uint256 bond_
    ) Evidence(manager_, registry_, tasks_) Convictions(dutyManager_) MaskChallenges(bond_) {}

    /// @inheritdoc ISlashingManager
    function proveEquivocation(Equivocation calldata e) external {
        bytes32 ctx = _typedDigest(Statements.hash(e.context));
        (bytes32 typeHash, uint256 length) = _slot(e.slot);
        if (e.first.length != length || e.second.length != length) {
            revert SlashingManagerStatementLength(e.first.length);
        }
        bool same = bytes32(e.first[0:32]) == ctx && keccak256(e.first[0:64]) == keccak256(e.second[0:64]);
        if (!same) revert SlashingManagerOtherSlot();
        bytes32 first = keccak256(abi.encodePacked(typeHash, e.first));
        bytes32 second = keccak256(abi.encodePacked(typeHash, e.second));
        if (first == second) revert SlashingManagerSameStatement();
        address signer = _recover(e.firstSignature, _typedDigest(first));
        bool both = signer != address(0) && signer == _recover(e.secondSignature, _typedDigest(second));
        if (!both) revert SlashingManagerNoSigner();
        _convictSigner(e.context, ctx, registry.validatorOf(signer));
    }

    /// @inheritdoc ISlashingManager
    function proveBadInclusion(BadRecord calldata r) external {
        Case memory c = _case(r.task);
        if (!_hasSet(c)) revert SlashingManagerWrongPhase(uint256(c.attempt.phase));
        uint256 byteLength = Headers.RECORD_BYTES * r.count;
        Trees.check(c.inclusionRoot, Trees.INCLUSION, byteLength, Headers.RECORD_BYTES, r.position, r.opening);
        if (r.count == c.attempt.included && _isSound(c, r)) revert SlashingManagerSoundRecord(r.position);
        _convictIncluders(c, r.task);
    }

    /// @inheritdoc ISlashingManager
    function proveWeight(uint256 task, SetStatement calldata set, bytes calldata roster) external {
        Case memory c = _caseOf(task, set);
        uint256 count = c.plan.trainers();
        if (roster.length != ROSTER_BYTES * count) revert SlashingManagerLength(roster.length, ROSTER_BYTES * count);
        bytes32[] memory leaves = new bytes32[](count);
        uint256 weight = 0;
        for (uint256 i = 0; i < count; ++i) {
            bytes calldata entry = roster[i * ROSTER_BYTES:(i + 1) * ROSTER_BYTES];
            leaves[i] = Trees.leaf(entry);
            if ((set.trainers >> i) & 1 == 1) weight += uint256(bytes32(entry[64:96]));
        }
        bytes32 root = Trees.seal(Trees.ROSTER, roster.length, Trees.fold(leaves));
        (Plan memory plan,) = tasks.planOf(task);
        if (root != plan.rosterRoot) revert Trees.TreesWrongRoot(root, plan.rosterRoot);
        if (weight == set.weight) revert SlashingManagerSound();
        _convictIncluders(c, task);
    }

    /// @inheritdoc ISlashingManager
    function proveAggregate(AggregateBatch calldata b) external {
        Case memory c = _case(b.proposal.task);
        if (!_hasSet(c)) revert SlashingManagerWrongPhase(uint256(c.attempt.phase));
        IntegerTerms memory t = tasks.integersOf(b.proposal.task);
        if (b.coordinate >= t.words) revert SlashingManagerCoordinate(b.coordinate, t.words);
        bytes32 proof = keccak256(abi.encode(msg.sender, c.attempt.ctx, b.coordinate));
        uint256 next = _sums[proof] & 0xffff;
        uint256 sum = _sums[proof] >> 16;
        if (b.first != next) revert SlashingManagerBatch(b.first, next);
        (uint256 added, uint256 count) = _addBatch(c, t, b);
        next += count;
        sum += added;
        if (next < c.attempt.included) {
            _sums[proof] = sum << 16 | next;
            emit AggregateAdvanced(proof, next, sum);
            return;
        }
        if (b.first != 0) delete _sums[proof];
        if (_isSum(c, t, b, sum)) revert SlashingManagerSound();
        _convictProposers(c, b.proposal, Offence.WrongAggregate);
    }

    /// @inheritdoc ISlashingManager
    function proveStep(StepProof calldata s) external {
        Case memory c = _caseOf(s.proposal.task, s.set);
        IntegerTerms memory t = tasks.integersOf(s.proposal.task);
        if (s.coordinate >= t.words) revert SlashingManagerCoordinate(s.coordinate, t.words);
        int256 model = _wordOf(c.attempt.modelRoot, Trees.MODEL, t.words, 32, s.coordinate, s.model);
        int256 sum = _wordOf(s.proposal.aggregateRoot, Trees.AGGREGATE, t.words, t.width, s.coordinate, s.aggregate);
        int256 next = _wordOf(s.proposal.modelRoot, Trees.MODEL, t.words, 32, s.coordinate, s.next);
        if (next == Step.next(model, sum, s.set.weight, t)) revert SlashingManagerSound();
        _convictProposers(c, s.proposal, Offence.WrongStep);
    }

    /// @dev The attempt in progress, whose accepted set is `set`.
    function _caseOf(uint256 task, SetStatement calldata set) private view returns (Case memory c) {
        c = _case(task);
        if (!_hasSet(c)) revert SlashingManagerWrongPhase(uint256(c.attempt.phase));
        if (keccak256(abi.encode(set)) != c.attempt.setHash) revert SlashingManagerWrongSet();
    }

    /// @dev Nobody needs what was signed with a bad set: it aborts while no sum can be known yet, else it is spent.
    function _convictIncluders(Case memory c, uint256 task) private {
        bool early = block.timestamp < c.plan.demandEnd(c.attempt.acceptedAt);
        Consequence consequence = early ? Consequence.Abort : Consequence.SpendAndPause;
        _convict(c, task, Offence.BadInclusion, c.attempt.includeSeats, consequence, msg.sender);
    }

    function _recover(bytes calldata signature, bytes32 digest) private pure returns (address) {
        Signatures.checkLength(signature, 1);
        return Signatures.recover(signature, digest);
    }

    /// @dev Type hash and length of what fills a slot.
    function _slot(uint256 slot) private pure returns (bytes32, uint256) {
        if (slot == 0) return (Statements.SEAT_KEY_TYPE, 96);
        if (slot == 1) return (Statements.INCLUDE_TYPE, 192);
        if (slot == 2) return (Statements.MASK_ROOT_TYPE, 160);
        if (slot == 3) return (Statements.PROPOSE_TYPE, 192);
        revert SlashingManagerSlot(slot);
    }

    /// @dev Two statements convict their signer whatever became of the attempt; in the present one it also loses its seat.
    function _convictSigner(Statements.Context calldata context, bytes32 ctx, uint256 validator) private {
        uint256[] memory ids = new uint256[](1);
        ids[0] = validator;
        Case memory c = _case(context.task);
        uint256 seats = c.attempt.ctx == ctx ? _seatOf(c, validator) : 0;
        Conviction memory conviction =
            Conviction(context.task, context.round, context.attempt, Offence.Equivocation, ctx, ids);
        _record(conviction, seats, msg.sender);
        if (seats != 0) manager.judge(context.task, seats, 0, Consequence.None);
    }

    /// @dev The bit of a validator's seat, or 0.
    function _seatOf(Case memory c, uint256 validator) private pure returns (uint256) {
        uint256 seats = c.plan.seats();
        for (uint256 seat = 0; seat < seats; ++seat) {
            if (_idAt(c, seat) == validator) return 1 << seat;
        }
        return 0;
    }

    function _convictProposers(Case memory c, ProposalStatement calldata s, Offence offence) private {
        bool accepted = _isAccepted(c, s);
        if (!accepted) {
            if (s.seats >> c.plan.seats() != 0) revert SlashingManagerUnknownSeat(s.seats);
            _checkSignatures(c, s.seats, _digestOf(c, s), s.signatures);
        }
        _convict(c, s.task, offence, s.seats, accepted ? Consequence.Strike : Consequence.None, msg.sender);
    }

    /// @dev Whether a record is one that an honest seat would have signed for.
    function _isSound(Case memory c, BadRecord calldata r) private view returns (bool) {
        IntegerTerms memory t = tasks.integersOf(r.task);
        bytes calldata record = r.opening[:Headers.RECORD_BYTES];
        uint256 index = uint256(bytes32(record[32:64]));
        bool fits = bytes32(record[0:32]) == c.attempt.ctx && index == _member(c.attempt.trainers, r.position)
            && uint256(bytes32(record[128:160])) == t.words && uint256(bytes32(record[160:192])) == t.width;
        if (!fits) return false;
        uint256 trainer = uint256(bytes32(record[64:96]));
        bytes32 digest = _typedDigest(keccak256(abi.encodePacked(Statements.HEADER_TYPE, record[:256])));
        address signer = Signatures.recover(record[256:], digest);
        if (signer == address(0) || uint160(signer) != trainer) return false;
        return r.roster.length == 0 || _rosterAddress(c, r.task, index, r.roster) == trainer;
    }

    function _rosterAddress(Case memory c, uint256 task, uint256 index, bytes calldata opening)
        private
        view
        returns (uint256)
    {
        uint256 byteLength = ROSTER_BYTES * c.plan.trainers();
        (Plan memory plan,) = tasks.planOf(task);
        Trees.check(plan.rosterRoot, Trees.ROSTER, byteLength, ROSTER_BYTES, index, opening);
        return uint256(bytes32(opening[32:64]));
    }

    /// @dev The roster index at a position of the set.
    function _member(uint256 trainers, uint256 position) private pure returns (uint256 index) {
        for (; index < 256; ++index) {
            if ((trainers >> index) & 1 == 1) {
                if (position == 0) return index;
                --position;
            }
        }
    }

    /// @dev Check a batch against the inclusion root and sum its words at the coordinate.
    function _addBatch(Case memory c, IntegerTerms memory t, AggregateBatch calldata b)
        private
        view
        returns (uint256 sum, uint256 count)
    {
        uint256 included = c.attempt.included;
        if (b.level > 8 || b.first >= included || b.first % (1 << b.level) != 0) {
            revert SlashingManagerBatch(b.first, included);
        }
        count = included - b.first < 1 << b.level ? included - b.first : 1 << b.level;
        if (b.headers.length != HEADER_BYTES * count) {
            revert SlashingManagerLength(b.headers.length, HEADER_BYTES * count);
        }
        if (b.openings.length % count != 0) revert SlashingManagerLength(b.openings.length, count);
        bytes32[] memory leaves;
        (sum, leaves) = _readBatch(c, t, b, count);
        uint256 width = (included + (1 << b.level) - 1) >> b.level;
        bytes32 node = Trees.climb(Trees.fold(leaves), b.first >> b.level, width, b.path);
        bytes32 root = Trees.seal(Trees.INCLUSION, Headers.RECORD_BYTES * included, node);
        if (root != c.inclusionRoot) revert Trees.TreesWrongRoot(root, c.inclusionRoot);
    }

    function _readBatch(Case memory c, IntegerTerms memory t, AggregateBatch calldata b, uint256 count)
        private
        view
        returns (uint256 sum, bytes32[] memory leaves)
    {
        leaves = new bytes32[](count);
        Headers.Writer memory w = Headers.writer(c.attempt.ctx, t.words, t.width);
        uint256 each = b.openings.length / count;
        uint256 index = _member(c.attempt.trainers, b.first);
        for (uint256 i = 0; i < count; ++i) {
            while ((c.attempt.trainers >> index) & 1 == 0) {
                ++index;
            }
            bytes calldata header = b.headers[i * HEADER_BYTES:(i + 1) * HEADER_BYTES];
            leaves[i] = Headers.leaf(w, index++, header[0:52], bytes32(header[52:84]), header[84:181]);
            bytes calldata opening = b.openings[i * each:(i + 1) * each];
            sum += _unsignedOf(bytes32(header[20:52]), Trees.MASKED_VECTOR, t, b.coordinate, opening);
        }
    }

    /// @dev Whether the proposal's aggregate is `sum` without its mask sums, at the coordinate.
    function _isSum(Case memory c, IntegerTerms memory t, AggregateBatch calldata b, uint256 sum)
        private
        view
        returns (bool)
    {
        uint256 columns = c.plan.columns();
        if (b.proposal.maskRoots.length != columns) revert SlashingManagerLength(b.proposal.maskRoots.length, columns);
        if (b.closing.length % (columns + 1) != 0) revert SlashingManagerLength(b.closing.length, columns + 1);
        uint256 each = b.closing.length / (columns + 1);
        uint256 aggregate =
            _unsignedOf(b.proposal.aggregateRoot, Trees.AGGREGATE, t, b.coordinate, b.closing[columns * each:]);
        for (uint256 j = 0; j < columns; ++j) {
            bytes calldata opening = b.closing[j * each:(j + 1) * each];
            aggregate += _unsignedOf(b.proposal.maskRoots[j], Trees.MASK_SUM, t, b.coordinate, opening);
        }
        return (aggregate ^ sum) & ((1 << t.width) - 1) == 0;
    }

    function _unsignedOf(bytes32 root, uint8 kind, IntegerTerms memory t, uint256 coordinate, bytes calldata opening)
        private
        view
        returns (uint256)
    {
        uint256 perLeaf = Trees.LEAF_BYTES * 8 / t.width;
        uint256 byteLength = uint256(t.words) * t.width / 8;
        Trees.check(root, kind, byteLength, Trees.LEAF_BYTES, coordinate / perLeaf, opening);
        return Step.unsignedAt(opening, coordinate % perLeaf, t.width);
    }

    function _wordOf(bytes32 root, uint8 kind, uint256 words, uint256 width, uint256 coordinate, bytes calldata opening)
        private
        view
        returns (int256)
    {
        uint256 perLeaf = Trees.LEAF_BYTES * 8 / width;
        Trees.check(root, kind, words * width / 8, Trees.LEAF_BYTES, coordinate / perLeaf, opening);
        return Step.signedAt(opening, coordinate % perLeaf, width);
    }
}
