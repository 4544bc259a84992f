"""A random walk through rounds, proofs and claims, made on the bytecode and on the reference."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from flocknode.crypto.eip712 import encode_words
from flocknode.crypto.hashing import committee_hash
from flocknode.crypto.merkle import tree_opening
from flocknode.messages.statements import RECORD_BYTES, Context, MaskRoot, members_of
from flocknode.primitives import ZERO_DIGEST, Digest
from flocknode.protocol.ledger import Draw, OpenRound, Poke, Settle
from flocknode.protocol.proofs import (
    Accuse,
    AskTree,
    CloseAccusation,
    CloseChallenge,
    CloseDemand,
    CloseQuestion,
    DemandSeed,
    EvidenceSlot,
    OpenCommitment,
    ProposalStatement,
    ProveBadInclusion,
    ProveEquivocation,
    ProveWeight,
    Punish,
    SetStatement,
)
from flocknode.protocol.verdicts import OffenceProven, TreeQuestioned
from flocknode.sim import schedule
from flocknode.sim.abi import CallReverted
from flocknode.sim.state import Phase
from tests.simulation.ledger_world import CREATOR, RELAYER, TASK, TERMS, onion, owner
from tests.simulation.truthful_world import COLUMN, TRAINERS, TruthfulWorld, turned

WHOLE = (1 << TRAINERS) - 1
SEATS = 9
OPEN_PHASES = {Phase.INCLUDED, Phase.DEMANDED, Phase.PROPOSED, Phase.DISPUTED}


class Walk:
    """One world, its twin on the chain, and a seeded choice of what happens next."""

    def __init__(self, world: TruthfulWorld, seed: int) -> None:
        self.world = world
        self.random = random.Random(seed)
        self.said: ProposalStatement | None = None
        self.wrong = b""
        self.own = b""
        self.convictions: list[Punish] = []
        self.questions: list[Digest] = []
        self.records: dict[int, bytes] = {}
        self.taken: list[str] = []

    def step(self) -> None:
        """Do what would come next about half of the time, and anything else otherwise."""
        is_disputable = self.phase in OPEN_PHASES
        act = self._next()
        if self.random.random() < (0.7 if is_disputable else 0.4):
            act = self.random.choice(self._anything())
        self.taken.append(act.__name__)
        seen = len(self.world.ledger._events)
        try:
            act()
        except CallReverted:
            return
        self._remember(self.world.ledger._events[seen:])

    @property
    def phase(self) -> Phase:
        begun = TASK in self.world.ledger.state.rounds
        return self.world.attempt.phase if begun else Phase.IDLE

    def _remember(self, events: Sequence[object]) -> None:
        for event in events:
            if isinstance(event, OffenceProven):
                at = (TASK, event.round, event.attempt)
                self.convictions.append(Punish(*at, event.offence, event.ctx, event.validators))
            if isinstance(event, TreeQuestioned):
                self.questions.append(event.question)

    def _next(self) -> Callable[[], object]:
        match self.phase:
            case Phase.IDLE:
                return self.open
            case Phase.DRAWING:
                return self.draw_all
            case Phase.COLLECTING:
                return self.include_all
            case Phase.INCLUDED:
                return self.propose_in_time
            case Phase.PROPOSED:
                return self.settle_in_time
            case Phase.PAUSED:
                return self.resume
            case Phase.DEMANDED | Phase.DISPUTED:
                return self.close_something

    def _anything(self) -> list[Callable[[], object]]:
        always = [self.wait, self.wait, self.open, self.draw, self.settle, self.poke, self.resume]
        always += [self.reveal, self.close, self.claim_seats, self.punish, self.stake, self.refund]
        if self.phase in {Phase.IDLE, Phase.DRAWING} or not self.world.attempt.committee:
            return always
        seated = [self.include, self.roll_call, self.equivocate, self.claim_trainer]
        if self.phase not in OPEN_PHASES:
            return always + seated
        proofs = [self.prove_aggregate, self.prove_record, self.prove_weight, self.challenge]
        duties = [self.open_seeds, self.demand, self.accuse, self.ask, self.open_commitment]
        return [*always, *seated, *proofs, *duties, self.propose, self.close_something]

    # Time and what anyone may do.

    def wait(self) -> None:
        windows = TERMS.windows
        spans = (1, windows.view, windows.demand, windows.challenge, windows.collect, 60, 600)
        self.world.at(self.world.now + self.random.choice(spans))

    def open(self) -> None:
        self.world.apply(OpenRound(TASK))

    def draw(self) -> None:
        self.world.apply(Draw(TASK))

    def settle(self) -> None:
        self.world.apply(Settle(TASK))

    def poke(self) -> None:
        self.world.apply(Poke(TASK))

    def resume(self) -> None:
        self.world.ledger.resume(TASK, sender=CREATOR)

    def close(self) -> None:
        self.world.ledger.close_requests(self.random.randrange(1, 5), sender=RELAYER)

    def punish(self) -> None:
        if self.convictions:
            self.world.apply(self.random.choice(self.convictions))

    def refund(self) -> None:
        self.world.ledger.withdraw_refund(sender=RELAYER)

    def stake(self) -> None:
        validator, amount = self.random.randrange(12), self.random.randrange(1, 10**19)
        change = self.random.choice(("stake", "request_unstake"))
        getattr(self.world.ledger, change)(validator, amount, sender=owner(validator))

    def reveal(self) -> None:
        """Let one member on duty answer the newest request, with the right layer or another."""
        requests = self.world.ledger.state.requests
        if not requests:
            return
        number = self.random.choice(list(requests))
        self._reveal(number, self.random.choice(requests[number].members))

    def _reveal(self, number: int, validator: int) -> None:
        depth = self.world.peeled.get(validator, 0) + 1
        self.world.ledger.reveal(number, validator, onion(validator, depth), sender=RELAYER)
        self.world.peeled[validator] = depth

    def draw_all(self) -> None:
        number = self.world.attempt.request
        asked = self.world.ledger.state.requests[number]
        for place, validator in enumerate(asked.members):
            if not asked.revealed >> place & 1:
                self._reveal(number, validator)
        self.draw()

    # What seats do.

    def include_all(self) -> None:
        self._include(WHOLE, (1 << SEATS) - 1, 0)

    def include(self) -> None:
        trainers = self.random.choice((WHOLE, WHOLE, 0b0111, 0b1))
        seats = self.random.choice((0b111111, (1 << SEATS) - 1, 0b000111))
        self._include(trainers, seats, self.random.randrange(3))

    def _include(self, trainers: int, seats: int, view: int) -> None:
        place = self.world.attempt
        self.records[place.round] = self.world.records(trainers)
        self.world.apply(self.world.inclusion(trainers, seats, view))

    def roll_call(self) -> None:
        self.world.apply(self.world.answer(self.random.randrange(SEATS), self.random.randrange(4)))

    def propose_in_time(self) -> None:
        it = self.world.attempt
        turn = schedule.Turn(it.strikes, it.proposed_at)
        view = it.strikes * TERMS.views
        start, _ = schedule.proposal_view(TERMS, it.accepted.accepted_at, view, turn)
        self.world.at(max(self.world.now, start))
        self._propose(view, ((1 << SEATS) - 1) & ~it.slashed)

    def propose(self) -> None:
        seats = self.random.choice((0b111111, 0b11111, (1 << SEATS) - 1))
        self._propose(self.random.randrange(8), seats)

    def _propose(self, view: int, seats: int) -> None:
        self.wrong = turned(self.world.aggregate())
        told = self.random.choice(({}, {"aggregate": self.wrong}, {"mask": self._wrong_mask()}))
        self.own = self._wrong_mask() if "mask" not in told else self.world.mask_sum(COLUMN)
        it = self.world.statement(**told, view=view, seats=seats)
        if "aggregate" not in told:
            self.wrong = b""
        self.said = self.world.submit(it)

    def _wrong_mask(self) -> bytes:
        return turned(self.world.mask_sum(COLUMN))

    def settle_in_time(self) -> None:
        end = schedule.window_end(TERMS, self.world.attempt.proposed_at)
        self.world.at(max(self.world.now, end))
        self.settle()

    # What is proven or asked.

    def prove_aggregate(self) -> None:
        if self.said is not None:
            first, level = self.random.choice(((0, 3), (0, 1), (2, 1), (4, 1)))
            self.world.apply(self.world.batch(self.said, first, level, aggregate=self.wrong))

    def prove_record(self) -> None:
        records = self.world.records(self.world.attempt.accepted.trainers)
        count = len(records) // RECORD_BYTES
        position = self.random.randrange(count)
        opening = tree_opening(records, position, RECORD_BYTES)
        self.world.apply(ProveBadInclusion(TASK, count, position, opening))

    def prove_weight(self) -> None:
        it = self.world.attempt.accepted
        words = (it.view, it.inclusion_root, it.trainers, it.weight, it.seats)
        given = SetStatement(*words, it.commitments)
        self.world.apply(ProveWeight(TASK, given, bytes(128 * TRAINERS)))

    def equivocate(self) -> None:
        it, seat = self.world.attempt, self.random.randrange(SEATS)
        signers = it.signers
        context = Context(
            *(TASK, it.round, it.attempt, it.model_root, it.seed),
            committee_hash(it.committee, signers),
            self.world.ledger.state.tasks[TASK].specification.roster_root,
        )
        roots = (Digest(b"\x01" * 32), Digest(bytes([self.random.choice((1, 2))]) * 32))
        said = [MaskRoot(it.ctx, seat % 3, ZERO_DIGEST, root, 100) for root in roots]
        signatures = [self.world.sign(seat, one) for one in said]
        words = [encode_words(members_of(one)) for one in said]
        self.world.apply(ProveEquivocation(context, EvidenceSlot.MASK_ROOT, *words, *signatures))

    def challenge(self) -> None:
        if self.said is not None:
            seat = self.random.choice((1, 4, 7))
            self.world.challenge(self.said, seat, self.own)

    def open_seeds(self) -> None:
        if self.said is None or self.world.attempt.accepted.trainers != WHOLE:
            return
        self.world.at(self.world.now + TERMS.windows.finality)
        sums = (self.world.mask_sum(COLUMN), self._wrong_mask())
        used = next(s for s in sums if self._is_used(s))
        self.world.apply(self.world.opening(self.said, used, self.own))

    def _is_used(self, data: bytes) -> bool:
        it = self.world.statement(mask=data, seats=0)
        return self.said is not None and it.mask_roots == self.said.mask_roots

    def demand(self) -> None:
        seat = self.random.randrange(SEATS)
        call = DemandSeed(TASK, seat, self.random.randrange(TRAINERS), self.world.bond)
        self.world.apply(call, self.world.seat_keys()[seat].address)

    def accuse(self) -> None:
        self.world.apply(Accuse(TASK, self.random.randrange(SEATS), self.world.bond))

    def ask(self) -> None:
        if self.said is not None:
            tree, level = self.random.randrange(7), self.random.randrange(2)
            place = (tree, level, 0, ZERO_DIGEST, ())
            self.world.apply(AskTree(self.said, *place, self.world.bond))

    def open_commitment(self) -> None:
        seat = self.random.randrange(SEATS)
        root = self.world.mask_root(seat % 3)
        signature = self.world.mask_root_signature(seat, root)
        self.world.apply(OpenCommitment(TASK, seat, root, signature))

    def close_something(self) -> None:
        it = self.world.attempt
        self.world.at(self.world.now + self.random.choice((0, 20)))
        calls = [CloseChallenge(TASK, it.ctx)]
        calls += [CloseDemand(TASK, it.ctx, position) for position in range(TRAINERS)]
        calls += [CloseAccusation(TASK, it.ctx, seat) for seat in range(SEATS)]
        calls += [CloseQuestion(question) for question in self.questions[-3:]]
        for call in calls:
            try:
                self.world.apply(call)
            except CallReverted:
                continue

    # Pay.

    def claim_seats(self) -> None:
        rounds = [self.random.randrange(4)]
        self.world.ledger.claim_seats(TASK, self.random.randrange(12), rounds, sender=RELAYER)

    def claim_trainer(self) -> None:
        if not self.records:
            return
        round_ = self.random.choice(list(self.records))
        records = self.records[round_]
        position = self.random.randrange(len(records) // RECORD_BYTES)
        claim = self.world.claim(round_, records, position)
        if self.random.random() < 0.2:
            claim = replace(claim, path=claim.path[:-1])
        self.world.ledger.claim_trainer(TASK, [claim], sender=RELAYER)
