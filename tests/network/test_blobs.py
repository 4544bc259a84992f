"""Pulls of blobs from holders, honest and otherwise."""

import os
import time
import tracemalloc

import pytest
import trio
from holders import (
    CHUNK,
    DATA,
    KIND,
    LENGTH,
    ROOT,
    beside,
    known,
    lying,
    send_a_wrong_third_chunk,
    send_a_wrong_third_chunk_at_once,
    send_slowly,
    send_too_many_nodes_and_end,
    send_two_chunks_and_stall,
    send_wrong_nodes,
)
from network_world import Shelf, eventually, fetched, node, root_of, running

from flocknode.crypto.merkle import TreeKind, tree_root
from flocknode.messages.statements import RECORD_BYTES
from flocknode.node.blobs import MemoryDraft
from flocknode.p2p import BlobUnavailableError, blobs
from flocknode.p2p.blobs import (
    BLOB_BYTES_MAX,
    CHUNK_SECONDS,
    CREDITS,
    PROTOCOL,
    PULLS_MAX,
)
from flocknode.p2p.faults import OversizedError
from flocknode.primitives import Digest
from flocknode.storage.blobs import MAPPED_BYTES_MIN, DiskBlobs


async def test_blob_of_many_chunks_arrives():
    holder, puller = node(1, blobs=Shelf({ROOT: DATA})), node(2)
    async with running(holder, puller):
        await known(puller, holder)
        assert await fetched(puller, ROOT, LENGTH, holder) == DATA
        assert holder.counters.bytes_blobs == LENGTH


async def test_list_of_records_arrives_under_its_own_leaf_size():
    records = os.urandom(3 * RECORD_BYTES)
    shelf = Shelf()
    root = tree_root(TreeKind.INCLUSION, records, RECORD_BYTES)
    shelf[root] = records
    holder, puller = node(1, blobs=shelf), node(2)
    draft = MemoryDraft(len(records))
    async with running(holder, puller):
        await known(puller, holder)
        await puller.fetch(
            root, TreeKind.INCLUSION, len(records), [holder.peer], draft, RECORD_BYTES
        )
    assert draft.take() == records


async def test_length_beyond_the_limit_is_never_asked_for():
    with pytest.raises(OversizedError):
        await node(1).fetch(Digest(bytes(32)), KIND, BLOB_BYTES_MAX + 1, [], MemoryDraft(1))


@pytest.mark.parametrize("lie", [send_wrong_nodes, send_a_wrong_third_chunk])
async def test_liar_is_found_out_at_once_and_only_its_own_bytes_are_thrown_away(lie):
    faults = []
    async with beside(lie) as (liar, honest, puller):
        puller._puller._penalise = lambda peer, _reason: faults.append(peer)
        assert await fetched(puller, ROOT, LENGTH, liar, honest) == DATA
        assert faults == [liar.peer]
        kept = 2 * CHUNK if lie is send_a_wrong_third_chunk else 0
        assert honest.counters.bytes_blobs == LENGTH - kept


async def test_right_chunks_that_come_together_with_a_wrong_one_are_kept():
    async def once_all_is_here(stream, *arguments):
        stream.widen(4 * CHUNK)
        await eventually(lambda: stream.held >= 3 * CHUNK or stream.peer == honest.peer)
        await read_chunks(stream, *arguments)

    async with beside(send_a_wrong_third_chunk_at_once) as (liar, honest, puller):
        read_chunks = puller._puller._read_chunks
        puller._puller._read_chunks = once_all_is_here
        assert await fetched(puller, ROOT, LENGTH, liar, honest) == DATA
        assert honest.counters.bytes_blobs == LENGTH - 2 * CHUNK


async def test_junk_in_place_of_nodes_harms_nobody():
    async with beside(send_too_many_nodes_and_end) as (liar, honest, puller):
        assert await fetched(puller, ROOT, LENGTH, liar, honest) == DATA


async def test_stalled_holder_falls_over_to_the_next_which_resumes():
    async with beside(send_two_chunks_and_stall) as (stalled, honest, puller):
        puller._puller.chunk_seconds = 0.5
        assert await fetched(puller, ROOT, LENGTH, stalled, honest) == DATA
        assert honest.counters.bytes_blobs == LENGTH - 2 * CHUNK


async def test_slow_holder_loses_its_turn_and_what_it_sent_is_kept(monkeypatch):
    monkeypatch.setattr(blobs, "TURN_SECONDS", 0.5)
    monkeypatch.setattr(blobs, "BYTES_PER_SECOND_MIN", 100 * CHUNK)
    async with beside(send_slowly(0.2)) as (slow, honest, puller):
        assert await fetched(puller, ROOT, LENGTH, slow, honest) == DATA
        assert 0 < honest.counters.bytes_blobs < LENGTH


async def test_holder_that_sends_fast_enough_keeps_its_turn_and_nothing_is_sent_twice(monkeypatch):
    monkeypatch.setattr(blobs, "TURN_SECONDS", 0.2)
    monkeypatch.setattr(blobs, "BYTES_PER_SECOND_MIN", CHUNK)
    async with beside(send_slowly(0.1)) as (steady, other, puller):
        assert await fetched(puller, ROOT, LENGTH, steady, other) == DATA
        assert other.counters.bytes_blobs == 0


async def test_of_holders_that_are_all_slow_the_fastest_sends_the_rest(monkeypatch):
    monkeypatch.setattr(blobs, "TURN_SECONDS", 0.5)
    monkeypatch.setattr(blobs, "BYTES_PER_SECOND_MIN", 100 * CHUNK)
    slowest, slow, puller = node(1), node(2), node(3)
    asked = []

    async def answer(stream, request):
        asked.append("slow")
        await send_slowly(0.2)(stream, request)

    async def hang(_stream, _request):
        asked.append("slowest")
        await trio.sleep_forever()

    slowest._host.serve(PROTOCOL, lying(hang))
    slow._host.serve(PROTOCOL, lying(answer))
    async with running(slowest, slow, puller):
        await known(puller, slowest, slow)
        assert await fetched(puller, ROOT, LENGTH, slowest, slow) == DATA
    assert asked == ["slowest", "slow", "slow"]


async def test_pulls_from_holders_that_stall_do_not_keep_others_waiting():
    async with beside(send_two_chunks_and_stall) as (stalled, honest, puller):
        puller._puller._pulls.seconds /= 200
        async with trio.open_nursery() as nursery:
            for _ in range(2 * PULLS_MAX):
                nursery.start_soon(fetched, puller, ROOT, LENGTH, stalled)
            await eventually(lambda: len(puller._puller._pulls._began) >= PULLS_MAX)
            with trio.fail_after(CHUNK_SECONDS / 2):
                assert await fetched(puller, ROOT, LENGTH, honest) == DATA
            nursery.cancel_scope.cancel()


async def test_pull_goes_on_after_a_restart_with_the_chunks_that_are_still_right(tmp_path):
    async with beside(send_two_chunks_and_stall) as (stalled, honest, puller):
        puller._puller.chunk_seconds = 0.5
        first = DiskBlobs(tmp_path)
        draft = first.draft(ROOT, LENGTH)
        with pytest.raises(BlobUnavailableError):
            await puller.fetch(ROOT, KIND, LENGTH, [stalled.peer], draft)
        first.close()
        (file,) = (tmp_path / "blobs").iterdir()
        assert file.stat().st_size == 2 * CHUNK
        # The disk has made something else of the second chunk, and of a third a part.
        file.write_bytes(DATA[:CHUNK] + bytes(CHUNK) + DATA[2 * CHUNK : 2 * CHUNK + 5])
        second = DiskBlobs(tmp_path)
        draft = second.draft(ROOT, LENGTH)
        await puller.fetch(ROOT, KIND, LENGTH, [honest.peer], draft)
        second.finish(ROOT, draft, sync=True)
        assert second.get(ROOT) == DATA
        assert honest.counters.bytes_blobs == LENGTH - CHUNK


async def test_long_blob_goes_from_disk_to_disk_and_not_through_memory(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    data = bytes(range(256)) * (16 * MAPPED_BYTES_MIN // 256)
    root = tree_root(KIND, data)
    writer = DiskBlobs(tmp_path / "a")
    writer.put(root, data)
    writer.close()
    give, take = DiskBlobs(tmp_path / "a"), DiskBlobs(tmp_path / "b")
    holder, puller = node(1, blobs=give), node(2)
    length = len(data)
    del data, writer
    async with running(holder, puller):
        await known(puller, holder)
        tracemalloc.start()
        try:
            draft = take.draft(root, length)
            await puller.fetch(root, KIND, length, [holder.peer], draft)
            take.finish(root, draft, sync=False)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        # Both ends are in this process: chunks on their way, and digests of 16,384 leaves.
        assert peak < length / 2
    assert tree_root(KIND, take.get(root)) == root


async def test_unreachable_holder_is_passed_over():
    shelf = Shelf()
    root = shelf.put(b"small")
    holder, puller = node(1, blobs=shelf), node(2)
    async with running(holder, puller):
        await known(puller, holder)
        assert await fetched(puller, root, 5, node(7), holder) == b"small"


async def test_holder_is_not_kept_waiting_for_a_slow_disk(monkeypatch):
    """The window of a pull stays open, so the multiplexer does not take the puller for deaf."""
    monkeypatch.setattr("flocknode.p2p.muxed.CREDIT_SECONDS", 0.3)
    data = os.urandom((CREDITS - 1) * CHUNK)
    root = root_of(data)
    holder, puller = node(1, blobs=Shelf({root: data})), node(2)

    class SlowDisk(MemoryDraft):
        def append(self, chunk):
            if self.held == 0:
                time.sleep(0.8)  # in the thread that writes
            super().append(chunk)

    draft = SlowDisk(len(data))
    async with running(holder, puller):
        await known(puller, holder)
        await puller.fetch(root, KIND, len(data), [holder.peer], draft)
        assert draft.take() == data
