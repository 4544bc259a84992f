"""Step 4: how a seat gets at its capsules, in the header or as a slice that it pulls."""

from flocknode.crypto.merkle import TreeKind
from flocknode.primitives import Digest, PeerId
from flocknode.protocol.capsule_slips import read_slip
from flocknode.protocol.effects import CapsuleSlice, Effect, Fetch, OpenCapsule
from flocknode.protocol.gossip_rules import ValidContribution
from flocknode.protocol.seating import Seating


class CapsuleOpener:
    """One seat's capsules of one attempt."""

    def __init__(self, seating: Seating, seat: int) -> None:
        self._seating = seating
        self._seat = seat
        self._column = seating.column_of(seat)
        self._asked: set[Digest] = set()
        """Headers whose capsule is being opened or pulled."""
        self._pulled: dict[Digest, list[OpenCapsule]] = {}
        """What to open once the slice under a root is here."""

    def open(self, valid: ValidContribution, sender: PeerId | None) -> list[Effect]:
        """Open the own capsule of a header, or pull its slice first; once, unless that failed."""
        if valid.digest in self._asked:
            return []
        self._asked.add(valid.digest)
        if self._seating.suite.in_header:
            capsule = valid.header.capsules[self._seat]
            return [self._opening(valid, capsule)] if capsule else []
        return self._pull(valid, sender)

    def held(self, root: Digest) -> list[Effect]:
        """Open what the slice under ``root`` holds for this seat."""
        return [*self._pulled.pop(root, [])]

    def fetch_failed(self, root: Digest) -> None:
        """Let the next copy of the contribution try again."""
        self._asked.difference_update(opening.header for opening in self._pulled.pop(root, []))

    def _pull(self, valid: ValidContribution, sender: PeerId | None) -> list[Effect]:
        slip = read_slip(valid.header.capsules[self._column], self._column, self._seating)
        if slip is None or self._seat not in slip.seats:
            return []
        piece = CapsuleSlice(slip.root, slip.seats.index(self._seat))
        waiting = self._pulled.setdefault(slip.root, [])
        waiting.append(self._opening(valid, b"", piece))
        if len(waiting) > 1:
            return []
        length = len(slip.seats) * self._seating.suite.capsule_bytes
        trainer = self._seating.roster.entries[valid.header.index].peer
        holders = tuple(dict.fromkeys((trainer, sender or trainer)))
        return [Fetch(slip.root, TreeKind.CAPSULES, length, holders)]

    def _opening(
        self, valid: ValidContribution, capsule: bytes, piece: CapsuleSlice | None = None
    ) -> OpenCapsule:
        header = valid.header
        commitment = header.commitments[self._column]
        return OpenCapsule(
            self._seating, valid.digest, header.index, self._seat, capsule, commitment, piece
        )
