"""How a node that knows one address finds everybody: Kademlia's lookup over signed records.

Request: a key (32 bytes), then the asker's own record, or nothing, after its length (2 bytes,
big-endian). Answer: the number of records (1 byte), then the records nearest to the key that the
asked node knows, each after its length. The library's own table takes addresses that nobody signed
and stores values for anyone.
"""

import logging
import os
import random
import struct
import time
from collections.abc import Callable, Iterable

import trio

from flocknode.crypto.peer_id import peer_text
from flocknode.p2p.faults import NetworkError
from flocknode.p2p.gate import Gate
from flocknode.p2p.host import Host
from flocknode.p2p.rate import Buckets
from flocknode.p2p.records import RECORD_BYTES_MAX, PeerRecord, RecordError, is_address, key_of
from flocknode.p2p.streams import Stream
from flocknode.p2p.table import RecordTable, distance
from flocknode.primitives import Digest, PeerId

PROTOCOL = "/flock/peers/1"
ANSWER_MAX = 20
PARALLEL = 3
QUERIES_MAX = 12
"""Peers asked in one lookup; each answer halves the distance, or nobody is nearer."""
QUERY_SECONDS = 5.0
REFRESH_SECONDS = 60.0
LONELY_SECONDS = 2.0
"""How long to wait before asking, again while nobody was there to ask."""
HINTED_MAX = 256
ASKED_PER_SECOND = 4.0
ASKED_BURST = 32.0

_LENGTH = struct.Struct(">H")
log = logging.getLogger(__name__)


class Discovery:
    """Keeps the records of members, answers questions about them and asks its own."""

    def __init__(
        self,
        host: Host,
        gate: Gate,
        seed: bytes,
        penalise: Callable[[PeerId, str], None],
        found: Callable[[PeerId], None],
    ) -> None:
        self._host = host
        self._gate = gate
        self._seed = seed
        self._penalise = penalise
        self._found = found
        self._own: PeerRecord | None = None
        self._begin: tuple[PeerId, ...] = ()
        self._asked = Buckets(ASKED_PER_SECOND, ASKED_BURST)
        self.table = RecordTable(host.peer)
        host.serve(PROTOCOL, self._serve)

    def announce(self, addresses: Iterable[str]) -> None:
        """Let others know ``addresses`` of this node, if there are any that can be dialled."""
        named = tuple(addresses)
        usable = tuple(filter(is_address, named))
        if named and not usable:
            log.warning("nobody can be told to dial %s: name addresses to announce", named[0])
        if usable:
            self._own = PeerRecord.sign(self._seed, time.time_ns(), usable)

    def begin_with(self, peers: Iterable[PeerId]) -> None:
        """Ask these peers, whose addresses are known, before any other is found."""
        self._begin = tuple(peers)

    def hear(self, peer: PeerId, address: str) -> None:
        """Take a hint of where a member listens, and ask it soon."""
        if self._gate.admits(peer) and peer != self._host.peer:
            self._host.hint(peer, address)
            self._begin = (*(p for p in self._begin if p != peer), peer)[-HINTED_MAX:]
            self._found(peer)

    async def run(self) -> None:
        """Tell a few peers about this node, and hear of others, until cancelled."""
        pause = LONELY_SECONDS
        while True:
            # The first time, too: nodes that start together leave each other room to join.
            await trio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311
            self.table.keep(self._gate.admits)
            asked = await self._look_up(key_of(self._host.peer), PARALLEL)
            asked += await self._look_up(Digest(os.urandom(32)), PARALLEL) if asked else 0
            pause = REFRESH_SECONDS if asked else LONELY_SECONDS

    async def find(self, peer: PeerId) -> None:
        """Look for the addresses of ``peer``; the host knows what was found."""
        await self._look_up(key_of(peer), QUERIES_MAX, peer)

    async def _look_up(self, key: Digest, queries: int, wanted: PeerId | None = None) -> int:
        """Ask ever nearer peers about ``key`` and return how many answered."""
        asked: set[PeerId] = set()
        answered: list[PeerId] = []
        while len(asked) < queries:
            before = self._sequence_of(wanted)
            nearest = [peer for peer in self._candidates(key) if peer not in asked][:PARALLEL]
            if not nearest:
                break
            asked.update(nearest)
            async with trio.open_nursery() as nursery:
                for peer in nearest:
                    nursery.start_soon(self._ask, peer, key, answered)
            if self._sequence_of(wanted) > before:
                break
        return len(answered)

    def _sequence_of(self, peer: PeerId | None) -> int:
        record = next((r for r in self.table.closest(key_of(peer), 1)), None) if peer else None
        return record.sequence if record and record.peer == peer else 0

    def _candidates(self, key: Digest) -> list[PeerId]:
        """Return the peers that can be asked, the nearest to ``key`` first."""
        known = {*self._host.connected(), *self.table.peers()}
        known.update(peer for peer in self._begin if self._host.knows(peer))
        admitted = filter(self._gate.admits, known - {self._host.peer})
        return sorted(admitted, key=lambda peer: distance(key_of(peer), key))

    async def _ask(self, peer: PeerId, key: Digest, answered: list[PeerId]) -> None:
        try:
            with trio.fail_after(QUERY_SECONDS):
                stream = await self._host.open_stream(peer, PROTOCOL)
                try:
                    await stream.write(key + _packed(self._own))
                    count = (await stream.read_exact(1))[0]
                    for _ in range(min(count, ANSWER_MAX)):
                        self._take(await _read_record(stream))
                finally:
                    await stream.reset()
        except RecordError as fault:
            self._penalise(peer, str(fault))
        except (NetworkError, trio.TooSlowError) as fault:
            log.debug("nothing heard of peers from=%s cause=%s", peer_text(peer), fault)
        else:
            answered.append(peer)

    async def _serve(self, stream: Stream) -> None:
        if not self._asked.of(stream.peer).try_take(1, trio.current_time()):
            await stream.reset()
            return
        try:
            with trio.fail_after(QUERY_SECONDS):
                key = Digest(bytes(await stream.read_exact(32)))
                self._take(_own_of(stream.peer, await _read_record(stream)))
                nearest = self.table.closest(key, ANSWER_MAX - 1)
                known = [*nearest, self._own] if self._own else nearest
                await stream.write(bytes([len(known)]) + b"".join(map(_packed, known)))
                await stream.close()
        except RecordError as fault:
            self._penalise(stream.peer, str(fault))
            await stream.reset()

    def _take(self, record: PeerRecord | None) -> None:
        """Keep the record of a member; whoever waits for it is told."""
        if record is None or not self._gate.admits(record.peer) or not self.table.add(record):
            return
        for address in reversed(record.addresses):
            self._host.know(record.peer, address)
        self._found(record.peer)


def _own_of(peer: PeerId, record: PeerRecord | None) -> PeerRecord | None:
    # [REJECT] Who asks speaks for itself.
    if record is not None and record.peer != peer:
        raise RecordError("record of another peer in place of one's own")
    return record


def _packed(record: PeerRecord | None) -> bytes:
    data = record.to_bytes() if record else b""
    return _LENGTH.pack(len(data)) + data


async def _read_record(stream: Stream) -> PeerRecord | None:
    """Read one record; raises ``RecordError`` for what is none."""
    (size,) = _LENGTH.unpack(await stream.read_exact(_LENGTH.size))
    if size > RECORD_BYTES_MAX:
        raise RecordError(f"peer record of {size} bytes")
    return PeerRecord.from_bytes(bytes(await stream.read_exact(size))) if size else None
