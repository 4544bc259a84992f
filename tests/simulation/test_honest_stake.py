"""What goes wrong without a lie, or by somebody else's, never costs an honest seat its stake."""

from dataclasses import replace

from flocknode.messages.wire import MaskRootMessage
from flocknode.protocol.effects import Send, Submit
from flocknode.protocol.ledger import (
    AttemptAborted,
    BeaconRequested,
    IncludeSet,
    ProposalAccepted,
    ProposeModel,
    SetAccepted,
)
from flocknode.protocol.verdicts import AttemptHeld, ChallengeOpened, DutyMissed, SeatAccused
from flocknode.sim.liars import Plot
from flocknode.sim.state import Phase
from tests.simulation.lie_world import (
    plotted_world,
    settle_all,
    slashed,
    stakes,
    telling,
    world_of,
)
from tests.simulation.round_world import all_of, until_phase


def settle_without_loss(world):
    before = stakes(world)
    settle_all(world)
    assert slashed(world) == {}
    assert stakes(world) == before


def without_one(call):
    """Leave out the last seat that the quorum can spare."""
    last = call.seats.bit_length() - 1
    shorter = {"seats": call.seats & ~(1 << last), "signatures": call.signatures[:-1]}
    if isinstance(call, IncludeSet):
        shorter["commitments"] = call.commitments[:-1]
    return replace(call, **shorter)


def test_seat_whose_signatures_a_proposer_omits_is_neither_accused_nor_slashed():
    def omit(effect):
        match effect:
            case Submit(IncludeSet() | ProposeModel() as call):
                return Submit(without_one(call))
            case _:
                return effect

    world = plotted_world("inclusion", plot=telling(omit))
    settle_without_loss(world)
    (accepted,), (proposal,) = all_of(world, SetAccepted), all_of(world, ProposalAccepted)
    assert accepted.seats == proposal.seats == 0b011111
    assert all_of(world, SeatAccused) == []


def test_column_that_signs_roots_and_withholds_their_bytes_costs_nobody_stake():
    def strip(effect):
        match effect:
            case Send(peers, MaskRootMessage() as message) if message.seat % 2 == 0:
                return Send(peers, replace(message, vector=b""))
            case _:
                return effect

    class Withholding(telling(strip)):
        def liars(self, seating):
            return tuple(seating.column(0))

    world = plotted_world("mask", "majority", plot=Withholding)
    until_phase(world, Phase.COLLECTING)
    for node in world.committee[::2]:
        node.serves = False
    while not all_of(world, AttemptAborted):
        world.run(seconds=1.0)
    assert all_of(world, ProposalAccepted) == []
    for node in world.validators:
        node.serves = True
    settle_without_loss(world)
    assert all_of(world, ProposalAccepted)[0].attempt == 1


def test_junk_root_of_a_lone_mate_is_passed_over():
    class Unmuted(Plot):
        def muted(self, _seating):
            return None

    world = plotted_world("mask", plot=Unmuted)
    settle_without_loss(world)
    assert all_of(world, ChallengeOpened) == []


def test_garbage_capsules_for_one_seat_cost_nobody_stake():
    class Garbage(Plot):
        def liars(self, _seating):
            return ()

        def victim(self, _seating):
            return 4

    world = plotted_world("withhold", plot=Garbage)
    settle_without_loss(world)
    assert all_of(world, AttemptHeld) == []
    assert all_of(world, SetAccepted)[0].trainers == 0b11111


def test_stalled_finality_costs_nobody_stake():
    world = world_of()
    until_phase(world, Phase.INCLUDED)
    depth, world.ledger.finality_depth = world.ledger.finality_depth, 10**6
    world.run(seconds=12.0)
    world.ledger.finality_depth = depth
    settle_without_loss(world)


def test_finality_that_stalls_beyond_the_reveal_window_costs_nobody_its_bond():
    world = world_of()
    depth, world.ledger.finality_depth = world.ledger.finality_depth, 10**6
    pace, world.block_seconds = world.block_seconds, 2.0
    world.run(seconds=world.ledger.rules.reveal_seconds + 6.0)
    assert world.ledger.round_of(1).phase is Phase.DRAWING
    world.ledger.finality_depth, world.block_seconds = depth, pace
    settle_without_loss(world)
    assert len(world.ledger.state.members) == len(world.validators)
    assert len(all_of(world, BeaconRequested)) == 1


def test_replaced_draw_costs_nobody_stake():
    world = world_of()
    until_phase(world, Phase.COLLECTING)
    world.run(seconds=0.2)
    world.ledger.undo(1, timestamp=int(world.now))
    settle_without_loss(world)


def test_first_missed_duty_costs_no_stake():
    world = plotted_world("silent", challenge=14)
    settle_without_loss(world)
    assert [event.second for event in all_of(world, DutyMissed)] == [False]
