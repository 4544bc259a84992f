"""``flocknode run``: the nodes of some data directories, in one process, until told to stop."""

import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import trio

from flocknode.chain.connection import Connections
from flocknode.cli.assembly import Node
from flocknode.cli.node_config import SHARD
from flocknode.cli.output import INTERRUPTED, Output
from flocknode.cli.process import tune_process
from flocknode.cli.stopping import until_stopped
from flocknode.crypto.peer_id import peer_text
from flocknode.learning.pool import TrainerPool


async def run_nodes(directories: Sequence[Path], output: Output) -> int:
    """Run a node from each directory; return the exit code once a signal came.

    Raises what the first node that failed raised, an ``OperatorError`` for a bad directory.
    """
    came = await until_stopped(partial(_run_nodes, directories, output))
    return INTERRUPTED if came == signal.SIGINT else 0


async def _run_nodes(directories: Sequence[Path], output: Output) -> int:
    # A machine without a trainer starts no training process.
    if any(map(_may_train, directories)):
        async with TrainerPool.open() as pool:
            await _serve(directories, pool, output)
    else:
        await _serve(directories, None, output)
    return 0


def _may_train(directory: Path) -> bool:
    try:
        return (directory / SHARD).exists()
    except OSError:
        # It is closed to this user, or has a name that none can have: opening it says so.
        return False


async def _serve(directories: Sequence[Path], pool: TrainerPool | None, output: Output) -> None:
    tune_process()
    async with trio.open_nursery() as nursery:
        chains = Connections(nursery)
        nodes = [Node.open(directory, pool, chains, durable=True) for directory in directories]
        for node in nodes:
            await nursery.start(node.run)
            peer, address = peer_text(node.network.peer), node.network.address
            output.line("node", f"{node.directory.name}  {address}")
            output.event("node", directory=str(node.directory), peer=peer, address=address)
