"""Processes that die after any effect and start again from their disk: real stores, real files."""

from collections import Counter, defaultdict

import pytest

from flocknode.messages.codec import decode
from flocknode.messages.slots import slot_of
from flocknode.messages.wire import Contribution
from flocknode.node.memory import MemoryStorage
from flocknode.protocol.effects import Send
from flocknode.sim.state import Phase
from flocknode.storage.bans import BanFile
from flocknode.storage.blobs import DiskBlobs
from flocknode.storage.directory import Storage
from flocknode.storage.journal import MessageJournal
from flocknode.storage.protection import SigningProtection
from flocknode.storage.secrets import SecretFiles
from tests.simulation.round_world import (
    BEYOND_SECONDS,
    CLAIMS,
    LIMIT_SECONDS,
    assert_no_slot_is_signed_twice,
    calm_world,
    settle,
    settled_rounds,
    until_phase,
)

AWAY_SECONDS = 0.6
SEAT_EFFECTS = 36
LIVES = 21
TRAINER_EFFECTS = 8
"""A node has about so many effects in a calm round of three trainers."""


def stored_world(tmp_path, seed, **changes):
    """Give every node a real store. What a killed process wrote survives without syncing."""
    shape = {"columns": 2, "seats_per_column": 3, "validators": 7, "trainers": 3, **changes}
    world = calm_world(seed, **shape)
    for node in world.nodes:
        directory = tmp_path / str(node.name)
        directory.mkdir()
        node.open_storage = lambda at=directory, me=node.key.address: Storage(
            SigningProtection(at, me, synchronous="OFF"),
            SecretFiles(at),
            MessageJournal(at, synchronous="OFF"),
            DiskBlobs(at),
            BanFile(at),
        )
        node.start()
    return world


class Killer:
    """Kills each node after its effect of a given number, and hears what trainers send."""

    def __init__(self, world, number_of, rare=None):
        self.world = world
        self.number_of = number_of
        self.rare = rare
        """A kind of effect after whose first one somebody dies once more."""
        self.done = Counter()
        self.kills = []
        self.sent = defaultdict(set)
        world.after_effect = self

    def __call__(self, node, effect):
        is_trainer = node in self.world.trainers
        if is_trainer and isinstance(effect, Send) and isinstance(effect.message, Contribution):
            ctx = decode(effect.message.header).ctx
            self.sent[node.name, ctx].add((effect.message.header, effect.message.vector))
        SEEN.add(type(effect).__name__)
        self.done[node.name] += 1
        is_rare = type(effect).__name__ == self.rare and self.rare not in self.kills
        if self.done[node.name] != self.number_of(node) and not is_rare:
            return False
        self.kills.append(type(effect).__name__)
        self.world.restart(node, after=AWAY_SECONDS)
        return True


def assert_signatures_are_the_same_bytes(world):
    for node in world.nodes:
        slots = defaultdict(set)
        for statement, signature in node.signatures:
            slots[slot_of(statement)].add(signature)
        slots.pop(None, None)
        assert all(len(signatures) == 1 for signatures in slots.values())


def close_stores(world):
    for node in world.nodes:
        node.storage.close()


def kill_everybody(tmp_path, first, rare=None):
    """Run a round in which every node dies once, each after another effect."""
    world = stored_world(tmp_path, first)
    killer = Killer(world, rotating(world, first), rare)
    settle(world)
    return world, killer


def rotating(world, first):
    def number_of(node):
        limit = SEAT_EFFECTS if node in world.validators else TRAINER_EFFECTS
        return 1 + (first + 5 * node.name) % limit

    return number_of


KILLS = []
SEEN = set()
"""Kinds of effects that any node had."""


@pytest.mark.parametrize("first", range(LIVES))
def test_round_settles_though_every_process_dies_once(tmp_path, first):
    world, killer = kill_everybody(tmp_path, first)
    KILLS.extend(killer.kills)
    try:
        for claim in (*CLAIMS, assert_signatures_are_the_same_bytes):
            claim(world)
        assert all(len(messages) == 1 for messages in killer.sent.values())
    finally:
        close_stores(world)


@pytest.mark.parametrize(
    ("rare", "first"), [("Fetch", 0), ("Prepare", 8), ("Reseal", 0), ("ServeMaskSum", 0)]
)
def test_round_settles_though_somebody_dies_after_what_is_rare(tmp_path, rare, first):
    world, killer = kill_everybody(tmp_path, first, rare)
    KILLS.extend(killer.kills)
    assert rare in killer.kills
    try:
        for claim in (*CLAIMS, assert_signatures_are_the_same_bytes):
            claim(world)
    finally:
        close_stores(world)


def test_kills_came_after_every_kind_of_effect():
    assert len(KILLS) >= 200
    assert SEEN - set(KILLS) == set()


def test_claims_notice_a_node_that_forgets_what_it_signed():
    caught = 0
    for first in range(4):
        world = calm_world(first, columns=2, seats_per_column=3, validators=7, trainers=3)
        for node in world.nodes:
            node.open_storage = MemoryStorage
        Killer(world, rotating(world, first))
        world.run(seconds=LIMIT_SECONDS, beyond=BEYOND_SECONDS)
        try:
            assert_no_slot_is_signed_twice(world)
        except AssertionError:
            caught += 1
    assert caught


def test_sole_seat_of_a_column_that_restarts_after_acceptance_still_opens_its_sum(tmp_path):
    # The trainers have stopped resending, and no mate holds the column's seeds.
    world = stored_world(tmp_path, 3, seats_per_column=1, validators=4)
    until_phase(world, Phase.INCLUDED)
    world.restart(world.committee[1], after=AWAY_SECONDS)
    settle(world)
    close_stores(world)
    ((accepted, proposal),) = settled_rounds(world)
    assert (accepted.attempt, proposal.attempt) == (0, 0)
    assert proposal.seats == 0b11


def test_whole_network_that_loses_power_goes_on_where_it_was(tmp_path):
    world = stored_world(tmp_path, 5)
    until_phase(world, Phase.INCLUDED)
    for node in world.nodes:
        world.restart(node, after=AWAY_SECONDS)
    settle(world)
    close_stores(world)
    assert [accepted.attempt for accepted, _ in settled_rounds(world)] == [0]


def test_retry_after_a_restart_sends_the_same_quantised_delta(tmp_path):
    world = stored_world(tmp_path, 6)
    until_phase(world, Phase.INCLUDED)
    before = [node.vault._quantised[1].values.tobytes() for node in world.trainers]
    for node in world.committee[:3]:
        world.crash(node)
        world.join(node, after=60)
    for node in world.trainers:
        world.restart(node, after=AWAY_SECONDS)
    settle(world)
    close_stores(world)
    assert [proposal.attempt for _, proposal in settled_rounds(world)] == [1]
    after = [node.vault._quantised[1].values.tobytes() for node in world.trainers]
    assert before == after


def test_nothing_secret_is_left_when_the_round_is_final(tmp_path):
    world = stored_world(tmp_path, 7)
    until_phase(world, Phase.INCLUDED)
    assert all(node.storage.secrets.names() for node in world.committee)
    settle(world)
    close_stores(world)
    assert not list(tmp_path.glob("*/secrets/*"))
    for node in world.nodes:
        assert node.vault._attempts == {}
