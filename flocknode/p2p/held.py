"""Frames for peers that no link leads to at this moment."""

from collections import deque

from flocknode.primitives import PeerId

HELD_SECONDS = 2.0
"""Whoever still wants to say what is older says it again."""
HELD_BYTES_MAX = 8 * 2**20


class HeldFrames:
    """Keeps what was said last for a moment, to all peers together; the oldest give way."""

    def __init__(self) -> None:
        self._frames: deque[tuple[float, PeerId, bytes]] = deque()
        self._bytes = 0

    def put(self, peer: PeerId, frame: bytes, now: float) -> None:
        """Keep ``frame`` until ``peer`` is linked or it is too old."""
        self._frames.append((now, peer, frame))
        self._bytes += len(frame)
        self._drop(now)

    def take(self, peer: PeerId, now: float) -> list[bytes]:
        """Give up what is kept for ``peer``, in order."""
        self._drop(now)
        taken = [frame for _, other, frame in self._frames if other == peer]
        if taken:
            self._frames = deque(it for it in self._frames if it[1] != peer)
            self._bytes -= sum(map(len, taken))
        return taken

    def _drop(self, now: float) -> None:
        while self._frames and (
            self._bytes > HELD_BYTES_MAX or self._frames[0][0] < now - HELD_SECONDS
        ):
            self._bytes -= len(self._frames.popleft()[2])
