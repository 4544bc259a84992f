"""A bound on how many do something at once, which those that hang do not use up."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


class Turns:
    """At most ``count`` have a turn; who takes longer than ``seconds`` goes on beside the next."""

    def __init__(self, count: int, seconds: float) -> None:
        self._count = count
        self.seconds = seconds
        self._began: deque[float] = deque()
        """When the turns that somebody has began, the oldest first."""
        self._entrance = trio.Lock()
        self._free = trio.lowlevel.ParkingLot()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, first come, first served."""
        async with self._entrance:
            while len(self._began) >= self._count:
                with trio.move_on_at(self._began[-self._count] + self.seconds) as patience:
                    await self._free.park()
                if patience.cancelled_caught:
                    break
            began = trio.current_time()
            self._began.append(began)
        try:
            yield
        finally:
            self._began.remove(began)
            self._free.unpark_all()
