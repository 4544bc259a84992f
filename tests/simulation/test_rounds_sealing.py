"""Whole rounds whose capsules travel apart: the second sealing suite on a faulty network."""

import pytest

from flocknode.crypto.merkle import TreeKind
from flocknode.crypto.suites import MLKEM768_X25519
from flocknode.messages.codec import decode
from flocknode.messages.wire import Contribution, SeedMessage
from flocknode.protocol.capsule_slips import read_slip
from flocknode.protocol.effects import Fetch, Publish, Send
from flocknode.sim.state import Phase
from flocknode.sim.world import Faults
from tests.simulation.round_world import (
    CLAIMS,
    calm_world,
    settle,
    settled_rounds,
    until_phase,
)


@pytest.mark.parametrize("seed", range(6))
def test_round_survives_loss_and_crashes(seed):
    faults = Faults(loss=0.2, duplicate=0.1, crashed_trainers=seed % 2)
    world = calm_world(seed, 3, 3, 10, faults=faults, suite=MLKEM768_X25519)
    settle(world)
    for claim in CLAIMS:
        claim(world)


def test_seat_pulls_the_capsules_of_its_own_column_and_no_others():
    world = calm_world(7, 3, 3, 10, suite=MLKEM768_X25519)
    pulled = []

    def note(node, effect):
        if isinstance(effect, Fetch) and effect.kind == TreeKind.CAPSULES:
            pulled.append((node, effect.root))
        return False

    world.after_effect = note
    settle(world)
    assert len(pulled) == len(set(pulled)) == 9 * 5
    by_root = {}
    for node, root in pulled:
        by_root.setdefault(root, set()).add(world.committee.index(node) % 3)
    assert len(by_root) == 3 * 5
    assert all(len(columns) == 1 for columns in by_root.values())


def test_trainer_that_serves_no_slice_to_a_seat_cannot_keep_it_from_its_seed():
    world = calm_world(8, 3, 3, 10, suite=MLKEM768_X25519)
    resealed = []

    def spoil(node, effect):
        """Let trainer 0 lose column 0's slice as soon as one seat of it has pulled it."""
        if isinstance(effect, Send) and isinstance(effect.message, SeedMessage):
            resealed.append(len(effect.message.capsule))
        if isinstance(effect, Send | Publish) and isinstance(effect.message, Contribution):
            header = decode(effect.message.header)
            if header.index == 0 and node is world.trainers[0]:
                slip = read_slip(header.capsules[0], 0, node.machine.attempt.seating)
                data = node.blobs.get(slip.root)
                for seat in (0, 3):
                    world.committee[seat].blobs.put(slip.root, data)
                node.blobs.discard(slip.root)
        return False

    until_phase(world, Phase.COLLECTING)
    world.after_effect = spoil
    settle(world)
    ((accepted, _),) = settled_rounds(world)
    assert (accepted.attempt, accepted.trainers) == (0, 0b11111)
    assert 1168 in resealed
    for claim in CLAIMS:
        claim(world)
