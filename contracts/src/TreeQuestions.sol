// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Evidence} from "./Evidence.sol";
import {IDutyManager} from "./interfaces/IDutyManager.sol";
import {Consequence, IntegerTerms, Phase, Plan} from "./interfaces/Types.sol";
import {Headers} from "./libraries/Headers.sol";
import {Plans} from "./libraries/Plans.sol";
import {Trees} from "./libraries/Trees.sol";

/// @title TreeQuestions: bytes under a root of the proposal, answered on chain or struck
/// @dev Nobody can prove a lie about bytes that nobody shows. Three questions reach any leaf of a million words: the top's
/// 256 descendants, those of one of them, the leaf.
abstract contract TreeQuestions is Evidence, IDutyManager {
    using Plans for Plan;

    /// @notice Levels that one answer goes down.
    uint256 public constant ANSWER_LEVELS = 8;
    /// @notice Questions about one proposal.
    uint256 public constant QUESTIONS_MAX = 64;

    struct Question {
        address asker; // zero: not open
        uint40 deadline;
        uint8 strikes; // proposal that it is about
        uint8 kind;
        uint8 level;
        uint32 index;
        uint64 byteLength;
        uint16 leafBytes;
        uint256 task;
        bytes32 ctx;
        bytes32 root;
        bytes32 node;
    }

    /// @inheritdoc IDutyManager
    uint256 public immutable bond;

    mapping(bytes32 question => Question) private _questions;
    mapping(bytes32 proposal => uint256) private _asked;

    constructor(uint256 bond_) {
        bond = bond_;
    }

    modifier bonded() {
        if (msg.value != bond) revert DutyManagerWrongBond(msg.value, bond);
        _;
    }

    /// @inheritdoc IDutyManager
    function askTree(TreeQuestion calldata q) external payable bonded returns (bytes32 question) {
        Case memory c = _case(q.proposal.task);
        if (!_isAccepted(c, q.proposal)) revert DutyManagerNotAccepted();
        bytes32 proposal = keccak256(abi.encode(c.attempt.ctx, c.attempt.strikes));
        if (++_asked[proposal] > QUESTIONS_MAX) revert DutyManagerTooMany(QUESTIONS_MAX);
        question = keccak256(abi.encode(proposal, q.tree, q.level, q.index));
        if (_questions[question].asker != address(0)) revert DutyManagerAlreadyAsked();
        Question memory open = _questionOf(c, q);
        _checkNode(open, q);
        _questions[question] = open;
        manager.hold(q.proposal.task);
        emit TreeQuestioned(
            question,
            q.proposal.task,
            c.attempt.round,
            c.attempt.attempt,
            q.tree,
            q.level,
            q.index,
            q.node,
            open.deadline
        );
    }

    /// @inheritdoc IDutyManager
    function answerTree(bytes32 question, bytes calldata answer) external {
        Question memory q = _take(question);
        if (block.timestamp >= q.deadline) revert DutyManagerTooLate(q.deadline);
        bytes32 node = q.level == 0 ? _leafOf(q, answer) : _nodeOf(q, answer);
        bytes32 expected = q.node;
        if (expected == 0) {
            node = Trees.seal(q.kind, q.byteLength, node);
            expected = q.root;
        }
        if (node != expected) revert DutyManagerWrongAnswer(node, expected);
        emit TreeAnswered(question, msg.sender, answer);
        if (_stands(_case(q.task), q)) manager.release(q.task);
        _payBond(msg.sender, q.task);
    }

    /// @inheritdoc IDutyManager
    function closeQuestion(bytes32 question) external {
        Question memory q = _take(question);
        if (_stands(_case(q.task), q)) {
            if (block.timestamp < q.deadline) revert DutyManagerTooEarly(q.deadline);
            emit QuestionUnanswered(question);
            manager.judge(q.task, 0, 0, Consequence.Strike);
        }
        _payBond(q.asker, q.task);
    }

    /// @dev Pay a bond; who cannot take it leaves it to the task's gas pool, so that nobody is blocked.
    function _payBond(address to, uint256 task) internal {
        if (!_send(to, bond)) manager.fund{value: bond}(task, 0);
    }

    /// @dev A question is closed before anything else happens.
    function _take(bytes32 question) private returns (Question memory q) {
        q = _questions[question];
        if (q.asker == address(0)) revert DutyManagerNotAsked();
        delete _questions[question];
    }

    function _stands(Case memory c, Question memory q) private pure returns (bool) {
        return c.attempt.ctx == q.ctx && c.attempt.strikes == q.strikes && c.attempt.phase == Phase.Disputed;
    }

    function _questionOf(Case memory c, TreeQuestion calldata q) private view returns (Question memory open) {
        open.asker = msg.sender;
        open.deadline = uint40(block.timestamp + c.plan.answerTime());
        open.strikes = c.attempt.strikes;
        if (q.level > type(uint8).max || q.index > type(uint32).max) revert DutyManagerNode(q.level, q.index);
        open.level = uint8(q.level);
        open.index = uint32(q.index);
        open.task = q.proposal.task;
        open.ctx = c.attempt.ctx;
        open.node = q.node;
        open.leafBytes = uint16(Trees.LEAF_BYTES);
        IntegerTerms memory t = tasks.integersOf(q.proposal.task);
        uint256 columns = c.plan.columns();
        open.byteLength = uint64(uint256(t.words) * t.width / 8);
        if (q.tree < columns) {
            (open.kind, open.root) = (Trees.MASK_SUM, q.proposal.maskRoots[q.tree]);
        } else if (q.tree == columns) {
            (open.kind, open.root) = (Trees.AGGREGATE, q.proposal.aggregateRoot);
        } else if (q.tree == columns + 1) {
            (open.kind, open.root, open.byteLength) = (Trees.MODEL, q.proposal.modelRoot, uint64(t.words) * 4);
        } else if (q.tree == columns + 2) {
            (open.kind, open.root) = (Trees.INCLUSION, c.inclusionRoot);
            open.leafBytes = uint16(Headers.RECORD_BYTES);
            open.byteLength = uint64(Headers.RECORD_BYTES * c.attempt.included);
        } else {
            revert DutyManagerTree(q.tree);
        }
    }

    /// @dev The node lies under the root; the top itself has no name, since the root is a hash over it.
    function _checkNode(Question memory open, TreeQuestion calldata q) private view {
        uint256 width = _width(open, q.level);
        bool exists = q.level < 64 && q.index < width && (q.level == 0 || _width(open, q.level - 1) > 1);
        if (!exists) revert DutyManagerNode(q.level, q.index);
        if (q.node == 0) {
            if (width != 1 || q.path.length != 0) revert DutyManagerNode(q.level, q.index);
            return;
        }
        bytes32 root = Trees.seal(open.kind, open.byteLength, Trees.climb(q.node, q.index, width, q.path));
        if (root != open.root) revert DutyManagerWrongAnswer(root, open.root);
    }

    function _leafOf(Question memory q, bytes calldata answer) private view returns (bytes32) {
        uint256 left = q.byteLength - uint256(q.index) * q.leafBytes;
        uint256 expected = left < q.leafBytes ? left : q.leafBytes;
        if (answer.length != expected) revert DutyManagerLength(answer.length, expected);
        return Trees.leaf(answer);
    }

    function _nodeOf(Question memory q, bytes calldata answer) private view returns (bytes32) {
        uint256 down = q.level < ANSWER_LEVELS ? q.level : ANSWER_LEVELS;
        uint256 first = uint256(q.index) << down;
        uint256 count = _width(q, q.level - down) - first;
        if (count > 1 << down) count = 1 << down;
        if (answer.length != 32 * count) revert DutyManagerLength(answer.length, 32 * count);
        bytes32[] memory nodes = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            nodes[i] = bytes32(answer[32 * i:32 * i + 32]);
        }
        return Trees.fold(nodes);
    }

    function _width(Question memory q, uint256 level) private pure returns (uint256) {
        return (Trees.leavesOf(q.byteLength, q.leafBytes) + (1 << level) - 1) >> level;
    }
}
