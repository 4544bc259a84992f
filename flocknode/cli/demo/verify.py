"""A watcher that trusts nobody: pulls the public bytes of a settled round and recomputes it."""

from collections.abc import Sequence

from flocknode.cli.demo.watch import RoundRecord
from flocknode.crypto.eip712 import Domain
from flocknode.crypto.merkle import LEAF_BYTES, TreeKind
from flocknode.errors import FlockError
from flocknode.messages.statements import RECORD_BYTES, Header
from flocknode.model.terms import TaskTerms
from flocknode.node.blobs import MemoryDraft
from flocknode.p2p.network import Network
from flocknode.primitives import Digest, PeerId
from flocknode.protocol.chain_view import ChainView
from flocknode.protocol.roster import Roster
from flocknode.protocol.seating import take_seats
from flocknode.protocol.verification import SettledRound, verify_model, verify_set


class Verifier:
    """Checks rounds one after the other; each starts from the model that the last one gave."""

    def __init__(
        self, network: Network, domain: Domain, terms: TaskTerms, roster: Roster, initial: bytes
    ) -> None:
        self._network = network
        self._domain = domain
        self._terms = terms
        self._roster = roster
        self._model = initial
        self.headers: dict[int, tuple[bytes, tuple[Header, ...]]] = {}
        """Inclusion records and headers by round, for claims."""

    async def verify(self, record: RoundRecord, view: ChainView) -> None:
        """Raise a ``FlockError`` unless the round follows from its public bytes."""
        peers = {validator: keys.peer for validator, keys in view.validators.items()}
        seating = take_seats(self._domain, self._terms, self._roster, record.drawn, peers)
        if seating is None:
            raise FlockError("the chain's context is not the one that its parts give")
        settled = SettledRound(seating, record.accepted, record.proposal)
        count = record.accepted.trainers.bit_count()
        root, length = record.accepted.inclusion_root, count * RECORD_BYTES
        records = await self._pull(root, TreeKind.INCLUSION, length, seating.peers, RECORD_BYTES)
        headers = verify_set(settled, records)
        self.headers[record.settled.round] = (records, headers)
        blobs = {record.drawn.model_root: self._model}
        vectors = seating.vector_bytes
        for header in headers:
            kind = TreeKind.MASKED_VECTOR
            blobs[header.root] = await self._pull(header.root, kind, vectors, seating.peers)
        for root in record.proposal.mask_roots:
            blobs[root] = await self._pull(root, TreeKind.MASK_SUM, vectors, seating.peers)
        self._model = verify_model(settled, headers, blobs)

    async def _pull(
        self,
        root: Digest,
        kind: TreeKind,
        length: int,
        holders: Sequence[PeerId],
        leaf_bytes: int = LEAF_BYTES,
    ) -> bytes:
        draft = MemoryDraft()
        await self._network.fetch(root, kind, length, holders, draft, leaf_bytes)
        return bytes(draft.take())
