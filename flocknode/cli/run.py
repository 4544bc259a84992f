"""``flocknode run``: the nodes of some data directories, in one process, until told to stop."""

import signal
from collections.abc import Sequence
from pathlib import Path

import trio

from flocknode.cli.assembly import SHARD, Node, tune_process
from flocknode.cli.output import INTERRUPTED, Output
from flocknode.learning.pool import TrainerPool
from flocknode.p2p.identity import peer_text

SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def run_nodes(directories: Sequence[Path], output: Output) -> int:
    """Run a node from each directory; return the exit code once a signal came.

    Raises what the first node that failed raised, an ``OperatorError`` for a bad directory.
    """
    with trio.open_signal_receiver(*SIGNALS) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_run_nodes, directories, output)
            came = await anext(signals)
            nursery.cancel_scope.cancel()
    return INTERRUPTED if came == signal.SIGINT else 0


async def _run_nodes(directories: Sequence[Path], output: Output) -> None:
    # A machine without a trainer starts no training process.
    if not any((directory / SHARD).exists() for directory in directories):
        await _serve(directories, None, output)
        return
    async with TrainerPool.open() as pool:
        await _serve(directories, pool, output)


async def _serve(directories: Sequence[Path], pool: TrainerPool | None, output: Output) -> None:
    tune_process()
    nodes = [Node.open(directory, pool, durable=True) for directory in directories]
    async with trio.open_nursery() as nursery:
        for node in nodes:
            await nursery.start(node.run)
            peer, address = peer_text(node.network.peer), node.network.address
            output.line("node", f"{node.directory.name}  {address}")
            output.event("node", directory=str(node.directory), peer=peer, address=address)
