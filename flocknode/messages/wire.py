"""The messages of a round, one frozen dataclass each, with the shape that a decoder enforces."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from flocknode.messages.limits import (
    CAPSULE_MAX,
    COLUMNS_MAX,
    GOSSIP_MESSAGE_MAX,
    INLINE_VECTOR_MAX,
    LINK_MESSAGE_MAX,
    MODEL_WORDS_MAX,
    SEALING_KEY_MAX,
    SEATS_MAX,
    TRAINERS_MAX,
)
from flocknode.messages.statements import Attestation, Header, Include, MaskRoot, Propose, SeatKey
from flocknode.primitives import Address, Digest

Shape = Callable[[object], bool]


def uint(maximum: int) -> Shape:
    """Accept an integer from 0 to ``maximum``; a bool is not an integer here."""
    return lambda value: type(value) is int and 0 <= value <= maximum


def exactly(length: int) -> Shape:
    """Accept bytes of one length."""
    return lambda value: type(value) is bytes and len(value) == length


def up_to(length: int) -> Shape:
    """Accept bytes of at most ``length``."""
    return lambda value: type(value) is bytes and len(value) <= length


def many(item: Shape, count_max: int) -> Shape:
    """Accept an array of at most ``count_max`` items."""
    return lambda value: type(value) is tuple and len(value) <= count_max and all(map(item, value))


DIGEST = exactly(32)
SIGNATURE = exactly(65)
SEAT = uint(SEATS_MAX - 1)
VIEW = uint(255)
BITMAP = up_to(32)
"""A roster bitmap as minimal big-endian bytes; msgpack integers end at 64 bits."""


@dataclass(frozen=True, slots=True)
class SeatKeyMessage:
    """A seat's sealing key, to the other seats."""

    KIND: ClassVar[int] = 1
    SIZE_MAX: ClassVar[int] = 4096
    SHAPE: ClassVar[tuple[Shape, ...]] = (
        DIGEST,
        SEAT,
        uint(255),
        up_to(SEALING_KEY_MAX),
        SIGNATURE,
    )
    ctx: Digest
    seat: int
    suite: int
    key: bytes
    signature: bytes

    def statement(self, key_hash: Digest) -> SeatKey:
        return SeatKey(self.ctx, self.seat, key_hash)


@dataclass(frozen=True, slots=True)
class SeatKeyBundle:
    """All sealing keys that a seat has seen, encoded ``SeatKeyMessage`` by seat, by gossip."""

    KIND: ClassVar[int] = 2
    SIZE_MAX: ClassVar[int] = GOSSIP_MESSAGE_MAX
    SHAPE: ClassVar[tuple[Shape, ...]] = (DIGEST, many(up_to(4096), SEATS_MAX))
    ctx: Digest
    keys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ContributionHeader:
    """A trainer's contribution without its vector: by gossip, and inside ``Contribution``."""

    KIND: ClassVar[int] = 3
    SIZE_MAX: ClassVar[int] = GOSSIP_MESSAGE_MAX
    SHAPE: ClassVar[tuple[Shape, ...]] = (
        DIGEST,
        uint(TRAINERS_MAX - 1),
        exactly(20),
        DIGEST,
        uint(MODEL_WORDS_MAX),
        uint(32),
        many(DIGEST, COLUMNS_MAX),
        many(up_to(CAPSULE_MAX), SEATS_MAX),
        SIGNATURE,
    )
    ctx: Digest
    index: int
    trainer: Address
    root: Digest
    words: int
    width: int
    commitments: tuple[Digest, ...]
    """H(s_j), one a column."""
    capsules: tuple[bytes, ...]
    """The seed of the seat's column sealed to the seat, one a seat; empty for an absent seat."""
    signature: bytes

    def statement(self, seeds_hash: Digest, capsules_hash: Digest) -> Header:
        return Header(
            self.ctx,
            self.index,
            self.trainer,
            self.root,
            self.words,
            self.width,
            seeds_hash,
            capsules_hash,
        )


@dataclass(frozen=True, slots=True)
class Contribution:
    """An encoded ``ContributionHeader`` with its vector, to the seats; empty when to be pulled."""

    KIND: ClassVar[int] = 4
    SIZE_MAX: ClassVar[int] = LINK_MESSAGE_MAX
    SHAPE: ClassVar[tuple[Shape, ...]] = (up_to(24_000), up_to(INLINE_VECTOR_MAX))
    header: bytes
    vector: bytes


@dataclass(frozen=True, slots=True)
class AttestationMessage:
    """What a seat holds, by header digest in roster order."""

    KIND: ClassVar[int] = 5
    SIZE_MAX: ClassVar[int] = 16_384
    SHAPE: ClassVar[tuple[Shape, ...]] = (
        DIGEST,
        SEAT,
        uint(0xFFFFFFFF),
        many(DIGEST, TRAINERS_MAX),
        SIGNATURE,
    )
    ctx: Digest
    seat: int
    sequence: int
    headers: tuple[Digest, ...]
    signature: bytes

    def statement(self, headers_hash: Digest) -> Attestation:
        return Attestation(self.ctx, self.seat, self.sequence, headers_hash)


@dataclass(frozen=True, slots=True)
class IncludeOffer:
    """The set that a view's proposer asks to include, by header digest in roster order."""

    KIND: ClassVar[int] = 6
    SIZE_MAX: ClassVar[int] = 16_384
    SHAPE: ClassVar[tuple[Shape, ...]] = (DIGEST, VIEW, many(DIGEST, TRAINERS_MAX))
    ctx: Digest
    view: int
    headers: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class IncludeVote:
    """A seat's signed INCLUDE, to the view's proposer."""

    KIND: ClassVar[int] = 7
    SIZE_MAX: ClassVar[int] = 512
    SHAPE: ClassVar[tuple[Shape, ...]] = (
        DIGEST,
        VIEW,
        SEAT,
        DIGEST,
        BITMAP,
        uint(1 << 32),
        DIGEST,
        SIGNATURE,
    )
    ctx: Digest
    view: int
    seat: int
    inclusion_root: Digest
    trainers: bytes
    weight: int
    commitment: Digest
    signature: bytes

    def statement(self) -> Include:
        return Include(
            self.ctx,
            self.view,
            self.inclusion_root,
            int.from_bytes(self.trainers, "big"),
            self.weight,
            self.commitment,
        )


@dataclass(frozen=True, slots=True)
class MaskRootMessage:
    """A seat's opened commitment; the first seat of a column sends a short sum along."""

    KIND: ClassVar[int] = 8
    SIZE_MAX: ClassVar[int] = LINK_MESSAGE_MAX
    SHAPE: ClassVar[tuple[Shape, ...]] = (
        DIGEST,
        SEAT,
        DIGEST,
        DIGEST,
        uint(MODEL_WORDS_MAX),
        SIGNATURE,
        up_to(INLINE_VECTOR_MAX),
    )
    ctx: Digest
    seat: int
    inclusion_root: Digest
    root: Digest
    words: int
    signature: bytes
    vector: bytes

    def statement(self, column: int) -> MaskRoot:
        return MaskRoot(self.ctx, column, self.inclusion_root, self.root, self.words)


@dataclass(frozen=True, slots=True)
class ProposeOffer:
    """The aggregate and model that a view's proposer asks the seats to sign."""

    KIND: ClassVar[int] = 9
    SIZE_MAX: ClassVar[int] = 1024
    SHAPE: ClassVar[tuple[Shape, ...]] = (DIGEST, VIEW, many(DIGEST, COLUMNS_MAX), DIGEST, DIGEST)
    ctx: Digest
    view: int
    mask_roots: tuple[Digest, ...]
    aggregate_root: Digest
    model_root: Digest


@dataclass(frozen=True, slots=True)
class ProposeVote:
    """A seat's signed PROPOSE, to the view's proposer."""

    KIND: ClassVar[int] = 10
    SIZE_MAX: ClassVar[int] = 1024
    SHAPE: ClassVar[tuple[Shape, ...]] = (
        DIGEST,
        VIEW,
        SEAT,
        DIGEST,
        DIGEST,
        DIGEST,
        DIGEST,
        SIGNATURE,
    )
    ctx: Digest
    view: int
    seat: int
    inclusion_root: Digest
    mask_roots_hash: Digest
    aggregate_root: Digest
    model_root: Digest
    signature: bytes

    def statement(self) -> Propose:
        return Propose(
            self.ctx,
            self.view,
            self.inclusion_root,
            self.mask_roots_hash,
            self.aggregate_root,
            self.model_root,
        )


@dataclass(frozen=True, slots=True)
class ModelWords:
    """A short model, to nodes that did not compute it."""

    KIND: ClassVar[int] = 11
    SIZE_MAX: ClassVar[int] = LINK_MESSAGE_MAX
    SHAPE: ClassVar[tuple[Shape, ...]] = (DIGEST, up_to(INLINE_VECTOR_MAX))
    root: Digest
    words: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """A settled round, by gossip; whoever cares checks it against the chain."""

    KIND: ClassVar[int] = 12
    SIZE_MAX: ClassVar[int] = 1024
    SHAPE: ClassVar[tuple[Shape, ...]] = (DIGEST, uint(1 << 63), DIGEST, DIGEST, DIGEST)
    ctx: Digest
    round: int
    inclusion_root: Digest
    aggregate_root: Digest
    model_root: Digest


@dataclass(frozen=True, slots=True)
class WantKeys:
    """Catch-up: ask a seat for its bundle of sealing keys."""

    KIND: ClassVar[int] = 13
    SIZE_MAX: ClassVar[int] = 64
    SHAPE: ClassVar[tuple[Shape, ...]] = (DIGEST,)
    ctx: Digest


@dataclass(frozen=True, slots=True)
class WantContributions:
    """Catch-up: ask a seat for contributions by header digest."""

    KIND: ClassVar[int] = 14
    SIZE_MAX: ClassVar[int] = 16_384
    SHAPE: ClassVar[tuple[Shape, ...]] = (DIGEST, many(DIGEST, TRAINERS_MAX))
    ctx: Digest
    headers: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class SeedMessage:
    """A seed of the sender's column, resealed to a mate that lacks it."""

    KIND: ClassVar[int] = 15
    SIZE_MAX: ClassVar[int] = 4096
    SHAPE: ClassVar[tuple[Shape, ...]] = (DIGEST, DIGEST, up_to(CAPSULE_MAX))
    ctx: Digest
    header: Digest
    capsule: bytes


@dataclass(frozen=True, slots=True)
class AttestationBundle:
    """Attestations of others that a seat counts, encoded ``AttestationMessage``, to the seats."""

    KIND: ClassVar[int] = 16
    SIZE_MAX: ClassVar[int] = LINK_MESSAGE_MAX
    SHAPE: ClassVar[tuple[Shape, ...]] = (DIGEST, many(up_to(16_384), SEATS_MAX))
    ctx: Digest
    attestations: tuple[bytes, ...]


Message = (
    SeatKeyMessage
    | SeatKeyBundle
    | ContributionHeader
    | Contribution
    | AttestationMessage
    | IncludeOffer
    | IncludeVote
    | MaskRootMessage
    | ProposeOffer
    | ProposeVote
    | ModelWords
    | Outcome
    | WantKeys
    | WantContributions
    | SeedMessage
    | AttestationBundle
)
MESSAGES: tuple[type[Message], ...] = (
    SeatKeyMessage,
    SeatKeyBundle,
    ContributionHeader,
    Contribution,
    AttestationMessage,
    IncludeOffer,
    IncludeVote,
    MaskRootMessage,
    ProposeOffer,
    ProposeVote,
    ModelWords,
    Outcome,
    WantKeys,
    WantContributions,
    SeedMessage,
    AttestationBundle,
)
GOSSIPED: tuple[type[Message], ...] = (SeatKeyBundle, ContributionHeader, Outcome)
