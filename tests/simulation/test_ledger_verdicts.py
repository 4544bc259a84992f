"""Proofs and duties on the simulated ledger, over a round whose vectors are real."""

import pytest

from flocknode.crypto.merkle import tree_opening
from flocknode.messages.statements import RECORD_BYTES
from flocknode.primitives import ZERO_DIGEST
from flocknode.protocol.ledger import Settle
from flocknode.protocol.proofs import (
    Accuse,
    AnswerDemand,
    AnswerTree,
    AskTree,
    CloseAccusation,
    CloseChallenge,
    CloseDemand,
    CloseQuestion,
    DemandSeed,
    OpenCommitment,
    ProveBadInclusion,
    Punish,
)
from flocknode.protocol.verdicts import Offence, OffenceProven
from flocknode.sim import schedule
from flocknode.sim.abi import CallReverted
from flocknode.sim.state import Phase
from tests.simulation.ledger_world import CREATOR, RELAYER, TASK, TERMS
from tests.simulation.truthful_world import COLUMN, SIX, TRAINERS, TruthfulWorld, turned


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
