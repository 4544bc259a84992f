"""Whether this node remembers what the chain says that its key has signed."""

from flocknode.errors import ConfigurationError
from flocknode.messages.slots import Slot
from flocknode.ports import SlotRecord
from flocknode.primitives import Address, Digest
from flocknode.protocol.ledger import (
    ChainProgress,
    CommitteeDrawn,
    LedgerEvent,
    ProposalAccepted,
    SetAccepted,
)

DRAWS_MAX = 64
"""Attempts of all tasks whose seats are known; a set or a proposal soon follows its draw."""


class ForgottenStatement(ConfigurationError):
    """The chain holds a statement of this key that the node has no record of."""

    def __init__(self, kind: str, round_: int, attempt: int) -> None:
        super().__init__(
            f"the chain holds {kind} signed with this node's key in round {round_}, attempt"
            f" {attempt}, which the signing record lacks: the record is an older copy, or another"
            " node uses the key",
            "stop the other node, or restore the newest record; else take a new signing key",
        )


class Recollection:
    """Compares the bitmaps of accepted sets and proposals with the own record.

    Signing on would be equivocation sooner or later, so the node stops instead.
    """

    def __init__(self, me: Address, record: SlotRecord) -> None:
        self._me = me
        self._record = record
        self._seats: dict[tuple[int, int, int], tuple[Digest, int]] = {}
        """Context and seat by task, round and attempt."""

    def check(self, progress: ChainProgress) -> None:
        """Raise ForgottenStatement for a statement of this key that was never recorded here."""
        for block in progress.blocks:
            for event in block.events:
                self._check(event)

    def _check(self, event: LedgerEvent) -> None:
        match event:
            case CommitteeDrawn():
                if self._me in event.signers:
                    seat = event.signers.index(self._me)
                    self._seats[event.task, event.round, event.attempt] = event.ctx, seat
                while len(self._seats) > DRAWS_MAX:
                    del self._seats[next(iter(self._seats))]
            case SetAccepted():
                self._require("an INCLUDE", "include", event)
            case ProposalAccepted():
                self._require("a PROPOSE", "propose", event)
            case _:
                pass

    def _require(self, kind: str, name: str, event: SetAccepted | ProposalAccepted) -> None:
        known = self._seats.get((event.task, event.round, event.attempt))
        if known is None:
            return
        ctx, seat = known
        slot: Slot = (name, ctx, event.view)
        if event.seats >> seat & 1 and not self._record.holds(slot):
            raise ForgottenStatement(kind, event.round, event.attempt)
