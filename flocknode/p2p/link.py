"""One stream of a pair with its outgoing queue."""

from collections import deque

import trio

from flocknode.p2p.streams import Stream

QUEUE_FRAMES_MAX = 1_024
QUEUE_BYTES_MAX = 8 * 2**20
BATCH_BYTES_MAX = 60_000
"""Small frames leave together: a write costs the same up to one yamux frame."""
LINGER_SECONDS = 5.0


class Link:
    """A stream that is current until it is retired; ``ended`` is set when it is over."""

    def __init__(self, stream: Stream, *, is_ours: bool, opened_at: float) -> None:
        self.stream = stream
        self.peer = stream.peer
        self.is_ours = is_ours
        self.opened_at = opened_at
        self.ended = trio.Event()
        self.reading = trio.CancelScope()
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._is_retired = False
        self._wake = trio.Event()

    def push(self, frame: bytes) -> bool:
        """Queue ``frame`` if there is room."""
        is_full = (
            len(self._queue) >= QUEUE_FRAMES_MAX
            or self._queued_bytes + len(frame) > QUEUE_BYTES_MAX
        )
        if self._is_retired or is_full:
            return False
        self._queue.append(frame)
        self._queued_bytes += len(frame)
        self._wake.set()
        return True

    def hand_over(self) -> list[bytes]:
        """Retire and give up the frames that were not written yet."""
        frames = list(self._queue)
        self._queue.clear()
        self._queued_bytes = 0
        self.retire()
        return frames

    def retire(self) -> None:
        """Write no more, and read what the peer still sends for a few seconds at most."""
        self._is_retired = True
        self.reading.deadline = trio.current_time() + LINGER_SECONDS
        self._wake.set()

    async def next_batch(self) -> bytes | None:
        """Wait for frames and return as many as fit one write; None once retired and empty."""
        while not self._queue:
            if self._is_retired:
                return None
            self._wake = trio.Event()
            await self._wake.wait()
        batch = bytearray(self._queue.popleft())
        while self._queue and len(batch) + len(self._queue[0]) <= BATCH_BYTES_MAX:
            batch += self._queue.popleft()
        self._queued_bytes -= len(batch)
        return bytes(batch)
