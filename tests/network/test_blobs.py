"""Pulls of blobs from holders, honest and otherwise."""

import os
import struct

import pytest
import trio
from network_world import Shelf, eventually, link, names, node, running

from flocknode.p2p import BlobUnavailableError
from flocknode.p2p.blobs import BLOB_BYTES_MAX, CHUNK_BYTES, PROTOCOL, Answer
from flocknode.p2p.faults import OversizedError
from flocknode.primitives import Digest

LENGTH = 5 * CHUNK_BYTES + 17


class Watched(Shelf):
    """Counts how often each root was asked for."""

    asked = 0

    def get(self, root):
        self.asked += 1
        return super().get(root)


async def known(puller, *holders):
    link(puller, *holders)
    await eventually(lambda: len(puller.linked()) == len(holders))


def lying(answer):
    """Return a stream handler that reads a request and then does ``answer(stream, offset)``."""

    async def handler(stream):
        request = await stream.read_exact(48)
        _, offset, _ = struct.unpack(">32sQQ", request)
        await answer(stream, offset)

    return handler


async def send_wrong_bytes(stream, offset):
    await stream.write(bytes([Answer.FOUND]))
    for start in range(offset, LENGTH, CHUNK_BYTES):
        await stream.write(bytes(min(CHUNK_BYTES, LENGTH - start)))
        await stream.read_exact(1)


async def send_two_chunks_and_stall(stream, _offset):
    await stream.write(bytes([Answer.FOUND]))
    for _ in range(2):
        await stream.write(DATA[: 2 * CHUNK_BYTES][_ * CHUNK_BYTES : (_ + 1) * CHUNK_BYTES])
        await stream.read_exact(1)
    await trio.sleep_forever()


async def send_two_wrong_chunks_and_end(stream, _offset):
    await stream.write(bytes([Answer.FOUND]) + bytes(2 * CHUNK_BYTES))
    await stream.read_exact(2)
    await stream.close()


DATA = os.urandom(LENGTH)


async def test_blob_of_many_chunks_arrives():
    shelf = Shelf()
    root = shelf.put(DATA)
    holder, puller = node(1, blobs=shelf), node(2)
    async with running(holder, puller):
        await known(puller, holder)
        assert await puller.fetch(root, LENGTH, [holder.peer], names(root)) == DATA
        assert holder.counters.bytes_blobs == LENGTH


async def test_empty_blob_arrives():
    shelf = Shelf()
    root = shelf.put(b"")
    holder, puller = node(1, blobs=shelf), node(2)
    async with running(holder, puller):
        await known(puller, holder)
        assert await puller.fetch(root, 0, [holder.peer], names(root)) == b""


async def test_unknown_root_and_wrong_length_are_refused_before_a_byte_is_read():
    shelf = Shelf()
    root = shelf.put(DATA)
    holder, puller = node(1, blobs=shelf), node(2)
    async with running(holder, puller):
        await known(puller, holder)
        for wanted, length, reason in (
            (Digest(bytes(32)), LENGTH, "unknown"),
            (root, LENGTH - 1, "other_length"),
            (root, LENGTH + 1, "other_length"),
        ):
            with pytest.raises(BlobUnavailableError) as caught:
                await puller.fetch(wanted, length, [holder.peer], names(root))
            assert [fault.split(": ")[1] for fault in caught.value.reasons] == [reason]
        assert holder.counters.bytes_blobs == 0


async def test_length_beyond_the_limit_is_never_asked_for():
    with pytest.raises(OversizedError):
        await node(1).fetch(Digest(bytes(32)), BLOB_BYTES_MAX + 1, [], names(Digest(bytes(32))))


async def test_wrong_bytes_are_thrown_away_and_the_next_holder_is_asked():
    shelf = Shelf()
    root = shelf.put(DATA)
    liar, honest, puller = node(1), node(2, blobs=shelf), node(3)
    liar._host.serve(PROTOCOL, lying(send_wrong_bytes))
    async with running(liar, honest, puller):
        await known(puller, liar, honest)
        with pytest.raises(BlobUnavailableError, match="wrong bytes"):
            await puller.fetch(root, LENGTH, [liar.peer], names(root))
        both = [liar.peer, honest.peer]
        assert await puller.fetch(root, LENGTH, both, names(root)) == DATA
        assert honest.counters.bytes_blobs == LENGTH


async def test_stalled_holder_falls_over_to_the_next_which_resumes():
    shelf = Shelf()
    root = shelf.put(DATA)
    stalled, honest, puller = node(1), node(2, blobs=shelf), node(3)
    stalled._host.serve(PROTOCOL, lying(send_two_chunks_and_stall))
    puller._blobs._chunk_seconds = 0.5
    async with running(stalled, honest, puller):
        await known(puller, stalled, honest)
        both = [stalled.peer, honest.peer]
        assert await puller.fetch(root, LENGTH, both, names(root)) == DATA
        assert honest.counters.bytes_blobs == LENGTH - 2 * CHUNK_BYTES


async def test_honest_holder_is_not_blamed_for_the_bytes_before_its_own():
    shelf = Shelf()
    root = shelf.put(DATA)
    liar, honest, puller = node(1), node(2, blobs=shelf), node(3)
    liar._host.serve(PROTOCOL, lying(send_two_wrong_chunks_and_end))
    async with running(liar, honest, puller):
        await known(puller, liar, honest)
        both = [liar.peer, honest.peer]
        assert await puller.fetch(root, LENGTH, both, names(root)) == DATA


async def test_unreachable_holder_is_passed_over():
    shelf = Shelf()
    root = shelf.put(b"small")
    holder, puller = node(1, blobs=shelf), node(2)
    async with running(holder, puller):
        await known(puller, holder)
        holders = [node(7).peer, holder.peer]
        assert await puller.fetch(root, 5, holders, names(root)) == b"small"


async def test_more_pulls_than_a_holder_serves_at_once_all_arrive():
    shelf = Watched()
    roots = [shelf.put(os.urandom(3 * CHUNK_BYTES)) for _ in range(8)]
    holder, puller = node(1, blobs=shelf), node(2)
    arrived = []

    async def pull(root):
        arrived.append(await puller.fetch(root, 3 * CHUNK_BYTES, [holder.peer], names(root)))

    async with running(holder, puller):
        await known(puller, holder)
        async with trio.open_nursery() as nursery:
            for root in roots:
                nursery.start_soon(pull, root)
        assert len(arrived) == shelf.asked == 8


async def test_holder_over_its_limit_says_busy_and_is_asked_again():
    shelf = Shelf()
    root = shelf.put(b"small")
    holder, puller = node(1, blobs=shelf), node(2)
    async with running(holder, puller):
        await known(puller, holder)
        holder._blobs._serving[puller.peer] = 4
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(free_after, holder, puller.peer)
                assert await puller.fetch(root, 5, [holder.peer], names(root)) == b"small"


async def free_after(holder, peer):
    await trio.sleep(0.2)
    holder._blobs._serving[peer] = 0
