"""DutyManager: bytes under a root of the proposal, answered on chain or struck."""

from typing import Final

from flocknode.crypto.merkle import LEAF_BYTES, TreeKind, climb, fold, leaf_node, seal_root
from flocknode.messages.statements import RECORD_BYTES
from flocknode.primitives import Digest
from flocknode.protocol.proofs import AnswerTree, AskTree, CloseQuestion
from flocknode.protocol.verdicts import QuestionUnanswered, TreeAnswered, TreeQuestioned
from flocknode.sim import schedule, stakes
from flocknode.sim.abi import CallReverted, keccak_words, require
from flocknode.sim.duties import count_asked, require_bond
from flocknode.sim.evidence import (
    DIGEST_BYTES,
    attempt_of,
    digests,
    is_accepted,
    path_length,
    terms_of,
)
from flocknode.sim.judging import Consequence, hold, judge, release
from flocknode.sim.state import Phase, Question, Round, Transaction

ANSWER_LEVELS: Final = 8
QUESTIONS_MAX: Final = 64


def ask_tree(tx: Transaction, call: AskTree) -> None:
    """Ask for a node; the challenge window waits for the answer."""
    require_bond(tx, call.bond)
    task = call.proposal.task
    attempt = attempt_of(tx, task)
    require(is_accepted(attempt, call.proposal), "DutyManagerNotAccepted")
    proposal = keccak_words(attempt.ctx, attempt.strikes)
    count_asked(tx, proposal, QUESTIONS_MAX)
    name = keccak_words(proposal, call.tree, call.level, call.index)
    require(name not in tx.state.questions, "DutyManagerAlreadyAsked")
    question = _question(tx, attempt, call)
    _require_node(question, call)
    tx.state.questions[name] = question
    hold(tx, task)
    tx.emit(
        TreeQuestioned(
            question=name,
            task=task,
            round=attempt.round,
            attempt=attempt.attempt,
            tree=call.tree,
            level=call.level,
            index=call.index,
            node=call.node,
            deadline=question.deadline,
        )
    )


def answer_tree(tx: Transaction, call: AnswerTree) -> None:
    """Answer with the bytes of a leaf or the children of a node."""
    question = _take(tx, call.question)
    require(tx.now < question.deadline, "DutyManagerTooLate")
    node = Digest(_leaf(question, call) if question.level == 0 else _node(question, call))
    expected = question.node
    if not any(expected):
        node = seal_root(question.kind, question.byte_length, node)
        expected = question.root
    require(node == expected, "DutyManagerWrongAnswer")
    tx.emit(TreeAnswered(call.question, tx.sender, call.answer))
    if _stands(attempt_of(tx, question.task), question):
        release(tx, question.task)
    stakes.give_coins(tx, tx.sender, tx.rules.challenge_bond)


def close_question(tx: Transaction, call: CloseQuestion) -> None:
    """Strike the proposal for a question that nobody answered."""
    question = _take(tx, call.question)
    if _stands(attempt_of(tx, question.task), question):
        require(tx.now >= question.deadline, "DutyManagerTooEarly")
        tx.emit(QuestionUnanswered(call.question))
        judge(tx, question.task, 0, 0, Consequence.STRIKE)
    stakes.give_coins(tx, question.asker, tx.rules.challenge_bond)


def _take(tx: Transaction, name: Digest) -> Question:
    question = tx.state.questions.pop(name, None)
    if question is None:
        raise CallReverted("DutyManagerNotAsked")
    return question


def _stands(attempt: Round, question: Question) -> bool:
    is_same = attempt.ctx == question.ctx and attempt.strikes == question.strikes
    return is_same and attempt.phase is Phase.DISPUTED


def _question(tx: Transaction, attempt: Round, call: AskTree) -> Question:
    assert attempt.accepted is not None
    require(call.level < 256 and call.index < 1 << 32, "DutyManagerNode")
    terms = terms_of(tx, call.proposal.task)
    roots = call.proposal.mask_roots
    length = terms.integers.words * terms.integers.width // 8
    trees = [(TreeKind.MASK_SUM, root, length) for root in roots]
    trees.append((TreeKind.AGGREGATE, call.proposal.aggregate_root, length))
    trees.append((TreeKind.MODEL, call.proposal.model_root, 4 * terms.integers.words))
    records = RECORD_BYTES * attempt.accepted.trainers.bit_count()
    trees.append((TreeKind.INCLUSION, attempt.accepted.inclusion_root, records))
    require(call.tree < len(trees), "DutyManagerTree")
    kind, root, byte_length = trees[call.tree]
    return Question(
        asker=tx.sender,
        deadline=tx.now + schedule.answer_time(terms),
        strikes=attempt.strikes,
        task=call.proposal.task,
        ctx=attempt.ctx,
        kind=kind,
        root=root,
        byte_length=byte_length,
        leaf_bytes=RECORD_BYTES if kind is TreeKind.INCLUSION else LEAF_BYTES,
        level=call.level,
        index=call.index,
        node=call.node,
    )


def _require_node(question: Question, call: AskTree) -> None:
    """Refuse a node that does not lie under the root; the top is asked for without a name."""
    width = _width(question, call.level)
    is_there = call.level == 0 or _width(question, call.level - 1) > 1
    require(call.level < 64 and call.index < width and is_there, "DutyManagerNode")
    if not any(call.node):
        require(width == 1 and not call.path, "DutyManagerNode")
        return
    require(len(call.path) == path_length(call.index, width), "TreesLength")
    top = climb(call.node, call.index, width, call.path)
    assert top is not None
    is_under = seal_root(question.kind, question.byte_length, top) == question.root
    require(is_under, "DutyManagerWrongAnswer")


def _leaf(question: Question, call: AnswerTree) -> bytes:
    left = question.byte_length - question.index * question.leaf_bytes
    require(len(call.answer) == min(left, question.leaf_bytes), "DutyManagerLength")
    return leaf_node(call.answer)


def _node(question: Question, call: AnswerTree) -> bytes:
    down = min(question.level, ANSWER_LEVELS)
    first = question.index << down
    count = min(1 << down, _width(question, question.level - down) - first)
    require(len(call.answer) == DIGEST_BYTES * count, "DutyManagerLength")
    return fold(list(digests(call.answer)))


def _width(question: Question, level: int) -> int:
    leaves = -(-question.byte_length // question.leaf_bytes)
    return -(-leaves // (1 << level))
