"""Everything that can happen to a node. The only way the outside reaches the core."""

from dataclasses import dataclass

from flocknode.crypto.merkle import TreeKind
from flocknode.messages.statements import Statement
from flocknode.messages.wire import Message
from flocknode.primitives import Digest, PeerId
from flocknode.protocol.chain_view import ChainView
from flocknode.protocol.evidence import ProofRequest
from flocknode.protocol.ledger import Call


@dataclass(frozen=True, slots=True)
class ChainAdvanced:
    """A block arrived. Revocable acts look at the tip, irrevocable ones at ``final``."""

    tip: ChainView
    final: ChainView


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed; what is outstanding may be said again."""


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A peer sent, or forwarded, a message that decodes."""

    sender: PeerId
    message: Message


@dataclass(frozen=True, slots=True)
class Signed:
    """The signer recorded and signed a statement."""

    statement: Statement
    signature: bytes


@dataclass(frozen=True, slots=True)
class SealingKeyMade:
    ctx: Digest
    suite: int
    key: bytes


@dataclass(frozen=True, slots=True)
class VectorHeld:
    """The bytes under ``root`` are here, as a tree of this kind: of another it is not held."""

    root: Digest
    kind: TreeKind


@dataclass(frozen=True, slots=True)
class FetchFailed:
    """No holder gave the bytes under ``root``."""

    root: Digest


@dataclass(frozen=True, slots=True)
class VectorsLost:
    """The bytes under ``roots`` were held and are not any more."""

    roots: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class Trained:
    """Local training from ``model_root`` finished; the delta is with the vault."""

    round: int
    model_root: Digest


@dataclass(frozen=True, slots=True)
class ConsentGiven:
    """The operator agrees that the round's delta is sent again after that pause."""

    round: int
    pause: int


@dataclass(frozen=True, slots=True)
class DeltaMasked:
    """The delta of this attempt is quantised, masked and sealed."""

    ctx: Digest
    root: Digest
    commitments: tuple[Digest, ...]
    capsules: tuple[bytes, ...]
    vector: bytes
    """Empty when it is too long to travel inline."""


@dataclass(frozen=True, slots=True)
class CapsuleOpened:
    """A capsule held the seed that its header commits to, or did not."""

    ctx: Digest
    header: Digest
    valid: bool


@dataclass(frozen=True, slots=True)
class Resealed:
    """A held seed is sealed to the mate in ``seat``."""

    ctx: Digest
    header: Digest
    seat: int
    capsule: bytes
    """Empty when the mate's key is none."""


@dataclass(frozen=True, slots=True)
class MasksSummed:
    """The seat's column keystreams over one set are summed; the bytes are held."""

    ctx: Digest
    inclusion_root: Digest
    root: Digest
    vector: bytes


@dataclass(frozen=True, slots=True)
class AggregateComputed:
    """R and W_{t+1} for the accepted set under these mask roots; the bytes are held."""

    ctx: Digest
    mask_roots: tuple[Digest, ...]
    aggregate_root: Digest
    model_root: Digest
    model: bytes
    """Empty when it is too long to travel inline."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The calls of a proof that will hold, or of an answer."""

    ctx: Digest
    request: ProofRequest
    calls: tuple[Call, ...]
    """None where bytes are missing, or where nothing is wrong with what was suspected."""


Event = (
    ChainAdvanced
    | Tick
    | MessageReceived
    | Signed
    | SealingKeyMade
    | VectorHeld
    | FetchFailed
    | VectorsLost
    | Trained
    | ConsentGiven
    | DeltaMasked
    | CapsuleOpened
    | Resealed
    | MasksSummed
    | AggregateComputed
    | Prepared
)
