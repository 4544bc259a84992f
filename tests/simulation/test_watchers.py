"""Validators without a seat prove what public bytes disprove, when no seat does."""

import pytest

from flocknode.protocol.effects import Submit, SubmitAll
from flocknode.protocol.ledger import CommitteeDrawn, RoundSettled
from flocknode.protocol.proofs import SlashingCall
from flocknode.protocol.verdicts import OffenceProven
from flocknode.sim.world import World
from tests.simulation.lie_world import (
    liars,
    offences,
    plotted_world,
    settle_all,
    slashed,
    world_of,
)
from tests.simulation.round_world import all_of


def is_proof(effect) -> bool:
    match effect:
        case Submit(call):
            return isinstance(call, SlashingCall)
        case SubmitAll(calls):
            return all(isinstance(call, SlashingCall) for call in calls)
        case _:
            return False


def mute_seats(world: World) -> None:
    """Let no node with a seat prove anything."""
    perform = world._perform

    def deaf(node, effect):
        if is_proof(effect) and node in world.committee:
            return []
        return perform(node, effect)

    world._perform = deaf


@pytest.mark.parametrize(
    ("lie", "offence"), [("step", "WRONG_STEP"), ("inclusion", "BAD_INCLUSION")]
)
def test_watcher_proves_what_no_seat_does(lie, offence):
    world = plotted_world(lie, "majority", challenge=40, demand=30)
    mute_seats(world)
    settle_all(world)
    assert offences(world) == [offence]
    assert set(slashed(world)) == liars(world)
    (proven,), (drawn, *_) = all_of(world, OffenceProven), all_of(world, CommitteeDrawn)
    assert proven.finder in {node.key.address for node in world.validators} - {*drawn.signers}


def test_watchers_leave_honest_rounds_alone():
    world = world_of(rounds=2)
    told = []

    def note(_node, effect):
        told.append(is_proof(effect))
        return False

    world.after_effect = note
    settle_all(world)
    assert not any(told)
    assert len(all_of(world, RoundSettled)) == 2
