"""Connections of those who have not said yet who they are."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import trio

HANDSHAKES_MAX = 64
"""Under way at a time; a connection counts for the limit of connections before it is anybody's."""


class Handshakes:
    """A bounded number; one too many ends the oldest of the host that began most."""

    def __init__(self) -> None:
        self._under_way: dict[trio.CancelScope, str] = {}

    @contextmanager
    def one_from(self, host: str) -> Iterator[trio.CancelScope]:
        """Count one while the block runs, which is cancelled if it must make room."""
        with trio.CancelScope() as scope:
            self._under_way[scope] = host
            if len(self._under_way) > HANDSHAKES_MAX:
                self._make_room()
            try:
                yield scope
            finally:
                self._under_way.pop(scope, None)

    def _make_room(self) -> None:
        ((busiest, _),) = Counter(self._under_way.values()).most_common(1)
        oldest = next(scope for scope, host in self._under_way.items() if host == busiest)
        del self._under_way[oldest]
        oldest.cancel()
