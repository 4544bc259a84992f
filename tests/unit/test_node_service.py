"""The shell over ports in memory: what goes wrong at a port stays there."""

from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import numpy as np
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from flocknode.crypto.hashing import sha256
from flocknode.errors import FlockError
from flocknode.messages.codec import encode
from flocknode.messages.verdict import Verdict
from flocknode.messages.wire import WantKeys
from flocknode.model.stages import ModelDelta
from flocknode.node.blobs import MemoryBlobs
from flocknode.node.memory import MemoryConsent, MemoryJournal, MemorySlots
from flocknode.node.recollection import ForgottenStatement, Recollection
from flocknode.node.service import NodeService
from flocknode.node.signer import SlotSigner
from flocknode.node.task import AnotherTask
from flocknode.node.vault import Vault
from flocknode.ports import Heard
from flocknode.primitives import PeerId
from flocknode.protocol.ledger import Block, ChainProgress, TaskCreated, ValidatorKeysSet
from flocknode.protocol.round import RoundMachine
from tests.consortium import DOMAIN, DRAWN_AT, MODEL_ROOT, consortium
from tests.wire_examples import frames

US = consortium()
SEAT, INDEX = 4, 0
PEER = PeerId(b"somebody")
MODEL = bytes(4 * US.terms.integers.words)
CREATED = TaskCreated(1, US.terms, sha256(b""), MODEL_ROOT, US.seating.roster.root())


class PortError(FlockError):
    """What any port may raise."""


@dataclass(frozen=True)
class Frame:
    peer: PeerId
    payload: bytes


class Network:
    """A network in memory; ``broken`` parts raise."""

    def __init__(self, broken):
        self.broken = broken
        self.sent = deque()
        self.published = []
        self.members = self.kept = self.later = frozenset()
        self.faults = []
        self.fetched, self.blobs = [], {}
        self.deliver, self.incoming = trio.open_memory_channel(100)

    async def publish(self, topic, payload):
        self.published.append((topic, payload))
        if self.broken:
            raise PortError

    def send(self, peer, payload):
        self.sent.append((peer, payload))
        return not self.broken

    async def fetch(self, root, _kind, _length, _holders, draft, _leaf_bytes):
        self.fetched.append(root)
        if root not in self.blobs:
            raise PortError
        draft.append(self.blobs[root])

    def admit(self, members):
        self.members = members

    def keep(self, peers, later):
        self.kept, self.later = frozenset(peers), later

    def penalise(self, peer, reason):
        self.faults.append((peer, reason))


class Chain:
    """Shows the blocks that a test appends."""

    def __init__(self, broken):
        self.broken = broken
        self.calls = []
        self.append, self._progress = trio.open_memory_channel(100)

    def progress(self, _task):
        return self._progress

    async def submit(self, call):
        self.calls.append(call)
        if self.broken:
            raise PortError


class Trainer:
    def __init__(self, delta):
        self.delta = delta
        self.trained = 0

    async def train(self, *_):
        self.trained += 1
        if self.delta is None:
            raise PortError
        return self.delta


class BrokenSigner:
    async def sign(self, *_):
        raise PortError


@pytest.fixture(autouse=True)
def no_threads(monkeypatch):
    """Write at once: simulated time runs on while a thread works."""

    async def at_once(function, *arguments, **_):
        await trio.lowlevel.checkpoint()
        return function(*arguments)

    monkeypatch.setattr(trio.to_thread, "run_sync", at_once)


class Node:
    """A service with everything around it."""

    def __init__(self, key, clock=None, *, broken=False, delta=None):
        blobs = MemoryBlobs()
        blobs.put(MODEL_ROOT, MODEL)
        self.network, self.chain = Network(broken), Chain(broken)
        self.trainer = Trainer(delta)
        self.consent = MemoryConsent()
        machine = RoundMachine(key.address, DOMAIN, CREATED, US.seating.roster)
        slots = MemorySlots()
        self.service = NodeService(
            machine,
            task=1,
            domain=DOMAIN,
            network=self.network,
            ledger=self.chain,
            signer=BrokenSigner() if broken else SlotSigner(key, DOMAIN, slots),
            vault=Vault(blobs),
            journal=MemoryJournal(),
            consent=self.consent,
            recollection=Recollection(key.address, slots),
            blobs=blobs,
            trainer=self.trainer,
            clock=lambda: DRAWN_AT + clock.current_time(),
        )
        self.machine = machine
        self.blobs = blobs

    @asynccontextmanager
    async def running(self):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.service.run)
            yield self
            nursery.cancel_scope.cancel()

    async def hear(self, payload):
        await self.network.deliver.send(Frame(PEER, payload))
        await trio.testing.wait_all_tasks_blocked()

    async def draw(self, *before, **progress):
        keys = [
            ValidatorKeysSet(100 + seat, key.address, US.seating.peers[seat])
            for seat, key in enumerate(US.seats)
        ]
        events = (CREATED, *keys, *before, US.seating.drawn)
        block = Block(1, sha256(b"block"), sha256(b"genesis"), DRAWN_AT, events)
        await self.chain.append.send(ChainProgress(None, (block,), final=1, **progress))
        await trio.testing.wait_all_tasks_blocked()

    async def give_keys(self):
        await self.hear(encode(US.bundle()))


def seat(clock=None, **kwargs):
    return Node(US.seats[SEAT], clock, **kwargs)


def trainer(clock, **kwargs):
    return Node(US.trainers[INDEX], clock, **kwargs)


async def test_bad_frames_are_dropped_and_good_ones_heard(autojump_clock):
    async with seat(autojump_clock).running() as node:
        await node.draw()
        for payload in (b"", b"rubbish", encode(WantKeys(US.ctx)) + b"\0", bytes(200_000)):
            await node.hear(payload)
        assert [peer for peer, _ in node.network.faults] == [PEER] * 4
        await node.hear(encode(US.contribution(US.valid(0))))
        assert node.machine.contributions == 1


async def test_message_of_another_release_in_the_journal_does_not_end_the_node(autojump_clock):
    node = seat(autojump_clock)
    at = (US.seating.drawn.round, US.seating.drawn.attempt)
    payloads = (b"of another release", encode(US.contribution(US.valid(0))))
    node.service._journal.remember([Heard(at, US.ctx, PEER, it) for it in payloads])
    async with node.running():
        await node.draw()
        assert node.machine.contributions == 1


async def test_validators_on_the_chain_are_let_in_and_linked_with(autojump_clock):
    async with seat(autojump_clock).running() as node:
        assert not node.network.members
        await node.draw()
        trainers = {entry.peer for entry in US.seating.roster.entries}
        assert node.network.members == trainers | set(US.seating.peers)
        assert node.network.kept == set(US.seating.peers)
        assert not node.network.later


async def test_validators_without_a_seat_are_linked_with_last(autojump_clock):
    spare = PeerId(b"a validator without a seat")
    async with seat(autojump_clock).running() as node:
        await node.draw(ValidatorKeysSet(99, US.trainers[0].address, spare))
        assert node.network.kept == {*US.seating.peers, spare}
        assert node.network.later == {spare}


async def test_seat_sends_its_key_when_the_draw_is_final(autojump_clock):
    async with seat(autojump_clock).running() as node:
        await node.draw()
        assert {peer for peer, _ in node.network.sent} == set(US.seating.peers) - {
            US.seating.peers[SEAT]
        }


async def test_broken_ports_do_not_end_the_node(autojump_clock):
    """Neither a network, a ledger nor a signer that raise."""
    async with seat(autojump_clock, broken=True).running() as node:
        await node.draw()
        await node.give_keys()
        await node.hear(encode(US.contribution(US.valid(0))))
        await trio.sleep(30)
        assert node.machine.contributions == 1


async def test_raising_gossip_and_ledger_do_not_end_the_node(autojump_clock):
    node = trainer(autojump_clock, delta=ModelDelta(np.zeros(US.terms.integers.words)))
    node.network.broken = True
    async with node.running():
        await node.draw()
        await node.give_keys()
        await trio.sleep(5)
        assert node.network.published
        assert len(node.network.sent) >= 9


@pytest.mark.parametrize("delta", [None, ModelDelta(np.full(US.terms.integers.words, np.nan))])
async def test_failed_training_costs_the_contribution_only(delta, autojump_clock):
    async with trainer(autojump_clock, delta=delta).running() as node:
        await node.draw()
        await node.give_keys()
        await trio.sleep(5)
        assert node.trainer.trained == 1
        assert node.network.published == []
        await node.hear(b"rubbish")


async def test_retry_of_a_round_does_not_train_again(autojump_clock):
    from flocknode.protocol.ledger import AttemptAborted
    from tests.consortium import draw

    async with trainer(
        autojump_clock, delta=ModelDelta(np.zeros(US.terms.integers.words))
    ).running() as node:
        await node.draw()
        again = draw(US.terms, attempt=1)
        events = (AttemptAborted(1, 3, 0, False, 0), again)
        block = Block(2, sha256(b"2"), sha256(b"block"), DRAWN_AT + 1, events)
        await node.chain.append.send(ChainProgress(None, (block,), final=2))
        await trio.testing.wait_all_tasks_blocked()
        seating = replace(US.seating, drawn=again)
        assert node.machine.attempt.seating.ctx == seating.ctx
        assert node.machine.attempt.contributor._trained
        assert node.trainer.trained == 1


async def test_a_doubted_draw_is_answered_once_it_is_doubted_no_more(autojump_clock):
    async with seat(autojump_clock).running() as node:
        await node.draw(doubted=US.ctx)
        await trio.sleep(5)
        assert not node.network.sent
        await node.chain.append.send(ChainProgress(None, (), final=1))
        await trio.testing.wait_all_tasks_blocked()
        assert node.network.sent


async def test_a_node_that_forgot_what_it_signed_stops(autojump_clock):
    accepted = US.accepted(US.set_of(0, 1, 2))
    node = seat(autojump_clock)
    block = Block(2, sha256(b"2"), sha256(b"block"), DRAWN_AT + 1, (accepted,))
    await node.draw()
    await node.chain.append.send(ChainProgress(None, (block,), final=1))
    with pytest.raises(ForgottenStatement):
        await node.service._follow()


@pytest.mark.parametrize(
    "other",
    [
        replace(CREATED, terms=replace(US.terms, columns=1, seats_per_column=1)),
        replace(CREATED, model_root=sha256(b"crafted")),
        replace(CREATED, configuration=sha256(b"another recipe")),
    ],
)
async def test_a_node_stops_where_the_chains_task_is_not_its_operators(autojump_clock, other):
    node = trainer(autojump_clock)
    block = Block(1, sha256(b"block"), sha256(b"genesis"), DRAWN_AT, (other,))
    await node.chain.append.send(ChainProgress(None, (block,), final=0))
    await node.chain.append.send(ChainProgress(None, (), final=1))
    with pytest.raises(AnotherTask, match="task 1 on the chain"):
        await node.service._follow()


async def test_model_that_had_to_make_room_is_pulled_again_and_trained_from(autojump_clock):
    delta = ModelDelta(np.zeros(US.terms.integers.words))
    async with trainer(autojump_clock, delta=delta).running() as node:
        node.blobs.discard(MODEL_ROOT)
        await node.draw()
        assert node.trainer.trained == 0
        node.network.blobs[MODEL_ROOT] = MODEL
        await trio.sleep(5)
        assert node.network.fetched == [MODEL_ROOT]
        assert node.trainer.trained == 1


def judge(payload):
    return seat().service.judge(PEER, payload)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300) | frames)
def test_judging_never_raises(payload):
    assert judge(payload) in Verdict


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_judging_survives_any_change_of_an_honest_message(data):
    service = service_of_a_known_draw()
    honest = data.draw(st.sampled_from((encode(US.bundle()), encode(US.valid(0).header))))
    place, flip = data.draw(st.integers(0, len(honest) - 1)), data.draw(st.integers(1, 255))
    changed = honest[:place] + bytes([honest[place] ^ flip]) + honest[place + 1 :]
    assert service.judge(PEER, changed) is not Verdict.ACCEPT


def service_of_a_known_draw():
    from flocknode.protocol.chain_view import ChainView
    from flocknode.protocol.events import ChainAdvanced

    node = seat()
    view = ChainView(1).apply(CREATED)
    for number, key in enumerate(US.seats):
        view = view.apply(ValidatorKeysSet(100 + number, key.address, US.seating.peers[number]))
    view = view.apply(US.seating.drawn)
    node.machine.handle(ChainAdvanced(view, view), DRAWN_AT)
    return node.service


def test_gossip_of_a_known_draw_is_accepted_once():
    service = service_of_a_known_draw()
    assert service.judge(PEER, encode(US.bundle())) is Verdict.ACCEPT
    assert service.judge(PEER, encode(US.bundle())) is Verdict.IGNORE
    assert judge(encode(US.bundle())) is Verdict.IGNORE
    assert judge(encode(WantKeys(US.ctx))) is Verdict.REJECT
