"""Holders of one blob, honest and otherwise."""

import os
from contextlib import asynccontextmanager

import trio
from network_world import Shelf, eventually, link, node, root_of, running

from flocknode.crypto.merkle import TreeKind
from flocknode.p2p.blobs import PROTOCOL, Answer, Request

CHUNK = 256 * 1024
LENGTH = 5 * CHUNK + 17
DATA = os.urandom(LENGTH)
ROOT = root_of(DATA)
KIND = TreeKind.MASKED_VECTOR


async def known(puller, *holders):
    link(puller, *holders)
    await eventually(lambda: len(puller.linked()) == len(holders))


def lying(answer):
    """Return a stream handler that reads a request and then does ``answer(stream, request)``."""

    async def handler(stream):
        await answer(stream, Request.from_bytes(await stream.read_exact(Request.SIZE)))

    return handler


async def begin(stream, request, data=DATA):
    await stream.write(bytes([Answer.FOUND]) + b"".join(request.nodes_of(data)))


@asynccontextmanager
async def beside(answer):
    """Run a holder that answers like this, an honest one, and a puller that knows both."""
    odd, honest, puller = node(1), node(2, blobs=Shelf({ROOT: DATA})), node(3, blobs=Shelf())
    odd._host.serve(PROTOCOL, lying(answer))
    async with running(odd, honest, puller):
        await known(puller, odd, honest)
        yield odd, honest, puller


async def send_wrong_nodes(stream, request):
    await begin(stream, request, bytes(LENGTH))
    await trio.sleep_forever()


async def send_two_chunks(stream, request):
    await begin(stream, request)
    for start in range(0, 2 * CHUNK, CHUNK):
        await stream.write(DATA[start : start + CHUNK])
        await stream.read_exact(1)


async def send_a_wrong_third_chunk(stream, request):
    await send_two_chunks(stream, request)
    await stream.write(bytes(CHUNK))
    await trio.sleep_forever()


async def send_a_wrong_third_chunk_at_once(stream, request):
    await begin(stream, request)
    await stream.write(DATA[: 2 * CHUNK] + bytes(CHUNK))
    await trio.sleep_forever()


async def send_two_chunks_and_stall(stream, request):
    await send_two_chunks(stream, request)
    await trio.sleep_forever()


async def send_too_many_nodes_and_end(stream, _request):
    await stream.write(bytes([Answer.FOUND]) + bytes(32 * 100))
    await stream.close()


def send_slowly(seconds):
    """Return an answer of one chunk in so many seconds."""

    async def answer(stream, request):
        await begin(stream, request)
        for start in range(request.first * CHUNK, LENGTH, CHUNK):
            await trio.sleep(seconds)
            await stream.write(DATA[start : start + CHUNK])
            await stream.read_exact(1)

    return answer
