"""What seats and watchers do alike about a lie: pull what it names, prepare a proof, take turns."""

from flocknode.crypto.merkle import LEAF_BYTES, TreeKind
from flocknode.messages.statements import RECORD_BYTES
from flocknode.primitives import Digest, Seconds
from flocknode.protocol.effects import Effect, Fetch, Prepare, Submit, SubmitAll
from flocknode.protocol.events import Prepared
from flocknode.protocol.evidence import ProofRequest, RecordProof, set_statement
from flocknode.protocol.ledger import Call, SetAccepted
from flocknode.protocol.pace import Pace
from flocknode.protocol.proofs import ProveWeight
from flocknode.protocol.seating import Seating


class Pursuit:
    """One node's proofs of an attempt; ``seat`` is None for a validator without one."""

    def __init__(self, seating: Seating, seat: int | None, pace: Pace) -> None:
        self._seating = seating
        self._seat = seat
        self._pace = pace
        self._held: set[tuple[Digest, TreeKind]] = set()
        self._prepared: dict[ProofRequest, tuple[Call, ...]] = {}
        self.rank = 0
        """Of a validator without a seat, among those without."""

    def prepared(self, event: Prepared) -> None:
        self._prepared[event.request] = event.calls

    def vector_held(self, root: Digest, kind: TreeKind) -> None:
        self._held.add((root, kind))

    def holds(self, root: Digest, kind: TreeKind) -> bool:
        return (root, kind) in self._held

    def calls_of(self, proof: ProofRequest) -> tuple[Call, ...] | None:
        """Return the calls of a proof, none if it would not hold; None before it was prepared."""
        return self._prepared.get(proof)

    def prepare(self, proof: ProofRequest) -> list[Effect]:
        is_new = self._pace.once(("prepare", proof))
        return [Prepare(self._seating, proof)] if is_new else []

    def bring(self, proof: ProofRequest, signers: int, now: Seconds) -> list[Effect]:
        """Prepare a proof once, then submit it in turn until it has worked."""
        calls = self.calls_of(proof)
        if calls is None:
            return self.prepare(proof)
        if not calls or not self.is_turn(("proof", proof), signers, now):
            return []
        return [SubmitAll(calls)]

    def disprove_weight(self, accepted: SetAccepted, now: Seconds) -> list[Effect]:
        """Show the whole roster: its weights give another sum for these trainers."""
        task, roster = self._seating.drawn.task, self._seating.roster.records()
        call = ProveWeight(task, set_statement(accepted), roster)
        name = ("weight", accepted.inclusion_root)
        return [Submit(call)] if self.is_turn(name, accepted.seats, now) else []

    def check_records(self, accepted: SetAccepted, now: Seconds) -> list[Effect]:
        """Check the records of a set that this node did not form itself."""
        root, length = accepted.inclusion_root, accepted.trainers.bit_count() * RECORD_BYTES
        if not self.holds(root, TreeKind.INCLUSION):
            return self.fetch(root, TreeKind.INCLUSION, length, accepted.seats, now, RECORD_BYTES)
        return self.bring(RecordProof(accepted), accepted.seats, now)

    def is_turn(self, name: object, signers: int, now: Seconds) -> bool:
        """Rank the seats that did not sign what is to be disproved, then those without a seat.

        A signer has no turn.
        """
        free = [seat for seat in self._seating.seats if not signers >> seat & 1]
        if self._seat is None:
            return self._pace.my_turn(name, now, len(free) + self.rank)
        return self._seat in free and self._pace.my_turn(name, now, free.index(self._seat))

    def fetch(
        self,
        root: Digest,
        kind: TreeKind,
        length: int,
        signers: int,
        now: Seconds,
        leaf_bytes: int = LEAF_BYTES,
    ) -> list[Effect]:
        """Pull from those who signed: nobody signs for bytes that it did not compute."""
        if not self._pace.every(("proof pull", root), now):
            return []
        seats = (s for s in self._seating.seats if signers >> s & 1 and s != self._seat)
        holders = tuple(self._seating.peers[seat] for seat in seats)
        return [Fetch(root, kind, length, holders, leaf_bytes)]
