"""Proofs and duties on the simulated ledger, over a round whose vectors are real."""

from dataclasses import replace

import numpy as np
import pytest

from flocknode.crypto.hashing import mask_commitment, mask_roots_hash, seed_commitment, seeds_hash
from flocknode.crypto.masks import add_masks, expand
from flocknode.crypto.merkle import TreeKind, fold, top_of, tree_opening, tree_root
from flocknode.messages.statements import RECORD_BYTES, Header, MaskRoot, Propose, statement_digest
from flocknode.primitives import ZERO_DIGEST, Digest, Wei
from flocknode.protocol.ledger import ProposeModel, Settle
from flocknode.protocol.verdicts import (
    Accuse,
    AnswerDemand,
    AnswerTree,
    AskTree,
    CloseAccusation,
    CloseChallenge,
    CloseDemand,
    CloseQuestion,
    DemandSeed,
    Offence,
    OffenceProven,
    OpenChallenge,
    OpenCommitment,
    OpenedContribution,
    OpenSeeds,
    ProposalStatement,
    ProveAggregate,
    ProveBadInclusion,
    Punish,
    SummedHeader,
)
from flocknode.sim import schedule
from flocknode.sim.abi import CallReverted, bits
from flocknode.sim.state import Phase
from tests.simulation.ledger_world import (
    CREATOR,
    RELAYER,
    TASK,
    TERMS,
    World,
    digest,
    key,
)

TRAINERS = TERMS.trainers
WORDS = TERMS.integers.words
COORDINATE = 7
COLUMN = 1
SIX = 0b111111
NOBODY = 0


class TruthfulWorld(World):
    """A world whose headers, masks and sums are computed, so that they can be disproved."""

    def seed(self, index: int, column: int) -> bytes:
        return digest(f"seed {index} {column}")

    def vector(self, index: int) -> np.ndarray:
        words = np.full(WORDS, index + 1, "<u2")
        add_masks(words, [self.seed(index, column) for column in range(3)])
        return words

    def commitments(self, index: int) -> list[Digest]:
        trainer = key(f"trainer {index}").address
        return [
            seed_commitment(self.attempt.ctx, trainer, column, self.seed(index, column))
            for column in range(3)
        ]

    def header(self, index: int) -> Header:
        root = tree_root(TreeKind.MASKED_VECTOR, self.vector(index).tobytes())
        trainer = key(f"trainer {index}").address
        place = (self.attempt.ctx, index, trainer, root, WORDS, 16)
        return Header(*place, seeds_hash(self.commitments(index)), digest("capsules"))

    def signature(self, index: int) -> bytes:
        header = statement_digest(self.ledger.rules.domain, self.header(index))
        return key(f"trainer {index}").sign_digest(header)

    def record(self, index: int) -> bytes:
        return self.header(index).record(self.signature(index))

    def mask_sum(self, column: int) -> bytes:
        words = np.zeros(WORDS, "<u2")
        for index in range(TRAINERS):
            words += expand(self.seed(index, column), WORDS, 16)
        return words.tobytes()

    def mask_root(self, column: int) -> Digest:
        return tree_root(TreeKind.MASK_SUM, self.mask_sum(column))

    def aggregate(self) -> bytes:
        return np.full(WORDS, sum(range(TRAINERS + 1)), "<u2").tobytes()

    def commitment(self, seat: int) -> Digest:
        return mask_commitment(self.attempt.ctx, seat, self.mask_root(seat % 3))

    def statement(self, *, mask: bytes = b"", aggregate: bytes = b"", view: int = 0, seats=SIX):
        """Sign a proposal; bytes given instead of the true ones make it a lie."""
        roots = [self.mask_root(column) for column in range(3)]
        if mask:
            roots[COLUMN] = tree_root(TreeKind.MASK_SUM, mask)
        root = tree_root(TreeKind.AGGREGATE, aggregate or self.aggregate())
        accepted = self.attempt.accepted
        model = digest("next model")
        propose = Propose(
            *(self.attempt.ctx, view, accepted.inclusion_root),
            *(mask_roots_hash(roots), root, model),
        )
        signatures = tuple(self.sign(seat, propose) for seat in bits(seats))
        return ProposalStatement(TASK, view, tuple(roots), root, model, seats, signatures)

    def submit(self, it: ProposalStatement) -> ProposalStatement:
        """Put a statement on chain; the accepted one needs no signatures any more."""
        at = (TASK, self.attempt.round, self.attempt.attempt, it.view)
        roots = (it.mask_roots, it.aggregate_root, it.model_root)
        self.apply(ProposeModel(*at, *roots, it.seats, it.signatures))
        return replace(it, signatures=())

    def ready(self):
        """Go to the time of proposals over the whole roster."""
        self.drawn().included()
        self.at(schedule.proposal_view(TERMS, self.attempt.accepted.accepted_at, 0)[0])
        return self

    def batch(self, it: ProposalStatement, first: int = 0, level: int = 3, aggregate=b""):
        members = range(first, min(first + (1 << level), TRAINERS))
        headers = [self.header(i) for i in members]
        nodes = self.records((1 << TRAINERS) - 1)
        closing = [self.mask_sum(column) for column in range(3)] + [aggregate or self.aggregate()]
        is_last = members.stop == TRAINERS
        return ProveAggregate(
            proposal=it,
            coordinate=COORDINATE,
            first=first,
            level=level,
            headers=tuple(
                SummedHeader(h.trainer, h.root, h.seeds_hash, h.capsules_hash, self.signature(i))
                for i, h in zip(members, headers, strict=True)
            ),
            path=_path_above(nodes, first, level),
            openings=tuple(tree_opening(self.vector(i).tobytes(), 0) for i in members),
            closing=tuple(tree_opening(data, 0) for data in closing) if is_last else (),
        )

    def opening(self, it: ProposalStatement, used: bytes, own: bytes) -> OpenSeeds:
        return OpenSeeds(
            proposal=it,
            column=COLUMN,
            group=COORDINATE * 2 // 32,
            contributions=tuple(self.opened(index) for index in range(TRAINERS)),
            used=tree_opening(used, 0),
            own=tree_opening(own, 0),
            liars=NOBODY,
            liar_signatures=(),
        )

    def opened(self, index: int) -> OpenedContribution:
        header, others = self.header(index), self.commitments(index)
        del others[COLUMN]
        words = (header.trainer, header.root, header.capsules_hash, self.signature(index))
        return OpenedContribution(*words, self.seed(index, COLUMN), tuple(others))

    def mask_root_signature(self, seat: int, root: Digest) -> bytes:
        inclusion = self.attempt.accepted.inclusion_root
        return self.sign(seat, MaskRoot(self.attempt.ctx, seat % 3, inclusion, root, WORDS))

    def challenge(self, it: ProposalStatement, seat: int, own: bytes):
        root = tree_root(TreeKind.MASK_SUM, own)
        call = OpenChallenge(it, seat, root, self.mask_root_signature(seat, root), self.bond)
        return self.apply(call, self.seat_keys()[seat].address)

    @property
    def bond(self) -> Wei:
        return Wei(self.ledger.rules.challenge_bond)


def _path_above(records: bytes, first: int, level: int) -> tuple[Digest, ...]:
    span = RECORD_BYTES << level
    parts = [records[i : i + span] for i in range(0, len(records), span)]
    nodes, index, path = [top_of(part, RECORD_BYTES) for part in parts], first >> level, []
    while len(nodes) > 1:
        if index ^ 1 < len(nodes):
            path.append(Digest(nodes[index ^ 1]))
        nodes = [fold(nodes[i : i + 2]) for i in range(0, len(nodes), 2)]
        index >>= 1
    return tuple(path)


def turned(data: bytes) -> bytes:
    """Return the bytes with one bit of the coordinate's word turned."""
    at = 2 * COORDINATE
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def refused(reason: str):
    return pytest.raises(CallReverted, match=f"^{reason}$")


@pytest.fixture
def world() -> TruthfulWorld:
    return TruthfulWorld().ready()


def test_a_wrong_aggregate_is_struck_and_its_signers_pay(world):
    wrong = turned(world.aggregate())
    it = world.submit(world.statement(aggregate=wrong))
    (proven, *_) = world.apply(world.batch(it, aggregate=wrong))
    assert isinstance(proven, OffenceProven)
    assert world.attempt.phase is Phase.INCLUDED
    assert (world.attempt.slashed, world.attempt.strikes) == (SIX, 1)
    before = world.ledger.validator(proven.validators[0]).stake
    at = (TASK, proven.round, proven.attempt)
    world.apply(Punish(*at, Offence.WRONG_AGGREGATE, proven.ctx, proven.validators))
    assert world.ledger.validator(proven.validators[0]).stake == before * 9 // 10
    with refused("SlashingManagerAlreadyPunished"):
        world.apply(Punish(*at, Offence.WRONG_AGGREGATE, proven.ctx, proven.validators))


def test_batches_sum_to_the_same_verdict(world):
    wrong = turned(world.aggregate())
    it = world.submit(world.statement(aggregate=wrong))
    for first in (0, 2, 4):
        world.apply(world.batch(it, first, 1, aggregate=wrong))
    assert world.attempt.strikes == 1


def test_the_truth_cannot_be_disproved(world):
    it = world.submit(world.statement())
    with refused("SlashingManagerSound"):
        world.apply(world.batch(it))
    with refused("SlashingManagerSoundRecord"):
        world.apply(
            ProveBadInclusion(TASK, TRAINERS, 0, tree_opening(world.records(63), 0, RECORD_BYTES))
        )


def test_after_a_strike_the_unslashed_propose_over_the_same_set(world):
    wrong = turned(world.aggregate())
    it = world.submit(world.statement(aggregate=wrong))
    world.apply(world.batch(it, aggregate=wrong))
    world.at(world.now + TERMS.windows.finality)
    world.submit(world.statement(view=TERMS.views, seats=0b111000000))
    world.reveal()
    world.at(world.now + TERMS.windows.challenge)
    world.apply(Settle(TASK))
    assert world.attempt.round == 1


def test_a_wrong_mask_sum_is_opened_under_a_lock_and_burns_the_fuse(world):
    lie = turned(world.mask_sum(COLUMN))
    it = world.submit(world.statement(mask=lie))
    world.challenge(it, 7, world.mask_sum(COLUMN))
    assert world.attempt.phase is Phase.DISPUTED
    world.at(world.now + TERMS.windows.finality)
    world.apply(world.opening(it, used=lie, own=world.mask_sum(COLUMN)))
    assert world.attempt.slashed == 0b010010
    assert world.ledger.state.challenges[world.attempt.ctx].opened == COLUMN


def test_a_failed_challenge_costs_the_challenger_and_the_clock_goes_on(world):
    it = world.submit(world.statement())
    world.at(world.now + 3)
    own = turned(world.mask_sum(COLUMN))
    world.challenge(it, 7, own)
    world.at(world.now + TERMS.windows.finality)
    world.apply(world.opening(it, used=world.mask_sum(COLUMN), own=own))
    assert world.attempt.slashed == 1 << 7
    assert world.attempt.phase is Phase.PROPOSED
    assert world.now - world.attempt.proposed_at == 3


def test_a_lapsed_challenge_leaves_its_bond_to_the_pool(world):
    it = world.submit(world.statement())
    world.challenge(it, 7, turned(world.mask_sum(COLUMN)))
    ctx, gas = world.attempt.ctx, world.ledger.pool_of(TASK).gas
    with refused("SlashingManagerTooEarly"):
        world.apply(CloseChallenge(TASK, ctx))
    world.at(world.now + TERMS.windows.finality + schedule.answer_time(TERMS))
    world.apply(CloseChallenge(TASK, ctx))
    assert world.ledger.pool_of(TASK).gas == gas + world.bond
    assert world.attempt.phase is Phase.PROPOSED


def demanding() -> TruthfulWorld:
    world = TruthfulWorld().drawn().included()
    world.apply(DemandSeed(TASK, 7, 2, world.bond), world.seat_keys()[7].address)
    return world


def test_a_demanded_seed_is_answered_and_given_for_one_column_only():
    world = demanding()
    assert world.attempt.phase is Phase.DEMANDED
    others = world.commitments(2)
    del others[COLUMN]
    opening = tree_opening(world.records(63), 2, RECORD_BYTES)
    world.apply(AnswerDemand(TASK, 2, opening, tuple(others), world.seed(2, COLUMN)))
    assert world.attempt.phase is Phase.INCLUDED
    with refused("DutyManagerSeedGiven"):
        world.apply(DemandSeed(TASK, 8, 2, world.bond), world.seat_keys()[8].address)


def test_an_unanswered_demand_aborts_and_the_columns_signers_miss_a_duty():
    world = demanding()
    ctx, members = world.attempt.ctx, world.attempt.committee
    world.at(schedule.demand_end(TERMS, world.attempt.accepted.accepted_at))
    world.apply(CloseDemand(TASK, ctx, 2))
    assert (world.attempt.attempt, world.attempt.frozen_trainers) == (1, 0)
    assert set(world.ledger.state.missed) == {(TASK, members[1]), (TASK, members[4])}


def test_a_silent_seat_misses_a_duty_and_its_pay(world):
    world.at(schedule.root_deadline(TERMS, world.attempt.accepted.accepted_at))
    world.submit(world.statement(seats=0b111110 | 1 << 6))
    world.apply(Accuse(TASK, 0, world.bond))
    world.at(world.now + schedule.answer_time(TERMS))
    world.apply(CloseAccusation(TASK, world.attempt.ctx, 0))
    assert world.attempt.include_seats == 0b111110
    assert (TASK, world.attempt.committee[0]) in world.ledger.state.missed


def test_an_opened_commitment_answers_an_accusation(world):
    world.at(schedule.root_deadline(TERMS, world.attempt.accepted.accepted_at))
    world.apply(Accuse(TASK, 0, world.bond))
    root = world.mask_root(0)
    world.apply(OpenCommitment(TASK, 0, root, world.mask_root_signature(0, root)))
    with refused("DutyManagerNotAsked"):
        world.apply(CloseAccusation(TASK, world.attempt.ctx, 0))


def asked(world):
    it = world.submit(world.statement())
    (*_, question) = world.apply(AskTree(it, 3, 0, 0, ZERO_DIGEST, (), world.bond))
    return question.question


def test_an_answered_question_lets_the_window_go_on(world):
    question = asked(world)
    with refused("DutyManagerWrongAnswer"):
        world.apply(AnswerTree(question, turned(world.aggregate())))
    world.apply(AnswerTree(question, world.aggregate()))
    assert world.attempt.phase is Phase.PROPOSED


def test_an_unanswered_question_strikes_and_slashes_nobody(world):
    question = asked(world)
    world.at(world.now + schedule.answer_time(TERMS))
    world.apply(CloseQuestion(question))
    assert (world.attempt.strikes, world.attempt.slashed) == (1, 0)
    assert world.ledger.state.coins[RELAYER] == world.bond
    assert CREATOR not in world.ledger.state.coins
