"""Ends a command on SIGTERM or Ctrl-C, in the one place where that cannot be swallowed.

Python would raise KeyboardInterrupt in whatever runs just then, and libraries catch everything in
places: the signal would be lost with it.
"""

import signal
from collections.abc import Awaitable, Callable

import trio

SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def until_stopped(verb: Callable[[], Awaitable[int]]) -> int | signal.Signals:
    """Run ``verb``; return its exit code, or the signal that cancelled it."""
    code: int | signal.Signals = 0
    with trio.open_signal_receiver(*SIGNALS) as signals:
        async with trio.open_nursery() as nursery:

            async def run() -> None:
                nonlocal code
                code = await verb()
                nursery.cancel_scope.cancel()

            nursery.start_soon(run)
            code = signal.Signals(await anext(signals))
            nursery.cancel_scope.cancel()
    return code
