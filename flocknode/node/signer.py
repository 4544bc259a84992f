"""The only component that signs: one statement per slot, recorded before it leaves."""

import logging

import trio

from flocknode.crypto.eip712 import Domain
from flocknode.crypto.signing import SigningKey
from flocknode.messages.slots import slot_of
from flocknode.messages.statements import Statement, statement_digest
from flocknode.ports import SlotRecord

log = logging.getLogger("flocknode.node")


class SlotSigner:
    """Signs a statement unless its slot holds another one."""

    def __init__(self, key: SigningKey, domain: Domain, record: SlotRecord) -> None:
        self._key = key
        self._domain = domain
        self._record = record
        self._one = trio.CapacityLimiter(1)

    async def sign(self, statement: Statement) -> bytes | None:
        """Return the signature, or None if the slot already holds another statement.

        The same statement gives the same bytes (RFC 6979). A ``FlockError`` of the record means
        that there is no signature.
        """
        digest = statement_digest(self._domain, statement)
        slot = slot_of(statement)
        if slot is not None:
            record = self._record.record
            if not await trio.to_thread.run_sync(record, slot, digest, limiter=self._one):
                return None
        name = type(statement).__name__
        place = f"{slot[1].hex()[:16]}/{slot[2]}" if slot else "-"
        log.info("signs %s %s %s", name, place, digest.hex()[:16])
        return self._key.sign_digest(digest)
