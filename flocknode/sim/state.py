"""Everything the contracts remember, as immutable records in plain dictionaries.

A record is replaced, never changed, so copying the dictionaries is a complete snapshot.
"""

from copy import copy
from dataclasses import dataclass, field
from enum import Enum
from typing import Self

from flocknode.crypto.eip712 import Domain
from flocknode.crypto.merkle import TreeKind
from flocknode.model.terms import TaskTerms
from flocknode.primitives import ZERO_DIGEST, Address, Digest, PeerId
from flocknode.protocol.ledger import LedgerEvent, ProposalAccepted, SetAccepted
from flocknode.sim.pools import Pool as StakePool

ZERO_ADDRESS = Address(bytes(20))


@dataclass(frozen=True, slots=True)
class Deployment:
    """What is fixed when the contracts are deployed."""

    chain_id: int = 31337
    round_manager: Address = field(default=Address(b"\x01" * 20))
    beacon: Address = field(default=Address(b"\x02" * 20))
    registrar: Address = field(default=Address(b"\x03" * 20))
    treasury: Address = field(default=Address(b"\x04" * 20))
    stake_registry: Address = field(default=Address(b"\x05" * 20))
    slashing_manager: Address = field(default=Address(b"\x06" * 20))
    guardian: Address = field(default=Address(b"\x07" * 20))
    stake_min: int = 10**18
    """Stake below it has no weight."""
    stake_cap: int = 1_000 * 10**18
    """Stake of one organisation that counts."""
    unbonding_seconds: int = 7 * 86400
    slash_cap_bps: int = 5_000
    """What slashes of one scope take at most, of what the validator held at the first of them."""
    bond: int = 10**17
    """Native coin that a beacon member pledges; a missing reveal forfeits it."""
    reveal_seconds: int = 60
    members_min: int = 3
    """Fewest members that the beacon asks."""
    challenge_bond: int = 10**16
    """Native coin of a challenge, a demand, an accusation or a question."""
    gas_price: int = 10**9
    gas_price_max: int = 50 * 10**9

    @property
    def domain(self) -> Domain:
        return Domain(self.chain_id, self.round_manager)

    @property
    def stake_domain(self) -> Domain:
        """What a key's consent to a registration binds."""
        return Domain(self.chain_id, self.stake_registry)


@dataclass(frozen=True, slots=True)
class Commission:
    """The owner's share of what delegators earn, in hundredths of a percent."""

    bps: int = 0
    following: int = 0
    following_at: int = 0

    def at(self, now: int) -> int:
        return self.bps if now < self.following_at else self.following


@dataclass(frozen=True, slots=True)
class Validator:
    owner: Address
    organisation: Digest
    signer: Address
    """Who signs from ``since`` on."""
    peer: PeerId
    since: int = 0
    tenures: tuple[tuple[Address, int], ...] = ()
    """Signers of the past, each with the time until which it signed."""
    commission: Commission = field(default_factory=Commission)
    pool: StakePool = field(default_factory=StakePool)
    weight: int = 0
    """Weight in the draw: the capped stake when it was last brought up to date."""
    ejected: bool = False
    """Slashed while weights were frozen: drawn only if nobody else is left."""

    @property
    def stake(self) -> int:
        """Own and delegated stake."""
        return self.pool.value_of(self.pool.bonded)

    @property
    def unbonding(self) -> int:
        return self.pool.value_of(self.pool.unbonding)

    def signer_at(self, time: int) -> Address:
        """Return who signed at ``time``: what a committee drawn then is bound to."""
        past = (signer for signer, until in self.tenures if until > time)
        return self.signer if self.since <= time else next(past)


@dataclass(frozen=True, slots=True)
class Leaving:
    """A request to unbond."""

    shares: int
    release_at: int


@dataclass(frozen=True, slots=True)
class Position:
    """What one holder has on one validator."""

    shares: int = 0
    accrued: int = 0
    """Of the pool when what was earned was last credited."""
    leaving: tuple[Leaving, ...] = ()


@dataclass(frozen=True, slots=True)
class SlashScope:
    """What slashes of one validator in one round may take and have taken."""

    limit: int
    taken: int


@dataclass(frozen=True, slots=True)
class Member:
    """A bonded validator in the beacon, with the present tip of its hash onion."""

    tip: bytes
    """The first 26 bytes."""
    answered: int
    """The newest request that needs no answer any more."""
    joined: int
    """The first request that may ask this member."""


@dataclass(frozen=True, slots=True)
class BeaconRequest:
    members: tuple[int, ...]
    deadline: int
    entropy: int
    """160 bits: the context and every answer's hash, combined by exclusive or."""
    fee: int
    """Native coin for each answer."""
    revealed: int = 0
    """Places among ``members`` that have answered."""
    paid: int = 0
    """Places whose fee was paid, to owners or to the treasury."""


@dataclass(frozen=True, slots=True)
class TaskSpecification:
    """Everything a creator says about a task (Types.sol)."""

    terms: TaskTerms
    configuration: Digest
    model_root: Digest
    roster_root: Digest
    reward_per_round: int
    trainer_share_bps: int
    mode: int = 0


@dataclass(frozen=True, slots=True)
class Task:
    creator: Address
    specification: TaskSpecification


class Phase(Enum):
    """States of an attempt; IDLE before the first round, after the last, or if none can open."""

    IDLE = "idle"
    DRAWING = "drawing"
    COLLECTING = "collecting"
    INCLUDED = "included"
    PROPOSED = "proposed"
    PAUSED = "paused"
    DEMANDED = "demanded"
    """INCLUDED, and a seed is asked for."""
    DISPUTED = "disputed"
    """PROPOSED, and the clock of the challenge window stands still."""


@dataclass(frozen=True, slots=True)
class Round:
    """A task's present attempt. It stays in place of the last one while the next is drawn."""

    model_root: Digest
    phase: Phase = Phase.IDLE
    round: int = 0
    attempt: int = 0
    frozen_trainers: int = 0
    request: int = 0
    """Beacon request of the next draw, in PROPOSED one asked ahead; 0 when none is pending."""
    epoch_seed: Digest = ZERO_DIGEST
    seed: Digest = ZERO_DIGEST
    ctx: Digest = ZERO_DIGEST
    committee: tuple[int, ...] = ()
    signers: tuple[Address, ...] = ()
    drawn_at: int = 0
    roll: int = 0
    """Seats whose INCLUDE of this attempt is on chain."""
    no_shows: tuple[int, ...] = ()
    """Validators whom the next draw leaves out."""
    accepted: SetAccepted | None = None
    proposal: ProposalAccepted | None = None
    proposed_at: int = 0
    """INCLUDED after a strike: when it struck; DISPUTED: seconds of the window that have run."""
    include_seats: int = 0
    """Seats paid for the set: its signers without the judged."""
    propose_seats: int = 0
    strikes: int = 0
    holds: int = 0
    slashed: int = 0
    """Seats convicted in this attempt."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a settled round owes: the unit shares, and which have been claimed."""

    inclusion_root: Digest
    included: int
    """Number of contributions."""
    committee: tuple[int, ...]
    include_seats: int
    propose_seats: int
    trainer_share: int
    seat_share: int
    trainers_paid: int = 0
    """Positions in the inclusion tree."""
    seats_paid: int = 0


@dataclass(frozen=True, slots=True)
class Pool:
    """A task's money: tokens for rewards, native coin for refunds."""

    rewards: int = 0
    gas: int = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """A conviction: who proved it, and whether the stake was taken."""

    finder: Address
    punished: bool = False


@dataclass(frozen=True, slots=True)
class Challenge:
    """Mask challenges of one attempt: the lock and the fuse."""

    tried: int = 0
    """Seats that had their one challenge."""
    opened: int | None = None
    """The column whose seeds are public."""
    seat: int = 0
    strikes: int = 0
    """Proposal that the lock is about."""
    locked_at: int | None = None
    challenger: Address = ZERO_ADDRESS
    root: Digest = ZERO_DIGEST


@dataclass(frozen=True, slots=True)
class Demand:
    """A seed that was asked for on chain, of one column only; ``demander`` while it is open."""

    demander: Address | None
    column: int


@dataclass(frozen=True, slots=True)
class Accusation:
    """``accuser`` while it is open; a seat is accused once in an attempt."""

    accuser: Address | None
    deadline: int


@dataclass(frozen=True, slots=True)
class Question:
    """A node that was asked for."""

    asker: Address
    deadline: int
    strikes: int
    task: int
    ctx: Digest
    kind: TreeKind
    root: Digest
    byte_length: int
    leaf_bytes: int
    level: int
    index: int
    node: Digest


@dataclass(slots=True)
class LedgerState:
    organisations: dict[Digest, Address] = field(default_factory=dict)
    validators: dict[int, Validator] = field(default_factory=dict)
    members: dict[int, Member] = field(default_factory=dict)
    requests: dict[int, BeaconRequest] = field(default_factory=dict)
    tasks: dict[int, Task] = field(default_factory=dict)
    rounds: dict[int, Round] = field(default_factory=dict)
    settlements: dict[tuple[int, int], Settlement] = field(default_factory=dict)
    pools: dict[int, Pool] = field(default_factory=dict)
    refunds: dict[Address, int] = field(default_factory=dict)
    tokens: dict[Address, int] = field(default_factory=dict)
    positions: dict[tuple[int, Address], Position] = field(default_factory=dict)
    scopes: dict[tuple[int, Digest], SlashScope] = field(default_factory=dict)
    credits: dict[Address, int] = field(default_factory=dict)
    """Tokens that the stake registry owes by name."""
    owed: int = 0
    """All that it owes: the credits, and what delegators have earned and not claimed."""
    entries_paused: bool = False
    coins: dict[Address, int] = field(default_factory=dict)
    """Native coin that the contracts paid out."""
    freezes: int = 0
    """Beacon requests that wait for their draw: while there is one, no weight changes."""
    member_order: tuple[int, ...] = ()
    first_open: int = 1
    """The oldest beacon request that is not closed."""
    dismissed: frozenset[int] = frozenset()
    """Members no more whose bond the beacon still holds."""
    treasury_due: int = 0
    findings: dict[Digest, Finding] = field(default_factory=dict)
    challenges: dict[Digest, Challenge] = field(default_factory=dict)
    sums: dict[tuple[Address, Digest, int], tuple[int, int]] = field(default_factory=dict)
    """Contributions added so far, and their sum, by prover, ctx and coordinate."""
    demands: dict[tuple[Digest, int], Demand] = field(default_factory=dict)
    accusations: dict[tuple[Digest, int], Accusation] = field(default_factory=dict)
    opened: dict[Digest, int] = field(default_factory=dict)
    """Seats whose MASK_ROOT is on record, by ctx."""
    questions: dict[Digest, Question] = field(default_factory=dict)
    asked: dict[Digest, int] = field(default_factory=dict)
    """Number of demands by ctx, of questions by proposal."""
    missed: dict[tuple[int, int], int] = field(default_factory=dict)
    """Round of the last missed duty by task and validator."""

    def copy(self) -> Self:
        """Return a state that shares the immutable records and nothing else."""
        clone = copy(self)
        for name in self.__slots__:
            if isinstance(records := getattr(self, name), dict):
                setattr(clone, name, dict(records))
        return clone


@dataclass(slots=True)
class Transaction:
    """One call under way: a private copy of the state, and the events so far."""

    rules: Deployment
    state: LedgerState
    sender: Address
    now: int
    events: list[LedgerEvent] = field(default_factory=list)

    def emit(self, event: LedgerEvent) -> None:
        self.events.append(event)
