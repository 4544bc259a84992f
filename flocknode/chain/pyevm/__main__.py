"""Serves a development chain: ``python -m flocknode.chain.pyevm DIRECTORY PORT ...``.

One thread does everything: while a block is executed, questions wait for it.
"""

import argparse
import json
import signal
import sys
from functools import partial
from pathlib import Path

import trio

from flocknode.chain.pyevm.chain import Chain
from flocknode.chain.pyevm.rpc import Rpc
from flocknode.errors import FlockError

HEAD_BYTES_MAX = 16 << 10
BODY_BYTES_MAX = 4 << 20
READ_BYTES = 64 << 10
CONNECTIONS_MAX = 512


async def serve(chain: Chain, port: int, block_seconds: float) -> None:
    """Mine and answer until cancelled."""
    handler = partial(_converse, Rpc(chain), trio.CapacityLimiter(CONNECTIONS_MAX))
    listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, handler, listeners)
        while True:
            due = trio.current_time() + block_seconds
            chain.mine()
            # A block that took long is followed by a breath for those who wait for answers.
            await trio.sleep(max(due - trio.current_time(), block_seconds / 4))


async def _converse(rpc: Rpc, limit: trio.CapacityLimiter, stream: trio.SocketStream) -> None:
    """Answer one connection's requests in order; a malformed one ends it."""
    received = bytearray()
    async with limit:
        try:
            while (body := await _request(stream, received)) is not None:
                await stream.send_all(_response(rpc, body))
        except (trio.BrokenResourceError, trio.ClosedResourceError, ValueError):
            await stream.aclose()


async def _request(stream: trio.SocketStream, received: bytearray) -> bytes | None:
    """Read the next request's body, or None at the end; raises ValueError if it is malformed."""
    while (end := received.find(b"\r\n\r\n")) < 0:
        if len(received) > HEAD_BYTES_MAX or not await _receive(stream, received):
            return None
    start, length = end + 4, _length(bytes(received[:end]))
    while len(received) < start + length:
        if not await _receive(stream, received):
            return None
    body = bytes(received[start : start + length])
    del received[: start + length]
    return body


async def _receive(stream: trio.SocketStream, received: bytearray) -> bool:
    some = await stream.receive_some(READ_BYTES)
    received += some
    return bool(some)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value)
            if 0 <= length <= BODY_BYTES_MAX:
                return length
    raise ValueError("no length, or too great a one")


def _response(rpc: Rpc, body: bytes) -> bytes:
    answer = json.dumps(rpc.answer(json.loads(body)), separators=(",", ":")).encode()
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(answer)}\r\n\r\n"
    )
    return head.encode() + answer


def main() -> None:
    parser = argparse.ArgumentParser(prog="flocknode.chain.pyevm")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--chain-id", type=int, required=True)
    parser.add_argument("--block-seconds", type=float, default=0.2)
    parser.add_argument("--finality-blocks", type=int, default=2)
    asked = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        chain = Chain.open(asked.directory / "chain.jsonl", asked.chain_id, asked.finality_blocks)
        trio.run(serve, chain, asked.port, asked.block_seconds)
    except (OSError, ValueError, LookupError, FlockError) as error:
        sys.exit(f"{asked.directory}, port {asked.port}: {error}")


if __name__ == "__main__":
    main()
