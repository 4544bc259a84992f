"""What a pull of a blob reaches, between two processes and within one, against bare TCP.

``python -m flocknode.cli.bench.transfer pull|tcp`` is the other process: it serves until its
standard input ends.
"""

import hashlib
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from flocknode.cli.bench.figure import Figure
from flocknode.cli.process import tune_process
from flocknode.crypto.merkle import LEAF_BYTES, TreeKind, tree_root
from flocknode.messages.verdict import Verdict
from flocknode.node.blobs import MemoryBlobs, MemoryDraft
from flocknode.node.memory import MemoryBans
from flocknode.p2p.blobs import CHUNK_LEAVES
from flocknode.p2p.identity import parse_address
from flocknode.p2p.network import Network
from flocknode.primitives import Digest, PeerId

BLOB_BYTES = 64 << 20
REPEATS = 3
BETWEEN_MIN = 130.0
"""MB/s that a pull between two processes must reach."""
CHUNK_BYTES = CHUNK_LEAVES * LEAF_BYTES
_SEED = hashlib.sha256(b"flocknode bench").digest()


async def measure_transfer() -> list[Figure]:
    """Measure pulls and bare TCP, between two processes and within one, tuned as nodes are."""
    tune_process()
    blob = _blob()
    root = tree_root(TreeKind.MASKED_VECTOR, blob)
    between_tcp = await trio.to_thread.run_sync(_tcp_between)
    within_tcp = await trio.to_thread.run_sync(_tcp_within)
    async with _served_elsewhere() as address:
        between, pulling = await _pull_rate(root, address)
    within, both = await _rate_within(root, blob)
    return [
        Figure("tcp between two processes", between_tcp, "MB/s", None, None),
        Figure(
            "blob pull between two processes", between, "MB/s", BETWEEN_MIN, between / between_tcp
        ),
        Figure("processor time of a chunk, pulling end", pulling, "ms", None, pulling / both),
        Figure("tcp within one process", within_tcp, "MB/s", None, None),
        Figure("blob pull within one process", within, "MB/s", None, within / within_tcp),
        Figure("processor time of a chunk, both ends", both, "ms", None, None),
    ]


def measure_pulls() -> float:
    """Return how many bytes a second pulls within this process reach now; blocks."""
    tune_process()
    blob = _blob()
    root = tree_root(TreeKind.MASKED_VECTOR, blob)
    rate, _ = trio.run(_rate_within, root, blob)
    return 1e6 * rate


async def _rate_within(root: Digest, blob: bytes) -> tuple[float, float]:
    """Return what ``_pull_rate`` finds when both ends are in this process."""
    store = MemoryBlobs()
    store.put(root, blob)
    async with trio.open_nursery() as nursery:
        server = _network(os.urandom(32), store)
        await nursery.start(server.run)
        found = await _pull_rate(root, server.address)
        nursery.cancel_scope.cancel()
    return found


def _blob() -> bytes:
    """Return the same bytes in both processes; zeros would spare nobody anything."""
    return hashlib.shake_128(_SEED).digest(BLOB_BYTES)


def _network(seed: bytes, blobs: MemoryBlobs) -> Network:
    return Network(
        seed,
        "/ip4/127.0.0.1/tcp/0",
        validate=lambda _author, _topic, _payload: Verdict.IGNORE,
        may_link=lambda _peer: True,
        blobs=blobs,
        topics=(),
        bans=MemoryBans(),
        is_open=True,
    )


async def _pull_rate(root: Digest, address: str) -> tuple[float, float]:
    """Return medians over pulls that are checked: MB/s, and this process's time in ms a chunk.

    The time is what a busy machine still tells: the rate is at most a chunk's bytes over it.
    """
    peer, at = parse_address(address)
    rates, times = [], []
    async with trio.open_nursery() as nursery:
        network = _network(os.urandom(32), MemoryBlobs())
        await nursery.start(network.run)
        network.know({peer: at})
        for _ in range(REPEATS):
            started, used = time.perf_counter(), time.process_time()
            await _pull(network, root, peer)
            times.append((time.process_time() - used) * 1e3 * CHUNK_BYTES / BLOB_BYTES)
            rates.append(BLOB_BYTES / 1e6 / (time.perf_counter() - started))
        nursery.cancel_scope.cancel()
    return statistics.median(rates), statistics.median(times)


async def _pull(network: Network, root: Digest, holder: PeerId) -> None:
    kind = TreeKind.MASKED_VECTOR
    await network.fetch(root, kind, BLOB_BYTES, (holder,), MemoryDraft(BLOB_BYTES))


@asynccontextmanager
async def _served_elsewhere() -> AsyncIterator[str]:
    """Serve the blob from another process; yield its address."""
    process = _start("pull")
    try:
        assert process.stdout is not None
        line = await trio.to_thread.run_sync(process.stdout.readline)
        yield line.decode().strip()
    finally:
        _stop(process)


def _start(what: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "flocknode.cli.bench.transfer", what]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdin is not None
    process.stdin.close()
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def _tcp_between() -> float:
    process = _start("tcp")
    try:
        assert process.stdout is not None
        return _tcp_rate(int(process.stdout.readline()))
    finally:
        _stop(process)


def _tcp_within() -> float:
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_serve_tcp, args=(server,), daemon=True)
        thread.start()
        return _tcp_rate(server.getsockname()[1])


def _tcp_rate(port: int) -> float:
    rates = []
    buffer = bytearray(CHUNK_BYTES)
    for _ in range(REPEATS):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            started, left = time.perf_counter(), BLOB_BYTES
            while left > 0:
                left -= connection.recv_into(buffer)
            rates.append(BLOB_BYTES / 1e6 / (time.perf_counter() - started))
    return statistics.median(rates)


def _serve_tcp(server: socket.socket) -> None:
    blob = _blob()
    for _ in range(REPEATS):
        connection, _address = server.accept()
        with connection:
            connection.sendall(blob)


async def _serve_pulls() -> None:
    store = MemoryBlobs()
    blob = _blob()
    store.put(tree_root(TreeKind.MASKED_VECTOR, blob), blob)
    async with trio.open_nursery() as nursery:
        network = _network(os.urandom(32), store)
        await nursery.start(network.run)
        _say(network.address)
        await trio.to_thread.run_sync(sys.stdin.read)
        nursery.cancel_scope.cancel()


def _say(line: object) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(what: str) -> None:
    """Serve one kind of transfer until the parent is done."""
    if what == "pull":
        tune_process()
        trio.run(_serve_pulls)
        return
    with socket.create_server(("127.0.0.1", 0)) as server:
        _say(server.getsockname()[1])
        _serve_tcp(server)


if __name__ == "__main__":
    main(sys.argv[1])
