"""Worlds in which a plot lies, and what holds in every one of them."""

from flocknode.protocol.ledger import CommitteeDrawn, ProposalAccepted, RoundSettled, SetAccepted
from flocknode.protocol.seating import take_seats
from flocknode.protocol.verdicts import OffenceProven, ProposalStruck, ValidatorSlashed
from flocknode.sim.liars import Plot
from flocknode.sim.lies import Colluding, Lie
from flocknode.sim.world import World
from tests.builders import patient_windows
from tests.simulation.round_world import all_of, terms_of

VALIDATORS = 8
"""Two more than the seats of two columns of three."""
WINDOWS = {"collect": 6, "view": 4, "demand": 4, "roots": 3, "challenge": 8, "abort": 4}
LIMIT_SECONDS = 200.0


def plotted_world(lie, colluding="minority", *, seed=0, plot=Plot, rounds=1, **windows):
    """Return a world whose nodes lie in its rounds but the last two, or in the only one."""
    told = frozenset(range(max(1, rounds - 1))) if lie != "silent" else frozenset(range(rounds))

    def conspire(domain):
        return plot(Lie(lie), Colluding(colluding), domain, told)

    return world_of(conspire, seed=seed, rounds=rounds, **windows)


def world_of(conspire=None, *, seed=0, rounds=1, **windows):
    terms = terms_of(2, 3, windows=patient_windows(**{**WINDOWS, **windows}), rounds=rounds)
    return World(seed=seed, terms=terms, validators=VALIDATORS, plot=conspire)


def telling(tell):
    """Return a plot whose nodes put their effects through ``tell``."""

    class Telling(Plot):
        def wrap(self, machine, key, blobs):
            told = super().wrap(machine, key, blobs)
            handle = told.handle
            told.handle = lambda event, now: [tell(effect) for effect in handle(event, now)]
            return told

    return Telling


def settle_all(world):
    world.run(seconds=LIMIT_SECONDS, beyond=3.0)
    settled = [event.round for event in all_of(world, RoundSettled)]
    assert settled == list(range(world.terms.rounds))


def stakes(world):
    return {v: world.ledger.validator(v).stake for v in range(len(world.validators))}


def slashed(world):
    """Return what was taken, by validator."""
    taken = {}
    for event in all_of(world, ValidatorSlashed):
        taken[event.validator] = taken.get(event.validator, 0) + event.amount
    return taken


def offences(world):
    return [event.offence.name for event in all_of(world, OffenceProven)]


def liars(world):
    """Return the validators that lied in the first attempt."""
    drawn = all_of(world, CommitteeDrawn)[0]
    seating = seating_of(world, drawn)
    return {drawn.committee[seat] for seat in world.plot.liars(seating)}


def seating_of(world, drawn):
    peers = {place: node.peer for place, node in enumerate(world.validators)}
    return take_seats(world.domain, world.terms, world.roster, drawn, peers)


def assert_the_settled_models_are_right(world, models):
    """Compare with the models of the same world in which nobody lies."""
    assert [e.model_root for e in all_of(world, RoundSettled)] == models


def assert_one_set_was_struck_and_settled(world):
    ((struck,), proposals) = all_of(world, ProposalStruck), all_of(world, ProposalAccepted)
    (accepted,) = all_of(world, SetAccepted)
    wrong, right = proposals
    assert right.view >= struck.next_view > wrong.view
    assert (right.round, right.attempt) == (accepted.round, accepted.attempt)
