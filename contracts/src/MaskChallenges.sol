// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Convictions} from "./Convictions.sol";
import {ISlashingManager} from "./interfaces/ISlashingManager.sol";
import {Attempt, Consequence, IntegerTerms, Offence, Phase, Plan, ProposalStatement} from "./interfaces/Types.sol";
import {ChaCha20} from "./libraries/ChaCha20.sol";
import {Headers} from "./libraries/Headers.sol";
import {Plans} from "./libraries/Plans.sol";
import {Trees} from "./libraries/Trees.sol";

/// @title MaskChallenges: wrong mask sums, disproved by the seeds of one column at most
/// @dev The fuse: seeds make a column public, and all columns together unmask. So one column may be opened in an attempt, by
/// a seat that has a claim, under a lock, and only an opening that strikes burns the fuse.
abstract contract MaskChallenges is Convictions {
    using Plans for Plan;

    uint256 private constant GROUP_BYTES = 32;
    uint256 private constant GROUPS_IN_LEAF = 32;
    /// @dev Bytes of a contribution besides the other columns' commitments.
    uint256 private constant CONTRIBUTION_BYTES = 181;

    struct Challenge {
        uint32 tried; // seats that had their one challenge
        uint8 opened; // column + 1, or 0: the fuse
        uint8 seat; // that holds the lock
        uint8 strikes; // proposal that the lock is about
        uint40 lockedAt; // 0: no lock
        address challenger;
        bytes32 root; // the challenger's own
    }

    /// @inheritdoc ISlashingManager
    uint256 public immutable bond;

    mapping(bytes32 ctx => Challenge) private _challenges;

    constructor(uint256 bond_) {
        bond = bond_;
    }

    /// @inheritdoc ISlashingManager
    function openChallenge(ProposalStatement calldata proposal, uint256 seat, bytes32 root, bytes calldata signature)
        external
        payable
    {
        if (msg.value != bond) revert SlashingManagerWrongBond(msg.value, bond);
        Case memory c = _case(proposal.task);
        if (!_isAccepted(c, proposal)) revert SlashingManagerNotAccepted();
        uint256 column = _checkChallenger(c, proposal, seat, root, signature);
        Challenge storage challenge = _challenges[c.attempt.ctx];
        if (challenge.opened == column + 1) revert SlashingManagerColumnOpen(column);
        if (_isLocked(c, challenge)) revert SlashingManagerLocked(challenge.seat);
        if ((challenge.tried >> seat) & 1 == 1) revert SlashingManagerAlreadyTried(seat);
        _refundStale(proposal.task, c.attempt.ctx, challenge);
        challenge.tried |= uint32(1 << seat);
        if (challenge.opened != 0) {
            // A second column would unmask too much: nobody is judged, and the set is spent.
            manager.judge(proposal.task, 0, 0, Consequence.Spend);
            if (!_send(msg.sender, bond)) revert SlashingManagerPaymentFailed();
            return;
        }
        _lock(c, challenge, proposal.task, column, seat, root);
    }

    /// @inheritdoc ISlashingManager
    function openSeeds(SeedOpening calldata o) external {
        Case memory c = _case(o.proposal.task);
        if (!_isAccepted(c, o.proposal)) revert SlashingManagerNotAccepted();
        Challenge storage challenge = _challenges[c.attempt.ctx];
        bool open = challenge.opened != 0 && challenge.opened == o.column + 1;
        if (!open) _checkLock(c, challenge, o.column);
        if (o.column >= c.plan.columns()) revert SlashingManagerUnknownColumn(o.column);

        IntegerTerms memory t = tasks.integersOf(o.proposal.task);
        bytes32 sum = _maskSum(c, t, o);
        if (_groupOf(t, o.proposal.maskRoots[o.column], o.group, o.used) != _cut(t, sum, o.group)) {
            address finder = open ? msg.sender : challenge.challenger;
            if (!open) _unlock(o.proposal.task, c.attempt.ctx, challenge, finder);
            challenge.opened = uint8(o.column + 1);
            emit ColumnOpened(o.proposal.task, c.attempt.round, c.attempt.attempt, o.column);
            _convict(c, o.proposal.task, Offence.WrongMaskSum, _signersOf(c, t, o), Consequence.Strike, finder);
            return;
        }
        if (open) revert SlashingManagerSound();
        // The two roots differ, so at a group where they do one of them is wrong.
        if (_groupOf(t, challenge.root, o.group, o.own) == _cut(t, sum, o.group)) revert SlashingManagerSameLeaves();
        uint256 bit = 1 << challenge.seat;
        _unlock(o.proposal.task, c.attempt.ctx, challenge, address(0));
        manager.release(o.proposal.task);
        _convict(c, o.proposal.task, Offence.WrongMaskSum, bit, Consequence.None, msg.sender);
    }

    /// @inheritdoc ISlashingManager
    function closeChallenge(uint256 task, bytes32 ctx) external {
        Challenge storage challenge = _challenges[ctx];
        if (challenge.lockedAt == 0) revert SlashingManagerNotLocked();
        Case memory c = _case(task);
        if (c.attempt.ctx != ctx || !_isLocked(c, challenge)) return _refundStale(task, ctx, challenge);
        (, uint256 deadline) = _lockTimes(c, challenge);
        if (block.timestamp < deadline) revert SlashingManagerTooEarly(deadline);
        _unlock(task, ctx, challenge, address(0));
        manager.release(task);
    }

    /// @inheritdoc ISlashingManager
    function openedColumn(bytes32 ctx) external view returns (bool opened, uint256 column) {
        uint256 plusOne = _challenges[ctx].opened;
        return plusOne == 0 ? (false, 0) : (true, plusOne - 1);
    }

    /// @dev Refuse who may not challenge; return the seat's column.
    function _checkChallenger(
        Case memory c,
        ProposalStatement calldata proposal,
        uint256 seat,
        bytes32 root,
        bytes calldata signature
    ) private view returns (uint256 column) {
        if (seat >= c.plan.seats()) revert SlashingManagerUnknownSeat(seat);
        if ((c.attempt.slashed >> seat) & 1 == 1) revert SlashingManagerSlashedSeat(seat);
        uint256 validator = _idAt(c, seat);
        if (msg.sender != registry.signerOf(validator)) revert SlashingManagerNotSigner(validator, msg.sender);
        column = seat % c.plan.columns();
        if (proposal.maskRoots[column] == root) revert SlashingManagerSameRoot(root);
        uint256 words = tasks.integersOf(proposal.task).words;
        _checkSignatures(c, 1 << seat, _maskRootDigest(c, column, root, words), signature);
    }

    function _lock(Case memory c, Challenge storage challenge, uint256 task, uint256 column, uint256 seat, bytes32 root)
        private
    {
        challenge.seat = uint8(seat);
        challenge.strikes = c.attempt.strikes;
        challenge.lockedAt = uint40(block.timestamp);
        challenge.challenger = msg.sender;
        challenge.root = root;
        manager.hold(task);
        (uint256 opensAt, uint256 deadline) = _lockTimes(c, challenge);
        emit ChallengeOpened(task, c.attempt.round, c.attempt.attempt, column, seat, opensAt, deadline);
    }

    /// @dev End the lock; the bond goes to `bondTo`, or to the task's gas pool.
    function _unlock(uint256 task, bytes32 ctx, Challenge storage challenge, address bondTo) private {
        challenge.lockedAt = 0;
        emit ChallengeClosed(task, ctx, challenge.seat, bondTo);
        // Whoever cannot take its bond back leaves it to the pool: nothing that leads here can be blocked.
        if (bondTo == address(0) || !_send(bondTo, bond)) manager.fund{value: bond}(task, 0);
    }

    /// @dev A lock whose proposal fell for another reason gives its bond back.
    function _refundStale(uint256 task, bytes32 ctx, Challenge storage challenge) private {
        if (challenge.lockedAt != 0) _unlock(task, ctx, challenge, challenge.challenger);
    }

    function _isLocked(Case memory c, Challenge storage challenge) private view returns (bool) {
        return challenge.lockedAt != 0 && challenge.strikes == c.attempt.strikes && c.attempt.phase == Phase.Disputed;
    }

    /// @dev Seeds are for a lock that is final.
    function _checkLock(Case memory c, Challenge storage challenge, uint256 column) private view {
        bool locked = _isLocked(c, challenge) && challenge.seat % c.plan.columns() == column;
        if (!locked) revert SlashingManagerNotLocked();
        (uint256 opensAt, uint256 deadline) = _lockTimes(c, challenge);
        if (block.timestamp < opensAt) revert SlashingManagerTooEarly(opensAt);
        if (block.timestamp >= deadline) revert SlashingManagerTooLate(deadline);
    }

    function _lockTimes(Case memory c, Challenge storage challenge)
        private
        view
        returns (uint256 opensAt, uint256 deadline)
    {
        opensAt = challenge.lockedAt + c.plan.finality();
        deadline = opensAt + c.plan.answerTime();
    }

    /// @dev Recompute the group of the column's mask sum from seeds that are those of the set's headers.
    function _maskSum(Case memory c, IntegerTerms memory t, SeedOpening calldata o) private view returns (bytes32) {
        Attempt memory a = c.attempt;
        uint256 each = CONTRIBUTION_BYTES + 32 * (c.plan.columns() - 1);
        if (o.contributions.length != each * a.included) {
            revert SlashingManagerLength(o.contributions.length, each * a.included);
        }
        (bytes32[] memory seeds, bytes32[] memory leaves) = _readContributions(c, t, o);
        bytes32 root = Trees.seal(Trees.INCLUSION, Headers.RECORD_BYTES * a.included, Trees.fold(leaves));
        if (root != c.inclusionRoot) revert SlashingManagerWrongSeeds(root, c.inclusionRoot);
        return ChaCha20.sum(seeds, o.group >> 1, o.group & 1 == 1, t.width);
    }

    function _readContributions(Case memory c, IntegerTerms memory t, SeedOpening calldata o)
        private
        view
        returns (bytes32[] memory seeds, bytes32[] memory leaves)
    {
        uint256 included = c.attempt.included;
        uint256 roster = c.attempt.trainers;
        uint256 column = o.column;
        seeds = new bytes32[](included);
        leaves = new bytes32[](included);
        Headers.Writer memory w = Headers.writer(c.attempt.ctx, t.words, t.width);
        bytes calldata contributions = o.contributions;
        uint256 offset;
        assembly ("memory-safe") {
            offset := contributions.offset
        }
        uint256 others = 32 * (c.plan.columns() - 1);
        uint256 index = 0;
        unchecked {
            // `included` is the number of bits of `roster`, and the length was checked.
            for (uint256 i = 0; i < included; ++i) {
                while ((roster >> index) & 1 == 0) {
                    ++index;
                }
                (seeds[i], leaves[i]) = Headers.open(w, index, column, offset, others);
                ++index;
                offset += CONTRIBUTION_BYTES + others;
            }
        }
    }

    /// @dev Return the group that an opening of the mask sum under `root` holds.
    function _groupOf(IntegerTerms memory t, bytes32 root, uint256 group, bytes calldata opening)
        private
        view
        returns (bytes32)
    {
        uint256 byteLength = uint256(t.words) * t.width / 8;
        uint256 groups = (byteLength + GROUP_BYTES - 1) / GROUP_BYTES;
        if (group >= groups) revert SlashingManagerGroup(group, groups);
        Trees.check(root, Trees.MASK_SUM, byteLength, Trees.LEAF_BYTES, group / GROUPS_IN_LEAF, opening);
        uint256 start = (group % GROUPS_IN_LEAF) * GROUP_BYTES;
        return bytes32(opening[start:start + _lengthOf(byteLength, group)]);
    }

    /// @dev Cut a sum to the bytes that the vector has in the group.
    function _cut(IntegerTerms memory t, bytes32 sum, uint256 group) private pure returns (bytes32) {
        uint256 rest = 8 * (GROUP_BYTES - _lengthOf(uint256(t.words) * t.width / 8, group));
        return (sum >> rest) << rest;
    }

    function _lengthOf(uint256 byteLength, uint256 group) private pure returns (uint256) {
        uint256 left = byteLength - group * GROUP_BYTES;
        return left < GROUP_BYTES ? left : GROUP_BYTES;
    }

    /// @dev Seats of the column that signed the wrong root: under a MASK_ROOT, or for their own column in the proposal.
    function _signersOf(Case memory c, IntegerTerms memory t, SeedOpening calldata o) private view returns (uint256) {
        uint256 mates = _seatsOf(c, o.column);
        if (o.accused & ~mates != 0) revert SlashingManagerUnknownSeat(o.accused);
        bytes32 digest = _maskRootDigest(c, o.column, o.proposal.maskRoots[o.column], t.words);
        _checkSignatures(c, o.accused, digest, o.accusedSignatures);
        return o.accused | (o.proposal.seats & mates);
    }
}
