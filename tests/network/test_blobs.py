"""Pulls of blobs from holders, honest and otherwise."""

import os
import time
import tracemalloc

import pytest
import trio
from network_world import Shelf, eventually, fetched, link, node, root_of, running

from flocknode.crypto.merkle import TreeKind, tree_root
from flocknode.messages.statements import RECORD_BYTES
from flocknode.node.blobs import MemoryDraft
from flocknode.p2p import BlobUnavailableError, blobs
from flocknode.p2p.blobs import BLOB_BYTES_MAX, PROTOCOL, Answer, Request
from flocknode.p2p.faults import OversizedError
from flocknode.p2p.serving import SERVED_PER_PEER_MAX
from flocknode.primitives import Digest
from flocknode.storage.blobs import MAPPED_BYTES_MIN, DiskBlobs

CHUNK = 256 * 1024
LENGTH = 5 * CHUNK + 17
DATA = os.urandom(LENGTH)
KIND = TreeKind.MASKED_VECTOR


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
    """Return a stream handler that reads a request and then does ``answer(stream, request)``."""

    async def handler(stream):
        await answer(stream, Request.from_bytes(await stream.read_exact(Request.SIZE)))

    return handler


async def begin(stream, request, data=DATA):
    await stream.write(bytes([Answer.FOUND]) + b"".join(request.nodes_of(data)))


async def send_wrong_nodes(stream, request):
    await begin(stream, request, bytes(LENGTH))
    await trio.sleep_forever()


async def send_a_wrong_third_chunk(stream, request):
    await begin(stream, request)
    for start in range(0, 2 * CHUNK, CHUNK):
        await stream.write(DATA[start : start + CHUNK])
        await stream.read_exact(1)
    await stream.write(bytes(CHUNK))
    await trio.sleep_forever()


async def send_a_wrong_third_chunk_at_once(stream, request):
    await begin(stream, request)
    await stream.write(DATA[: 2 * CHUNK] + bytes(CHUNK))
    await trio.sleep_forever()


async def send_two_chunks_and_stall(stream, request):
    await begin(stream, request)
    for start in range(0, 2 * CHUNK, CHUNK):
        await stream.write(DATA[start : start + CHUNK])
        await stream.read_exact(1)
    await trio.sleep_forever()


async def send_too_many_nodes_and_end(stream, _request):
    await stream.write(bytes([Answer.FOUND]) + bytes(32 * 100))
    await stream.close()


async def test_blob_of_many_chunks_arrives():
    shelf = Shelf()
    root = shelf.put(DATA)
    holder, puller = node(1, blobs=shelf), node(2)
    async with running(holder, puller):
        await known(puller, holder)
        assert await fetched(puller, root, LENGTH, holder) == DATA
        assert holder.counters.bytes_blobs == LENGTH


async def test_list_of_records_arrives_under_its_own_leaf_size():
    records = os.urandom(3 * RECORD_BYTES)
    shelf = Shelf()
    root = tree_root(TreeKind.INCLUSION, records, RECORD_BYTES)
    shelf[root] = records
    holder, puller = node(1, blobs=shelf), node(2)
    draft = MemoryDraft()
    async with running(holder, puller):
        await known(puller, holder)
        await puller.fetch(
            root, TreeKind.INCLUSION, len(records), [holder.peer], draft, RECORD_BYTES
        )
    assert draft.take() == records


async def test_unknown_root_wrong_length_and_tiny_leaves_are_refused_before_a_byte_is_read():
    shelf = Shelf()
    root = shelf.put(DATA)
    holder, puller = node(1, blobs=shelf), node(2)
    async with running(holder, puller):
        await known(puller, holder)
        for wanted, length, leaf_bytes, reason in (
            (Digest(bytes(32)), LENGTH, 1024, "unknown"),
            (root, LENGTH - 1, 1024, "other_length"),
            (root, LENGTH + 1, 1024, "other_length"),
            (root, LENGTH, 1, "unknown"),
        ):
            with pytest.raises(BlobUnavailableError) as caught:
                await puller.fetch(wanted, KIND, length, [holder.peer], MemoryDraft(), leaf_bytes)
            assert [fault.split(": ")[1] for fault in caught.value.reasons] == [reason]
        assert holder.counters.bytes_blobs == 0


async def test_length_beyond_the_limit_is_never_asked_for():
    with pytest.raises(OversizedError):
        await node(1).fetch(Digest(bytes(32)), KIND, BLOB_BYTES_MAX + 1, [], MemoryDraft())


@pytest.mark.parametrize("lie", [send_wrong_nodes, send_a_wrong_third_chunk])
async def test_liar_is_found_out_at_once_and_only_its_own_bytes_are_thrown_away(lie):
    shelf = Shelf()
    root = shelf.put(DATA)
    liar, honest, puller = node(1), node(2, blobs=shelf), node(3)
    liar._host.serve(PROTOCOL, lying(lie))
    faults = []
    puller._puller._penalise = lambda peer, _reason: faults.append(peer)
    async with running(liar, honest, puller):
        await known(puller, liar, honest)
        assert await fetched(puller, root, LENGTH, liar, honest) == DATA
        assert faults == [liar.peer]
        kept = 2 * CHUNK if lie is send_a_wrong_third_chunk else 0
        assert honest.counters.bytes_blobs == LENGTH - kept


async def test_right_chunks_that_come_together_with_a_wrong_one_are_kept():
    async def once_all_is_here(stream, *arguments):
        stream.widen(4 * CHUNK)
        await eventually(lambda: stream.held >= 3 * CHUNK or stream.peer == honest.peer)
        await read_chunks(stream, *arguments)

    shelf = Shelf()
    root = shelf.put(DATA)
    liar, honest, puller = node(1), node(2, blobs=shelf), node(3)
    liar._host.serve(PROTOCOL, lying(send_a_wrong_third_chunk_at_once))
    read_chunks = puller._puller._read_chunks
    puller._puller._read_chunks = once_all_is_here
    async with running(liar, honest, puller):
        await known(puller, liar, honest)
        assert await fetched(puller, root, LENGTH, liar, honest) == DATA
        assert honest.counters.bytes_blobs == LENGTH - 2 * CHUNK


async def test_junk_in_place_of_nodes_harms_nobody():
    shelf = Shelf()
    root = shelf.put(DATA)
    liar, honest, puller = node(1), node(2, blobs=shelf), node(3)
    liar._host.serve(PROTOCOL, lying(send_too_many_nodes_and_end))
    async with running(liar, honest, puller):
        await known(puller, liar, honest)
        assert await fetched(puller, root, LENGTH, liar, honest) == DATA


async def test_stalled_holder_falls_over_to_the_next_which_resumes():
    shelf = Shelf()
    root = shelf.put(DATA)
    stalled, honest, puller = node(1), node(2, blobs=shelf), node(3)
    stalled._host.serve(PROTOCOL, lying(send_two_chunks_and_stall))
    puller._puller.chunk_seconds = 0.5
    async with running(stalled, honest, puller):
        await known(puller, stalled, honest)
        assert await fetched(puller, root, LENGTH, stalled, honest) == DATA
        assert honest.counters.bytes_blobs == LENGTH - 2 * CHUNK


def send_slowly(seconds):
    """Return an answer of one chunk in so many seconds."""

    async def answer(stream, request):
        await begin(stream, request)
        for start in range(request.first * CHUNK, LENGTH, CHUNK):
            await trio.sleep(seconds)
            await stream.write(DATA[start : start + CHUNK])
            await stream.read_exact(1)

    return answer


async def test_slow_holder_loses_its_turn_and_what_it_sent_is_kept(monkeypatch):
    monkeypatch.setattr(blobs, "TURN_SECONDS", 0.5)
    monkeypatch.setattr(blobs, "BYTES_PER_SECOND_MIN", 100 * CHUNK)
    shelf = Shelf()
    root = shelf.put(DATA)
    slow, honest, puller = node(1), node(2, blobs=shelf), node(3)
    slow._host.serve(PROTOCOL, lying(send_slowly(0.2)))
    async with running(slow, honest, puller):
        await known(puller, slow, honest)
        assert await fetched(puller, root, LENGTH, slow, honest) == DATA
        assert 0 < honest.counters.bytes_blobs < LENGTH


async def test_holder_that_sends_fast_enough_keeps_its_turn_and_nothing_is_sent_twice(monkeypatch):
    monkeypatch.setattr(blobs, "TURN_SECONDS", 0.2)
    monkeypatch.setattr(blobs, "BYTES_PER_SECOND_MIN", CHUNK)
    shelf = Shelf()
    root = shelf.put(DATA)
    steady, other, puller = node(1), node(2, blobs=shelf), node(3)
    steady._host.serve(PROTOCOL, lying(send_slowly(0.1)))
    async with running(steady, other, puller):
        await known(puller, steady, other)
        assert await fetched(puller, root, LENGTH, steady, other) == DATA
        assert other.counters.bytes_blobs == 0


async def test_blob_that_came_from_two_holders_is_served_without_hashing_it_again(monkeypatch):
    monkeypatch.setattr(blobs, "TURN_SECONDS", 0.3)
    monkeypatch.setattr(blobs, "BYTES_PER_SECOND_MIN", 100 * CHUNK)
    shelf, other = Shelf(), Shelf()
    root = shelf.put(DATA)
    slow, honest, puller, last = node(1), node(2, blobs=shelf), node(3, blobs=other), node(4)
    slow._host.serve(PROTOCOL, lying(send_slowly(0.2)))
    async with running(slow, honest, puller, last):
        await known(puller, slow, honest)
        await known(last, puller)
        other[root] = await fetched(puller, root, LENGTH, slow, honest)
        assert 0 < honest.counters.bytes_blobs < LENGTH
        monkeypatch.delattr(Request, "tree_of")
        assert await fetched(last, root, LENGTH, puller) == DATA


async def test_blob_that_many_ask_for_at_once_is_hashed_once(monkeypatch):
    hashed = []
    tree_of = Request.tree_of
    monkeypatch.setattr(
        Request, "tree_of", lambda request, blob: hashed.append(1) or tree_of(request, blob)
    )
    shelf = Shelf()
    root = shelf.put(DATA)
    holder, pullers = node(1, blobs=shelf), [node(number) for number in range(2, 5)]
    async with running(holder, *pullers):
        for puller in pullers:
            await known(puller, holder)
        async with trio.open_nursery() as nursery:
            for puller in pullers:
                nursery.start_soon(fetched, puller, root, LENGTH, holder)
    assert len(hashed) == 1


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
        assert await fetched(puller, root_of(DATA), LENGTH, slowest, slow) == DATA
    assert asked == ["slowest", "slow", "slow"]


async def test_pull_goes_on_after_a_restart_with_the_chunks_that_are_still_right(tmp_path):
    shelf = Shelf()
    root = shelf.put(DATA)
    stalled, honest, puller = node(1), node(2, blobs=shelf), node(3)
    stalled._host.serve(PROTOCOL, lying(send_two_chunks_and_stall))
    puller._puller.chunk_seconds = 0.5
    async with running(stalled, honest, puller):
        await known(puller, stalled, honest)
        first = DiskBlobs(tmp_path)
        draft = first.draft(root, LENGTH)
        with pytest.raises(BlobUnavailableError):
            await puller.fetch(root, KIND, LENGTH, [stalled.peer], draft)
        first.close()
        (file,) = (tmp_path / "blobs").iterdir()
        assert file.stat().st_size == 2 * CHUNK
        # The disk has made something else of the second chunk, and of a third a part.
        file.write_bytes(DATA[:CHUNK] + bytes(CHUNK) + DATA[2 * CHUNK : 2 * CHUNK + 5])
        second = DiskBlobs(tmp_path)
        draft = second.draft(root, LENGTH)
        await puller.fetch(root, KIND, LENGTH, [honest.peer], draft)
        second.finish(root, draft, sync=True)
        assert second.get(root) == DATA
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


async def test_damaged_file_is_not_served_as_if_it_were_right(tmp_path):
    writer = DiskBlobs(tmp_path)
    root = tree_root(KIND, DATA)
    writer.put(root, DATA)
    writer.close()
    file = tmp_path / "blobs" / root.hex()
    holder, puller = node(1, blobs=writer), node(2)
    faults = []
    puller._puller._penalise = lambda peer, _reason: faults.append(peer)
    async with running(holder, puller):
        await known(puller, holder)
        assert await fetched(puller, root, LENGTH, holder) == DATA
        file.write_bytes(DATA[:CHUNK] + bytes(LENGTH - CHUNK))
        with pytest.raises(BlobUnavailableError):
            await fetched(puller, root, LENGTH, holder)
        assert faults == []


async def test_who_pulled_a_blob_serves_it_without_hashing_it_again(monkeypatch):
    hashed = []
    tree_of = Request.tree_of
    monkeypatch.setattr(
        Request, "tree_of", lambda request, blob: hashed.append(1) or tree_of(request, blob)
    )
    shelf, other = Shelf(), Shelf()
    root = shelf.put(DATA)
    first, second, third = node(1, blobs=shelf), node(2, blobs=other), node(3)
    async with running(first, second, third):
        await known(second, first)
        await known(third, second)
        other[root] = await fetched(second, root, LENGTH, first)
        assert await fetched(third, root, LENGTH, second) == DATA
        assert len(hashed) == 1


async def test_unreachable_holder_is_passed_over():
    shelf = Shelf()
    root = shelf.put(b"small")
    holder, puller = node(1, blobs=shelf), node(2)
    async with running(holder, puller):
        await known(puller, holder)
        assert await fetched(puller, root, 5, node(7), holder) == b"small"


async def test_more_pulls_than_a_holder_serves_at_once_all_arrive():
    shelf = Watched()
    roots = [shelf.put(os.urandom(3 * CHUNK)) for _ in range(8)]
    holder, puller = node(1, blobs=shelf), node(2)
    arrived = []

    async def pull(root):
        arrived.append(await fetched(puller, root, 3 * CHUNK, holder))

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
        holder._server._serving[puller.peer] = SERVED_PER_PEER_MAX
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(free_after, holder, puller.peer)
                assert await fetched(puller, root, 5, holder) == b"small"


async def free_after(holder, peer):
    await trio.sleep(0.2)
    holder._server._serving[peer] = 0


async def test_requests_of_one_peer_are_counted_by_time_and_others_are_served(monkeypatch):
    monkeypatch.setattr("flocknode.p2p.blobs.BUSY_SECONDS", 0.01)
    shelf = Shelf()
    root = shelf.put(b"small")
    holder, greedy, modest = node(1, blobs=shelf), node(2), node(3)
    async with running(holder, greedy, modest):
        await known(greedy, holder)
        await known(modest, holder)
        while holder._server._requests.of(greedy.peer).try_take(1, trio.current_time()):
            pass
        holder._server._requests.of(greedy.peer).rate = 0.0
        with pytest.raises(BlobUnavailableError, match="busy"):
            await fetched(greedy, root, 5, holder)
        assert await fetched(modest, root, 5, holder) == b"small"


async def test_offered_blob_goes_to_those_it_was_offered_to_and_once():
    shelf = Shelf()
    root = shelf.put(DATA)
    trainer, seat, other = node(1, None, blobs=shelf), node(2), node(3)
    trainer.offer(root, [seat.peer])
    async with running(trainer, seat, other):
        await known(trainer, seat, other)
        assert await fetched(seat, root, LENGTH, trainer) == DATA
        with pytest.raises(BlobUnavailableError, match="unknown"):
            await fetched(other, root, LENGTH, trainer)
        # An interruption may have cost the seat a part, so a second whole one is the last.
        await fetched(seat, root, LENGTH, trainer)
        with pytest.raises(BlobUnavailableError, match="unknown"):
            await fetched(seat, root, LENGTH, trainer)
        trainer.offer(root, [other.peer])
        assert await fetched(other, root, LENGTH, trainer) == DATA


async def test_seats_get_a_vector_from_one_another_when_its_trainer_listens_on_nothing():
    shelf = Shelf()
    root = shelf.put(DATA)
    trainer = node(1, None, blobs=shelf)
    seats = [node(2 + i, blobs=Shelf()) for i in range(5)]
    assert trainer.address == ""
    trainer.offer(root, [seats[0].peer, seats[1].peer])
    async with running(trainer, *seats):
        await known(trainer, *seats)
        for seat in seats[:2]:
            seat._server._source[root] = await fetched(seat, root, LENGTH, trainer)
        for seat in seats[2:]:
            link(seat, *seats[:2])
            assert await fetched(seat, root, LENGTH, seats[0], seats[1]) == DATA
        assert trainer.counters.bytes_blobs == 2 * LENGTH


async def test_slow_reader_takes_longer_than_the_multiplexers_patience_and_loses_nothing():
    # The library resets a writer that sees no window for five seconds.
    shelf = Shelf()
    data = os.urandom(12 * CHUNK)
    root = shelf.put(data)
    holder, puller = node(1, blobs=shelf), node(2)

    class SlowDisk(MemoryDraft):
        def append(self, chunk):
            if self.held == 0:
                time.sleep(5.6)  # in the thread that writes
            super().append(chunk)

    draft = SlowDisk()
    async with running(holder, puller):
        await known(puller, holder)
        await puller.fetch(root, KIND, len(data), [holder.peer], draft)
        assert draft.take() == data


def test_request_of_another_kind_or_length_is_none():
    root = root_of(b"x")
    good = Request(root, KIND, 1024, 5, 0).to_bytes()
    assert Request.from_bytes(good).root == root
    assert Request.from_bytes(good[:32] + b"\x63" + good[33:]) is None
    assert Request.from_bytes(Request(root, KIND, 1024, 0, 0).to_bytes()) is None
    assert Request.from_bytes(Request(root, KIND, 1024, BLOB_BYTES_MAX + 1, 0).to_bytes()) is None
