"""What a holder gives, to whom, how much and how often."""

import contextlib
import os

import pytest
import trio
from holders import CHUNK, DATA, KIND, LENGTH, ROOT, beside, known, send_two_chunks_and_stall
from network_world import Shelf, eventually, fetched, link, node, root_of, running

from flocknode.crypto.merkle import LEAF_BYTES, tree_root
from flocknode.node.blobs import MemoryDraft
from flocknode.p2p import BlobUnavailableError, serving
from flocknode.p2p.blobs import BLOB_BYTES_MAX, PROTOCOL, Request
from flocknode.p2p.serving import SERVED_MAX, SERVED_PER_PEER_MAX
from flocknode.primitives import Digest
from flocknode.storage.blobs import DiskBlobs


class Watched(Shelf):
    """Counts how often each root was asked for."""

    asked = 0

    def get(self, root):
        self.asked += 1
        return super().get(root)


@pytest.fixture
def hashed(monkeypatch):
    """Note each time that a whole blob is hashed in order to be served."""
    times = []
    tree_of = Request.tree_of
    monkeypatch.setattr(
        Request, "tree_of", lambda request, blob: times.append(1) or tree_of(request, blob)
    )
    return times


async def test_unknown_root_wrong_length_and_tiny_leaves_are_refused_before_a_byte_is_read():
    holder, puller = node(1, blobs=Shelf({ROOT: DATA})), node(2)
    async with running(holder, puller):
        await known(puller, holder)
        for wanted, length, leaf_bytes, reason in (
            (Digest(bytes(32)), LENGTH, 1024, "unknown"),
            (ROOT, LENGTH - 1, 1024, "other_length"),
            (ROOT, LENGTH + 1, 1024, "other_length"),
            (ROOT, LENGTH, 1, "unknown"),
        ):
            with pytest.raises(BlobUnavailableError) as caught:
                await puller.fetch(
                    wanted, KIND, length, [holder.peer], MemoryDraft(length), leaf_bytes
                )
            assert [fault.split(": ")[1] for fault in caught.value.reasons] == [reason]
        assert holder.counters.bytes_blobs == 0


async def test_blob_that_came_from_two_holders_is_served_without_hashing_it_again(hashed):
    last = node(4)
    async with beside(send_two_chunks_and_stall) as (stalled, honest, puller), running(last):
        puller._puller.chunk_seconds = 0.5
        await known(last, puller)
        puller._server._source[ROOT] = await fetched(puller, ROOT, LENGTH, stalled, honest)
        assert 0 < honest.counters.bytes_blobs < LENGTH
        hashed.clear()
        assert await fetched(last, ROOT, LENGTH, puller) == DATA
        assert not hashed


async def test_blob_that_many_ask_for_at_once_is_hashed_once(hashed):
    holder, pullers = node(1, blobs=Shelf({ROOT: DATA})), [node(2 + i) for i in range(3)]
    async with running(holder, *pullers):
        for puller in pullers:
            await known(puller, holder)
        async with trio.open_nursery() as nursery:
            for puller in pullers:
                nursery.start_soon(fetched, puller, ROOT, LENGTH, holder)
    assert len(hashed) == 1


async def test_blob_that_is_known_waits_for_no_hash_that_runs():
    holder, puller = node(1, blobs=Shelf({ROOT: DATA})), node(2)
    async with running(holder, puller):
        await known(puller, holder)
        assert await fetched(puller, ROOT, LENGTH, holder) == DATA
        holder._server._hashing[ROOT] = trio.Event()
        with trio.fail_after(5):
            assert await fetched(puller, ROOT, LENGTH, holder) == DATA


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


async def test_who_pulled_a_blob_serves_it_without_hashing_it_again(hashed):
    other = Shelf()
    first, second, third = node(1, blobs=Shelf({ROOT: DATA})), node(2, blobs=other), node(3)
    async with running(first, second, third):
        await known(second, first)
        await known(third, second)
        other[ROOT] = await fetched(second, ROOT, LENGTH, first)
        assert await fetched(third, ROOT, LENGTH, second) == DATA
        assert len(hashed) == 1


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
    holder, puller = node(1, blobs=Shelf({ROOT: DATA})), node(2)
    async with running(holder, puller), contextlib.AsyncExitStack() as slots:
        await known(puller, holder)
        for _ in range(SERVED_PER_PEER_MAX):
            slots.enter_context(holder._server._slot(puller.peer))
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(free_after, 0.2, slots)
                assert await fetched(puller, ROOT, LENGTH, holder) == DATA


async def free_after(seconds, slots):
    await trio.sleep(seconds)
    await slots.aclose()


async def take_nothing(puller, holder, count):
    """Ask for a blob so many times and never acknowledge what comes."""
    request = Request(ROOT, KIND, LEAF_BYTES, LENGTH, 0)
    for _ in range(count):
        stream = await puller._host.open_stream(holder.peer, PROTOCOL)
        await stream.write(request.to_bytes())


async def test_pullers_that_take_nothing_make_room_when_all_slots_are_taken(monkeypatch):
    monkeypatch.setattr(serving, "PATIENCE_SECONDS", 0.0)
    holder, honest = node(1, blobs=Shelf({ROOT: DATA})), node(2)
    lazy = [node(3 + i) for i in range(SERVED_MAX // SERVED_PER_PEER_MAX)]
    async with running(holder, honest, *lazy):
        for each in (honest, *lazy):
            await known(each, holder)
        for each in lazy:
            await take_nothing(each, holder, SERVED_PER_PEER_MAX)
        await eventually(lambda: len(holder._server._slots) == SERVED_MAX)
        assert await fetched(honest, ROOT, LENGTH, holder) == DATA


async def test_puller_that_takes_its_bytes_keeps_its_slot(monkeypatch):
    monkeypatch.setattr(serving, "SERVED_MAX", 1)
    holder, first, second = node(1, blobs=Shelf({ROOT: DATA})), node(2), node(3)
    async with running(holder, first, second):
        await known(first, holder)
        await known(second, holder)
        await take_nothing(first, holder, 1)
        await eventually(lambda: len(holder._server._slots) == 1)
        (slot,) = holder._server._slots
        monkeypatch.setattr("flocknode.p2p.blobs.BUSY_SECONDS", 0.01)
        with pytest.raises(BlobUnavailableError, match="busy"):
            await fetched(second, ROOT, LENGTH, holder)
        assert holder._server._slots == {slot}


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
    trainer, seat, other = node(1, None, blobs=Shelf({ROOT: DATA})), node(2), node(3)
    trainer.offer(ROOT, [seat.peer])
    async with running(trainer, seat, other):
        await known(trainer, seat, other)
        assert await fetched(seat, ROOT, LENGTH, trainer) == DATA
        with pytest.raises(BlobUnavailableError, match="unknown"):
            await fetched(other, ROOT, LENGTH, trainer)
        # An interruption may have cost the seat a part, so a second whole one is the last.
        await fetched(seat, ROOT, LENGTH, trainer)
        with pytest.raises(BlobUnavailableError, match="unknown"):
            await fetched(seat, ROOT, LENGTH, trainer)
        trainer.offer(ROOT, [other.peer])
        assert await fetched(other, ROOT, LENGTH, trainer) == DATA


async def test_seats_get_a_vector_from_one_another_when_its_trainer_listens_on_nothing():
    trainer = node(1, None, blobs=Shelf({ROOT: DATA}))
    seats = [node(2 + i, blobs=Shelf()) for i in range(5)]
    assert trainer.address == ""
    trainer.offer(ROOT, [seats[0].peer, seats[1].peer])
    async with running(trainer, *seats):
        await known(trainer, *seats)
        for seat in seats[:2]:
            seat._server._source[ROOT] = await fetched(seat, ROOT, LENGTH, trainer)
        for seat in seats[2:]:
            link(seat, *seats[:2])
            assert await fetched(seat, ROOT, LENGTH, seats[0], seats[1]) == DATA
        assert trainer.counters.bytes_blobs == 2 * LENGTH


def test_request_of_another_kind_or_length_is_none():
    root = root_of(b"x")
    good = Request(root, KIND, 1024, 5, 0).to_bytes()
    assert Request.from_bytes(good).root == root
    assert Request.from_bytes(good[:32] + b"\x63" + good[33:]) is None
    assert Request.from_bytes(Request(root, KIND, 1024, 0, 0).to_bytes()) is None
    assert Request.from_bytes(Request(root, KIND, 1024, BLOB_BYTES_MAX + 1, 0).to_bytes()) is None
