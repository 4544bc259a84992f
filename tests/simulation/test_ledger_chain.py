"""Blocks of the simulated ledger: finality, replaced blocks, followers."""

import pytest
from ledger_world import GENESIS, RELAYER, TASK, World

from flocknode.protocol.ledger import Draw, OpenRound, Poke, RoundOpened
from flocknode.sim.abi import CallReverted
from flocknode.sim.ledger import SimulatedLedger


def test_a_block_holds_the_events_of_its_calls_in_order():
    world = World()
    world.at(GENESIS + 1)
    events = world.apply(OpenRound(TASK))
    block = world.ledger.mine(GENESIS + 2)
    assert block.events == events
    assert (block.number, block.timestamp) == (2, GENESIS + 1)
    assert block.parent == world.ledger.progress().blocks[1].digest


def test_the_same_calls_make_the_same_chain():
    heads = {World().drawn().whole_round().ledger.head.digest for _ in range(2)}
    assert len(heads) == 1


def test_a_refused_call_changes_nothing():
    world = World().drawn()
    before = world.ledger.state
    with pytest.raises(CallReverted):
        world.apply(Poke(TASK))
    assert world.ledger.state == before


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_undoing_blocks_restores_the_exact_state(depth):
    world = World().drawn()
    for step in (world.included, world.proposed, world.settled, world.redrawn):
        world.at(world.now)
        step()
    head = world.ledger.head.number
    world.ledger.undo(depth)
    assert world.ledger.state == world.after[head - depth]
    assert world.ledger.state != world.after[head]


def test_undo_loses_the_pending_calls():
    world = World()
    world.at(GENESIS)
    world.at(GENESIS + 5)
    world.apply(OpenRound(TASK))
    world.ledger.undo(1)
    assert world.now == GENESIS
    assert world.ledger.mine(GENESIS).events == ()
    world.apply(OpenRound(TASK))


def test_a_replaced_block_has_another_digest_even_with_the_same_calls():
    ledger = SimulatedLedger()
    first = ledger.mine(1)
    ledger.undo(1)
    second = ledger.mine(1)
    assert (first.number, first.events) == (second.number, second.events)
    assert first.digest != second.digest


def test_blocks_become_final_with_depth_and_cannot_be_undone():
    ledger = SimulatedLedger(finality_depth=3)
    for time in range(1, 6):
        ledger.mine(time)
    assert ledger.final == 2
    with pytest.raises(AssertionError):
        ledger.undo(4)
    ledger.undo(3)
    assert ledger.head.number == ledger.final == 2


def test_a_follower_sees_every_block_once():
    world = World()
    seen = world.ledger.progress().blocks[-1].digest
    world.at(GENESIS + 1)
    world.apply(OpenRound(TASK))
    world.at(GENESIS + 2)
    progress = world.ledger.progress(seen)
    assert progress.undone_to is None
    assert [block.number for block in progress.blocks] == [1, 2]
    assert any(isinstance(event, RoundOpened) for event in progress.blocks[1].events)
    assert world.ledger.progress(progress.blocks[-1].digest).blocks == ()


def test_a_follower_learns_what_left_the_chain():
    ledger = SimulatedLedger(finality_depth=8)
    for time in range(1, 5):
        ledger.mine(time)
    seen = ledger.head.digest
    ledger.undo(2)
    assert ledger.progress(seen).undone_to == 2
    assert ledger.progress(seen).blocks == ()
    for time in range(5, 8):
        ledger.mine(time)
    ledger.undo(1)
    ledger.mine(9)
    progress = ledger.progress(seen)
    assert progress.undone_to == 2
    assert [block.number for block in progress.blocks] == [3, 4, 5]


def test_a_round_continues_after_replaced_blocks():
    """The draw's block is replaced: seats get another ctx only if the draw differs."""
    world = World()
    world.apply(OpenRound(TASK))
    world.reveal()
    world.at(GENESIS + 1)
    world.apply(Draw(TASK))
    drawn = world.attempt
    world.at(GENESIS + 2)
    world.ledger.undo(1, GENESIS + 3)
    world.apply(Draw(TASK), RELAYER)
    assert world.attempt.ctx == drawn.ctx
    assert world.attempt.drawn_at == GENESIS + 3
