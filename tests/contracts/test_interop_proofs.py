"""The bytecode judges what Python computes: trees, ChaCha20, sums, the step and the statements."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from flocknode.aggregation.step import server_step
from flocknode.chain.deploy import CHALLENGE_BOND
from flocknode.chain.errors import CallReverted
from flocknode.crypto.merkle import TreeKind, tree_opening, tree_root
from flocknode.messages.statements import RECORD_BYTES
from flocknode.model.stages import Aggregate
from flocknode.primitives import ZERO_DIGEST, Digest
from flocknode.protocol.ledger import CommitteeDrawn, LedgerEvent
from flocknode.protocol.proofs import (
    Accuse,
    AnswerDemand,
    AnswerTree,
    AskTree,
    CloseQuestion,
    DemandSeed,
    OpenChallenge,
    OpenCommitment,
    ProveStep,
    Punish,
    SetStatement,
)
from flocknode.protocol.verdicts import (
    AttemptReleased,
    ColumnOpened,
    CommitmentOpened,
    Offence,
    OffenceProven,
    ProposalStruck,
    SeedAnswered,
    TreeAnswered,
    TreeQuestioned,
    ValidatorSlashed,
)
from tests.contracts.test_chain_ledger import PLAN, Network, draw, ledger_of, pass_time, set_up
from tests.simulation.ledger_world import TASK, TERMS
from tests.simulation.truthful_world import COLUMN, COORDINATE, TruthfulWorld, turned

WORDS = TERMS.integers.words
EVERYBODY = 0b111111111
MODEL = np.arange(-50, 50, dtype="<i4") * 997


class ChainWorld(TruthfulWorld):
    """The same round, its statements signed for contracts on a chain."""

    def __init__(self, network: Network, drawn: CommitteeDrawn) -> None:
        self.terms = TERMS
        rules = SimpleNamespace(domain=network.deployment.domain, challenge_bond=CHALLENGE_BOND)
        self.ledger = SimpleNamespace(rules=rules)
        self.keys = [network.seated(validator).key for validator in drawn.committee]
        self.place = SimpleNamespace(ctx=drawn.ctx, round=0, attempt=0, accepted=None)

    @property
    def attempt(self):
        return self.place

    def seat_keys(self):
        return self.keys


async def test_the_bytecode_judges_what_python_computes(bench):
    terms = replace(TERMS, windows=replace(TERMS.windows, finality=1, demand=30, view=60))
    model = MODEL.tobytes()
    plan = replace(PLAN, terms=terms, model_root=tree_root(TreeKind.MODEL, model))
    network = await set_up(bench, plan=plan)
    drawn = await draw(bench, network)
    world = ChainWorld(network, drawn)
    seated = [ledger_of(bench, network, network.seated(v)) for v in drawn.committee]

    async def apply(call, seat: int = 0) -> list[LedgerEvent]:
        logs = (await seated[seat].transact(call)).logs
        decoded = (network.bindings.decode(log) for log in logs)
        return [event for event in decoded if event is not None]

    async def refused(call, reason: str) -> None:
        with pytest.raises(CallReverted) as caught:
            await apply(call)
        assert caught.value.error == reason

    include = world.inclusion(seats=EVERYBODY & ~(1 << 7))
    await apply(include)
    world.place.accepted = include

    # A demanded seed.
    await apply(DemandSeed(TASK, 7, 2, CHALLENGE_BOND), seat=7)
    others = world.commitments(2)
    del others[COLUMN]
    opening = tree_opening(world.records(63), 2, RECORD_BYTES)
    answer = AnswerDemand(TASK, 2, opening, tuple(others), world.seed(2, COLUMN))
    answered, released = await apply(answer)
    assert answered == SeedAnswered(TASK, 0, 0, 2, COLUMN, Digest(world.seed(2, COLUMN)))
    assert released == AttemptReleased(TASK, 0, 0, 0)
    await pass_time(bench, terms.windows.demand + terms.windows.finality)

    # The step, at words with either sign, floors and all.
    sums = Aggregate(np.frombuffer(world.aggregate(), "<u2"))
    truth = server_step(MODEL, sums, include.weight, terms.integers)
    set_ = SetStatement(
        *(0, include.inclusion_root, include.trainers, include.weight, include.seats),
        commitments=include.commitments,
    )

    def step(statement, following: np.ndarray, coordinate: int) -> ProveStep:
        openings = (model, world.aggregate(), following.tobytes())
        return ProveStep(statement, set_, coordinate, *(tree_opening(it, 0) for it in openings))

    honest = world.statement(model=truth.tobytes(), seats=1 << 8)
    for coordinate in (0, 49, 99):
        await refused(step(honest, truth, coordinate), "SlashingManagerSound")
    wrong = truth.copy()
    wrong[COORDINATE] += 1
    lie = world.statement(model=wrong.tobytes(), seats=1 << 8)
    (proven, *_) = await apply(step(lie, wrong, COORDINATE))
    assert (proven.offence, proven.seats) == (Offence.WRONG_STEP, 1 << 8)

    # The sum, in batches.
    await refused(world.batch(world.statement(seats=1 << 7)), "SlashingManagerSound")
    wrong_sum = turned(world.aggregate())
    lie = world.statement(aggregate=wrong_sum, seats=1 << 7)
    await apply(world.batch(lie, 0, 2, aggregate=wrong_sum))
    (proven, *_) = await apply(world.batch(lie, 4, 2, aggregate=wrong_sum))
    assert (proven.offence, proven.seats) == (Offence.WRONG_AGGREGATE, 1 << 7)

    # The mask sum, under a lock.
    wrong_mask = turned(world.mask_sum(COLUMN))
    it = world.statement(mask=wrong_mask, seats=0b1101111)
    await apply(world.proposed_call(it))
    it = replace(it, signatures=())
    root = world.mask_root(COLUMN)
    signature = world.mask_root_signature(4, root)
    await apply(OpenChallenge(it, 4, root, signature, CHALLENGE_BOND), seat=4)
    await pass_time(bench, terms.windows.finality)
    events = await apply(world.opening(it, used=wrong_mask, own=world.mask_sum(COLUMN)))
    kinds = {type(event): event for event in events}
    assert kinds[ColumnOpened].column == COLUMN
    assert kinds[OffenceProven].seats == 1 << 1
    assert kinds[OffenceProven].finder == drawn.signers[4]
    assert kinds[ProposalStruck].next_view == terms.views
    words = (TASK, 0, 0, Offence.WRONG_MASK_SUM, drawn.ctx, (drawn.committee[1],))
    (slashed,) = [e for e in await apply(Punish(*words)) if isinstance(e, ValidatorSlashed)]
    assert slashed.conviction == kinds[OffenceProven].conviction
    assert slashed.amount == 500 * 10**18

    # A commitment that a silent seat opens.
    await pass_time(bench, terms.windows.roots)
    (accused,) = await apply(Accuse(TASK, 0, CHALLENGE_BOND))
    assert (accused.seat, accused.deadline > 0) == (0, True)
    root = world.mask_root(0)
    (opened,) = await apply(OpenCommitment(TASK, 0, root, world.mask_root_signature(0, root)))
    assert opened == CommitmentOpened(TASK, 0, 0, 0, 0, root)

    # A question that is answered, and one that is not.
    it = world.statement(view=terms.views, seats=0b1111101)
    await apply(world.proposed_call(it))
    ask = AskTree(replace(it, signatures=()), 3, 0, 0, ZERO_DIGEST, (), CHALLENGE_BOND)
    question = _only(await apply(ask), TreeQuestioned).question
    answered = _only(await apply(AnswerTree(question, world.aggregate())), TreeAnswered)
    assert answered.answer == world.aggregate()
    question = _only(await apply(ask), TreeQuestioned).question
    await pass_time(bench, terms.windows.finality + terms.windows.view)
    events = await apply(CloseQuestion(question))
    assert _only(events, ProposalStruck).next_view == 2 * terms.views


def _only(events: list[LedgerEvent], kind: type):
    (event,) = [event for event in events if isinstance(event, kind)]
    return event
