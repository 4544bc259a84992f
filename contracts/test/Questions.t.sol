// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IDutyManager} from "../src/interfaces/IDutyManager.sol";
import {IRoundManager} from "../src/interfaces/IRoundManager.sol";
import {Attempt, Phase, ProposalStatement} from "../src/interfaces/Types.sol";
import {ProofFixture} from "./ProofFixture.sol";

/// @notice Bytes under a proposal's roots: 600 words of 16 bits are two leaves, the second of 176 bytes.
contract QuestionsTest is ProofFixture {
    uint256 private constant SIX = 0x3f;
    uint256 private constant LAST_LEAF = 176;
    address private constant WATCHER = address(0x3A7C);

    ProposalStatement private _proposal;

    function setUp() public {
        setUpProofs(5, 600);
        includeTruth();
        _proposal = statement(Lie.None, SIX, 0);
        submit(_proposal);
        _proposal.signatures = "";
        vm.deal(WATCHER, 10 ether);
    }

    function test_the_top_is_answered_by_its_children_and_the_window_goes_on_where_it_stood() public {
        skip(50);
        bytes32 question = _ask(_top(0));
        assertEq(uint256(phase()), uint256(Phase.Disputed));
        vm.expectPartialRevert(IRoundManager.RoundManagerWrongPhase.selector);
        manager.settle(task);
        skip(14);
        bytes memory children = _children(0);
        uint256 before = address(this).balance;
        duties.answerTree(question, children);
        assertEq(address(this).balance, before + CHALLENGE_BOND);
        assertEq(manager.attemptOf(task).proposedAt + 50, block.timestamp);
        skip(149);
        vm.expectPartialRevert(IRoundManager.RoundManagerTooEarly.selector);
        manager.settle(task);
        skip(1);
        settleNow();
    }

    function test_a_leaf_of_every_tree_is_answered_by_its_bytes() public {
        for (uint256 tree = 0; tree < 5; ++tree) {
            bytes memory opening = openings[_root(tree)];
            uint256 length = opening.length - 32;
            bytes memory leaf = slice(opening, 0, length);
            bytes32 question = _ask(_leafQuestion(tree, leaf, slice(opening, length, opening.length)));
            duties.answerTree(question, leaf);
        }
        assertEq(uint256(phase()), uint256(Phase.Proposed));
        assertEq(address(duties).balance, 0);
    }

    function test_a_record_of_the_set_is_answered_by_its_bytes() public {
        IDutyManager.TreeQuestion memory q = _question(5, 0, 2);
        (q.node, q.path) = (recordLeaves()[2], pathAbove(2, 0));
        duties.answerTree(_ask(q), records[2]);
        assertEq(uint256(phase()), uint256(Phase.Proposed));
    }

    function test_other_bytes_are_no_answer() public {
        bytes32 question = _ask(_top(0));
        bytes memory children = _children(0);
        children[40] ^= 0x01;
        vm.expectPartialRevert(IDutyManager.DutyManagerWrongAnswer.selector);
        duties.answerTree(question, children);
        vm.expectPartialRevert(IDutyManager.DutyManagerLength.selector);
        duties.answerTree(question, new bytes(32));
        children[40] ^= 0x01;
        skip(15);
        vm.expectPartialRevert(IDutyManager.DutyManagerTooLate.selector);
        duties.answerTree(question, children);
        vm.expectRevert(IDutyManager.DutyManagerNotAsked.selector);
        duties.answerTree(keccak256("another"), children);
    }

    function test_a_question_without_an_answer_strikes_the_proposal_and_convicts_nobody() public {
        bytes32 question = _ask(_top(3));
        skip(14);
        vm.expectPartialRevert(IDutyManager.DutyManagerTooEarly.selector);
        duties.closeQuestion(question);
        skip(1);
        uint256 before = WATCHER.balance;
        duties.closeQuestion(question);
        assertEq(WATCHER.balance, before + CHALLENGE_BOND);
        Attempt memory a = manager.attemptOf(task);
        assertEq(uint256(a.phase), uint256(Phase.Included));
        assertEq(a.strikes, 1);
        assertEq(a.slashed, 0);
        assertEq(a.noShows, 0);
    }

    function test_a_question_about_a_proposal_that_fell_frees_its_bond_and_strikes_nothing_else() public {
        bytes32 first = _ask(_top(0));
        bytes32 second = _ask(_top(1));
        skip(15);
        duties.closeQuestion(first);
        skip(5);
        submit(statement(Lie.None, SIX, 4));
        duties.closeQuestion(second);
        assertEq(manager.attemptOf(task).strikes, 1);
        assertEq(uint256(phase()), uint256(Phase.Proposed));
        assertEq(address(duties).balance, 0);
    }

    function test_the_window_waits_for_the_last_of_several_answers() public {
        bytes32 first = _ask(_top(0));
        bytes32 second = _ask(_top(1));
        duties.answerTree(first, _children(0));
        assertEq(uint256(phase()), uint256(Phase.Disputed));
        duties.answerTree(second, _children(1));
        assertEq(uint256(phase()), uint256(Phase.Proposed));
    }

    function test_only_nodes_under_a_root_of_the_accepted_proposal_are_asked_for_with_the_bond() public {
        IDutyManager.TreeQuestion memory q = _top(0);
        q.proposal.aggregateRoot = "another";
        _refused(q, IDutyManager.DutyManagerNotAccepted.selector);
        _refused(_question(6, 1, 0), IDutyManager.DutyManagerTree.selector);
        _refused(_question(0, 2, 0), IDutyManager.DutyManagerNode.selector);
        _refused(_question(0, 1, 1), IDutyManager.DutyManagerNode.selector);
        q = _leafQuestion(0, "no leaf of it", new bytes(32));
        _refused(q, IDutyManager.DutyManagerWrongAnswer.selector);
        q = _top(0);
        vm.expectPartialRevert(IDutyManager.DutyManagerWrongBond.selector);
        duties.askTree(q);
        _ask(q);
        _refused(q, IDutyManager.DutyManagerAlreadyAsked.selector);
    }

    function test_so_many_questions_are_asked_about_one_proposal() public {
        bytes memory children = _children(0);
        for (uint256 i = 0; i < 64; ++i) {
            duties.answerTree(_ask(_top(0)), children);
        }
        _refused(_top(0), IDutyManager.DutyManagerTooMany.selector);
    }

    function _ask(IDutyManager.TreeQuestion memory q) private returns (bytes32) {
        vm.prank(WATCHER);
        return duties.askTree{value: CHALLENGE_BOND}(q);
    }

    function _refused(IDutyManager.TreeQuestion memory q, bytes4 selector) private {
        vm.prank(WATCHER);
        vm.expectPartialRevert(selector);
        duties.askTree{value: CHALLENGE_BOND}(q);
    }

    function _question(uint256 tree, uint256 level, uint256 index)
        private
        view
        returns (IDutyManager.TreeQuestion memory q)
    {
        (q.proposal, q.tree, q.level, q.index) = (_proposal, tree, level, index);
    }

    /// @dev The top of a tree of two leaves has no name but in the answer.
    function _top(uint256 tree) private view returns (IDutyManager.TreeQuestion memory) {
        return _question(tree, 1, 0);
    }

    function _leafQuestion(uint256 tree, bytes memory leaf, bytes memory path)
        private
        view
        returns (IDutyManager.TreeQuestion memory q)
    {
        q = _question(tree, 0, tree == 4 ? 2 : 1);
        (q.node, q.path) = (sha256(bytes.concat(hex"00", leaf)), path);
    }

    function _root(uint256 tree) private view returns (bytes32) {
        if (tree < 3) return _proposal.maskRoots[tree];
        return tree == 3 ? _proposal.aggregateRoot : _proposal.modelRoot;
    }

    /// @dev Both leaves' hashes: the fixture knows the second, the first is its sibling.
    function _children(uint256 tree) private view returns (bytes memory) {
        bytes memory opening = openings[_root(tree)];
        bytes memory leaf = slice(opening, 0, LAST_LEAF);
        return bytes.concat(bytes32(slice(opening, LAST_LEAF, LAST_LEAF + 32)), sha256(bytes.concat(hex"00", leaf)));
    }

    receive() external payable {}
}
