"""A consortium on a simulated ledger: keys, onions and the calls of a whole round."""

from dataclasses import dataclass, field, replace
from functools import cache

import pytest

from flocknode.crypto.hashing import keccak256, mask_commitment, mask_roots_hash, sha256
from flocknode.crypto.merkle import TreeKind, tree_path, tree_root
from flocknode.crypto.signing import SigningKey
from flocknode.messages.statements import RECORD_BYTES, Header, Include, Propose, statement_digest
from flocknode.model.terms import IntegerTerms, TaskTerms, Windows
from flocknode.primitives import Address, Digest, PeerId
from flocknode.protocol.ledger import (
    AnswerRollCall,
    Draw,
    IncludeSet,
    OpenRound,
    Poke,
    ProposeModel,
    Reveal,
    Settle,
)
from flocknode.sim import schedule
from flocknode.sim.abi import CallReverted, bits
from flocknode.sim.ledger import SimulatedLedger
from flocknode.sim.pay import ContributionClaim
from flocknode.sim.state import Deployment, LedgerState, Phase, TaskSpecification

TASK = 1
GENESIS = 1_000
ETHER = 10**18
CREATOR = Address(b"\xcc" * 20)
RELAYER = Address(b"\xaa" * 20)
ONION_LAYERS = 64

TERMS = TaskTerms(
    integers=IntegerTerms(
        words=100,
        width=16,
        bits=12,
        weight_max=16,
        tau=511,
        scale_bits=13,
        numerator=2048,
        denominator=1,
        clip_norm_log2=1,
    ),
    windows=Windows(
        collect=60, settle=10, view=10, demand=20, roots=30, challenge=40, abort=15, finality=5
    ),
    trainers=6,
    trainers_min=3,
    columns=3,
    seats_per_column=3,
    epoch_rounds=1,
    attempts_max=3,
    rounds=10,
)
WHOLE = (1 << TERMS.trainers) - 1
EPOCH = replace(TERMS, epoch_rounds=3)
"""The last inclusion view of a draw at 0 ends at 60 + 10 + 4 * 10."""


def digest(label: str) -> Digest:
    return sha256(label.encode())


@cache
def key(label: str) -> SigningKey:
    return SigningKey(digest(label))


def owner(validator: int) -> Address:
    return key(f"owner {validator}").address


@cache
def onion(validator: int, depth: int) -> Digest:
    """Return a layer of a member's onion; the tip is at depth 0."""
    if depth == ONION_LAYERS:
        return digest(f"onion {validator}")
    return keccak256(onion(validator, depth + 1))


def specification(terms: TaskTerms = TERMS, **changes) -> TaskSpecification:
    return replace(
        TaskSpecification(
            terms=terms,
            configuration=digest("configuration"),
            model_root=digest("model 0"),
            roster_root=digest("roster"),
            reward_per_round=1_000,
            trainer_share_bps=6_000,
        ),
        **changes,
    )


@dataclass
class World:
    """Twelve bonded validators, each of its own organisation, and one funded task."""

    terms: TaskTerms = TERMS
    validators: int = 12
    rewards: int = 10_000
    gas: int = ETHER
    ledger: SimulatedLedger = field(
        default_factory=lambda: SimulatedLedger(Deployment(), genesis=GENESIS, finality_depth=4)
    )
    peeled: dict[int, int] = field(default_factory=dict)
    after: dict[int, LedgerState] = field(default_factory=dict)

    def __post_init__(self):
        for validator in range(self.validators):
            self.join(validator)
        self.ledger.mint(CREATOR, self.rewards)
        self.ledger.create_task(specification(self.terms), sender=CREATOR)
        self.ledger.fund(TASK, self.rewards, self.gas, sender=CREATOR)

    def join(self, validator: int, organisation: str | None = None) -> None:
        name = digest(organisation or f"organisation {validator}")
        ledger, cold = self.ledger, owner(validator)
        ledger.admit_organisation(name, cold, sender=ledger.rules.registrar)
        hot = key(f"signer {validator}")
        ledger.register(name, hot, PeerId(b"peer"), sender=cold)
        ledger.mint(cold, 100 * ETHER)
        ledger.stake(validator, 100 * ETHER, sender=cold)
        ledger.commit(validator, onion(validator, 0), ledger.rules.bond, sender=hot.address)

    @property
    def now(self) -> int:
        return self.ledger.now

    @property
    def attempt(self):
        return self.ledger.round_of(TASK)

    @property
    def pending(self):
        return self.ledger.state.requests[self.attempt.request]

    def at(self, time: int) -> None:
        """Seal the pending block, remember the state after it, and go on at ``time``."""
        number = self.ledger.mine(time).number
        self.after[number] = self.ledger.state

    def apply(self, call, sender: Address = RELAYER):
        return self.ledger.apply(call, sender)

    def reveal(self, *silent: int) -> None:
        """Answer the pending request by every member on duty except the silent."""
        request = self.attempt.request
        for validator in self.pending.members:
            if validator not in silent:
                depth = self.peeled.get(validator, 0) + 1
                self.peeled[validator] = depth
                signer = key(f"signer {validator}").address
                self.ledger.apply(Reveal(request), signer, onion(validator, depth))

    def drawn(self):
        """Open the first round and draw its committee."""
        self.apply(OpenRound(TASK))
        return self.redrawn()

    def redrawn(self):
        self.reveal()
        self.apply(Draw(TASK))
        return self

    def seat_keys(self) -> list[SigningKey]:
        return [key(f"signer {v}") for v in self.attempt.committee]

    def records(self, trainers: int) -> bytes:
        return b"".join(self.record(index) for index in bits(trainers))

    def record(self, index: int) -> bytes:
        trainer = key(f"trainer {index}")
        header = Header(
            ctx=self.attempt.ctx,
            index=index,
            trainer=trainer.address,
            root=digest(f"y {index}"),
            words=100,
            width=16,
            seeds_hash=digest("seeds"),
            capsules_hash=digest("capsules"),
        )
        digest_ = statement_digest(self.ledger.rules.domain, header)
        return header.record(trainer.sign_digest(digest_))

    def inclusion(self, trainers: int = WHOLE, seats: int = 0b111111, view: int = 0) -> IncludeSet:
        """Make a set with the signatures of ``seats``: by default two of every column."""
        root = tree_root(TreeKind.INCLUSION, self.records(trainers), RECORD_BYTES)
        call = IncludeSet(
            TASK,
            self.attempt.round,
            self.attempt.attempt,
            view,
            root,
            trainers,
            weight=trainers.bit_count(),
            seats=seats,
            commitments=tuple(self.commitment(seat) for seat in bits(seats)),
            signatures=(),
        )
        return replace(
            call, signatures=tuple(self.sign(s, self.include_of(call, s)) for s in bits(seats))
        )

    def commitment(self, seat: int) -> Digest:
        return mask_commitment(self.attempt.ctx, seat, digest(f"mask {seat % 3}"))

    def include_of(self, call: IncludeSet, seat: int) -> Include:
        return Include(
            self.attempt.ctx,
            call.view,
            call.inclusion_root,
            call.trainers,
            call.weight,
            self.commitment(seat),
        )

    def answer(self, seat: int, view: int = 1) -> AnswerRollCall:
        call = self.inclusion(0b111, 1 << seat, view)
        return AnswerRollCall(
            task=TASK,
            round=call.round,
            attempt=call.attempt,
            seat=seat,
            view=view,
            inclusion_root=call.inclusion_root,
            trainers=call.trainers,
            weight=call.weight,
            commitment=call.commitments[0],
            signature=call.signatures[0],
        )

    def proposal(self, seats: int = 0b111111, view: int = 0, model: str = "") -> ProposeModel:
        """Make a proposal with the signatures of ``seats``: by default six of nine."""
        masks = tuple(digest(f"mask {column}") for column in range(self.terms.columns))
        statement = Propose(
            self.attempt.ctx,
            view,
            self.attempt.accepted.inclusion_root,
            mask_roots_hash(masks),
            digest("aggregate"),
            digest(model or f"model {self.attempt.round + 1}"),
        )
        return ProposeModel(
            TASK,
            self.attempt.round,
            self.attempt.attempt,
            view,
            masks,
            statement.aggregate_root,
            statement.model_root,
            seats,
            tuple(self.sign(seat, statement) for seat in bits(seats)),
        )

    def sign(self, seat: int, statement) -> bytes:
        return self.seat_keys()[seat].sign_digest(
            statement_digest(self.ledger.rules.domain, statement)
        )

    def included(self, **kwargs):
        self.apply(self.inclusion(**kwargs))
        return self

    def proposed(self):
        self.at(schedule.proposal_view(self.terms, self.attempt.accepted.accepted_at, 0)[0])
        self.apply(self.proposal())
        return self

    def settled(self):
        """Settle an accepted proposal at the end of its window."""
        self.at(schedule.window_end(self.terms, self.attempt.proposal.accepted_at))
        self.apply(Settle(TASK))
        return self

    def whole_round(self):
        """Go from a drawn committee to the next one."""
        self.included().proposed()
        if self.attempt.request:
            self.reveal()
        self.settled()
        if self.attempt.phase is Phase.DRAWING:
            self.redrawn()
        return self

    def claim(self, round_: int, records: bytes, position: int) -> ContributionClaim:
        start = position * RECORD_BYTES
        return ContributionClaim(
            round=round_,
            position=position,
            record=records[start : start + RECORD_BYTES],
            path=tree_path(records, position, RECORD_BYTES),
        )


def kinds(events):
    return [type(event) for event in events]


def refused(reason: str):
    return pytest.raises(CallReverted, match=f"^{reason}$")


def after_the_views(world: World) -> World:
    world.at(schedule.roll_call(world.terms, world.attempt.drawn_at)[0])
    return world


def aborted(world: World, absent=()) -> tuple:
    """Let an attempt pass without a set; all but the absent seats answer the roll call."""
    after_the_views(world)
    for seat in set(range(9)) - set(absent):
        world.apply(world.answer(seat))
    world.at(schedule.roll_call(world.terms, world.attempt.drawn_at)[1])
    return world.apply(Poke(TASK))
