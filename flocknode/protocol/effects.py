"""What a node wants done. The only way the core reaches the outside."""

from dataclasses import dataclass, field

from flocknode.crypto.merkle import LEAF_BYTES
from flocknode.messages.statements import Statement
from flocknode.messages.wire import Message
from flocknode.primitives import Digest, PeerId
from flocknode.protocol.evidence import ProofRequest
from flocknode.protocol.ledger import Call
from flocknode.protocol.seating import Seating


@dataclass(frozen=True, slots=True)
class Publish:
    """Gossip a message."""

    message: Message


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message over the direct streams to ``peers``."""

    peers: tuple[PeerId, ...]
    message: Message


@dataclass(frozen=True, slots=True)
class Penalise:
    """A peer sent what no honest peer sends."""

    peer: PeerId
    reason: str


@dataclass(frozen=True, slots=True)
class Sign:
    """Record and sign; answered by ``Signed``, unless the slot holds another statement."""

    statement: Statement


@dataclass(frozen=True, slots=True)
class Submit:
    """Send a transaction. Its outcome shows on the chain."""

    call: Call


@dataclass(frozen=True, slots=True)
class Fetch:
    """Pull ``length`` bytes of a tree from the first holder that has them."""

    root: Digest
    kind: int
    length: int
    holders: tuple[PeerId, ...]
    leaf_bytes: int = LEAF_BYTES


@dataclass(frozen=True, slots=True)
class Hold:
    """Keep and serve bytes that the core has checked against ``root``."""

    root: Digest
    data: bytes
    is_model: bool = False
    """Others may have lost it: it must outlive a power loss."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Give the bytes under ``root`` to ``peers`` only, besides those of earlier offers."""

    root: Digest
    peers: tuple[PeerId, ...]


@dataclass(frozen=True, slots=True)
class MakeSealingKey:
    """Answered by ``SealingKeyMade``, always with one key; its secret half stays with the vault."""

    seating: Seating


@dataclass(frozen=True, slots=True)
class Train:
    """Train from the model of ``model_root``; answered by ``Trained``."""

    round: int
    model_root: Digest


@dataclass(frozen=True, slots=True)
class AskConsent:
    """Ask the trainer's operator; answered by ``ConsentGiven``, or not at all."""

    round: int
    pause: int
    """How many times the task paused in this round."""


@dataclass(frozen=True, slots=True)
class MaskDelta:
    """Quantise, mask and seal the trained delta of this round; answered by ``DeltaMasked``."""

    seating: Seating
    index: int
    round: int
    sealing_keys: tuple[tuple[int, bytes], ...]
    """(suite, key) by seat; (0, b"") for an absent seat."""


@dataclass(frozen=True, slots=True)
class CapsuleSlice:
    """Where a pulled capsule lies: ``place`` counts the present seats of the column."""

    root: Digest
    place: int


@dataclass(frozen=True, slots=True)
class OpenCapsule:
    """Answered by ``CapsuleOpened``; the seed stays with the vault."""

    seating: Seating
    header: Digest
    index: int
    seat: int
    capsule: bytes
    """Empty when it was pulled with its column's slice."""
    commitment: Digest
    slice: CapsuleSlice | None = None


@dataclass(frozen=True, slots=True)
class TakeSeed:
    """Keep a seed that was given on chain; answered by ``CapsuleOpened``."""

    seating: Seating
    header: Digest
    index: int
    seat: int
    seed: bytes = field(repr=False)
    commitment: Digest


@dataclass(frozen=True, slots=True)
class Reseal:
    """Seal a held seed to a mate of the own column; answered by ``Resealed``."""

    seating: Seating
    header: Digest
    index: int
    seat: int
    """The mate's."""
    suite: int
    key: bytes


@dataclass(frozen=True, slots=True)
class SumMasks:
    """Sum this column's keystreams over ``headers``; answered by ``MasksSummed``."""

    seating: Seating
    inclusion_root: Digest
    headers: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class ServeMaskSum:
    """Serve the summed keystreams from now on: set and demand window are final."""

    seating: Seating
    root: Digest


@dataclass(frozen=True, slots=True)
class ComputeAggregate:
    """Sum, unmask and step; answered by ``AggregateComputed``."""

    seating: Seating
    vectors: tuple[Digest, ...]
    mask_roots: tuple[Digest, ...]
    weight: int


@dataclass(frozen=True, slots=True)
class Prepare:
    """Find the bytes of a proof or an answer and check them as the contract will.

    Answered by ``Prepared``.
    """

    seating: Seating
    request: ProofRequest


@dataclass(frozen=True, slots=True)
class SubmitAll:
    """Send transactions one after the other, none after one that was refused."""

    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class Remember:
    """Keep a message that this seat relies on, or its offer, without vectors, past a restart."""

    seating: Seating
    sender: PeerId
    message: Message


@dataclass(frozen=True, slots=True)
class Recall:
    """Hear again what was remembered of the attempt: the node may have been restarted."""

    ctx: Digest


@dataclass(frozen=True, slots=True)
class DestroySecrets:
    """Attempts before this one are over, and rounds before this one: forget what they left."""

    round: int
    attempt: int


Effect = (
    Publish
    | Send
    | Penalise
    | Sign
    | Submit
    | Fetch
    | Hold
    | Offer
    | MakeSealingKey
    | Train
    | AskConsent
    | MaskDelta
    | OpenCapsule
    | TakeSeed
    | Reseal
    | SumMasks
    | ServeMaskSum
    | ComputeAggregate
    | Prepare
    | SubmitAll
    | Remember
    | Recall
    | DestroySecrets
)
