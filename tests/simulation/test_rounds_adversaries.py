"""Rounds in which somebody lies. Fewer than a third of the seats, or one trainer, stop nobody."""

from dataclasses import replace

import pytest

from flocknode.crypto.hashing import capsules_hash, seeds_hash
from flocknode.messages.codec import decode, encode
from flocknode.messages.statements import statement_digest
from flocknode.messages.wire import (
    AttestationMessage,
    Contribution,
    IncludeOffer,
    IncludeVote,
    SeatKeyMessage,
)
from flocknode.protocol.ledger import SetAccepted
from flocknode.sim.state import Phase
from flocknode.sim.world import TASK
from tests.builders import integer_terms
from tests.simulation.round_world import (
    all_of,
    assert_columns_agree,
    assert_models_are_fedavg,
    assert_no_slot_is_signed_twice,
    assert_one_set_per_attempt,
    calm_world,
    settle,
    settled_rounds,
    until_phase,
)


def proposer_of(world, view):
    seed = int.from_bytes(world.ledger.round_of(TASK).seed, "big")
    return world.committee[(view + seed) % world.terms.seats]


def drawn_world(seed, **changes):
    world = calm_world(seed=seed, **changes)
    until_phase(world, Phase.COLLECTING)
    return world


def duties_of(world, node):
    """Wait until the node knows of its seat and return what it does there."""
    while not node.machine.attempt:
        world.run(seconds=0.05)
    return node.machine.attempt.seat


def resigned(world, trainer, contribution, **changes):
    """Return a contribution whose header says something else and is signed all the same."""
    header = replace(decode(contribution.header), **changes)
    statement = header.statement(seeds_hash(header.commitments), capsules_hash(header.capsules))
    signature = trainer.key.sign_digest(statement_digest(world.domain, statement))
    return Contribution(encode(replace(header, signature=signature)), contribution.vector)


def assert_the_honest_are_safe(world, *liars):
    for claim in (assert_models_are_fedavg, assert_no_slot_is_signed_twice):
        claim(world)
    assert_one_set_per_attempt(world)
    assert_columns_agree(world)
    fair = {liar.peer for liar in liars}
    penalised = {peer for n in world.nodes if n not in liars for peer, _ in n.penalties}
    assert penalised <= fair


@pytest.mark.parametrize("seed", range(2))
def test_proposer_cannot_leave_out_an_attested_trainer(seed):
    world = drawn_world(seed)
    liar = proposer_of(world, 0)
    attester = duties_of(world, liar).attester
    honestly = attester.attestations.attested

    def all_but_the_first(before=None):
        known = attester.contributions_of(honestly(before))
        return tuple(c.digest for c in known if c.header.index != 0)

    attester.attestations.attested = all_but_the_first
    settle(world)
    ((accepted, _),) = settled_rounds(world)
    assert (accepted.view, accepted.trainers) == (1, 0b11111)
    assert_the_honest_are_safe(world, liar)


@pytest.mark.parametrize("seed", range(2))
def test_seats_sign_one_set_a_view(seed):
    """A trainer speaks to the proposer only, which offers two sets: without it and with it."""
    world = drawn_world(seed)
    trainer, liar = world.trainers[0], proposer_of(world, 0)
    attester = duties_of(world, liar).attester

    def speak_to_the_liar(peer, message):
        return [message] if peer == liar.peer or not isinstance(message, Contribution) else []

    def offer_twice(_, message):
        if not isinstance(message, IncludeOffer):
            return [message]
        held = tuple(c.digest for c in attester.held_of(0b11111))
        assert len(held) == len(message.headers) + 1
        return [message, replace(message, headers=held)]

    trainer.twist, liar.twist = speak_to_the_liar, offer_twice
    settle(world)
    ((accepted, _),) = settled_rounds(world)
    assert accepted.trainers == 0b11110
    assert_the_honest_are_safe(world, trainer, liar)


@pytest.mark.parametrize("seed", range(2))
def test_trainer_that_signs_two_headers_stops_nobody(seed):
    world = drawn_world(seed, columns=2, seats_per_column=3, validators=7)
    liar = world.trainers[0]

    def sign_twice(_, message):
        if not isinstance(message, Contribution):
            return [message]
        header = decode(message.header)
        # Seat 0 gets no capsule in the second one.
        return [message, resigned(world, liar, message, capsules=(b"", *header.capsules[1:]))]

    liar.twist = sign_twice
    settle(world)
    ((accepted, _),) = settled_rounds(world)
    assert accepted.attempt == 0
    assert accepted.trainers & 0b11110 == 0b11110
    assert_the_honest_are_safe(world, liar)


@pytest.mark.parametrize("width", [16, 32])
def test_trainer_that_names_the_model_as_its_vector_is_left_out(width):
    """Every seat has bytes under that root, but no vector, so no sum could ever be computed."""
    integers = integer_terms(width=width, tau=2047)
    world = drawn_world(0, columns=2, seats_per_column=3, validators=7, integers=integers)
    liar = world.trainers[0]

    def name_the_model(_, message):
        if not isinstance(message, Contribution):
            return [message]
        named = resigned(world, liar, message, root=world.initial_root)
        return [replace(named, vector=b"")]

    liar.twist = name_the_model
    settle(world)
    ((accepted, _),) = settled_rounds(world)
    assert (accepted.attempt, accepted.trainers) == (0, 0b11110)
    assert_the_honest_are_safe(world, liar)


def silent_in_votes(_, message):
    return [] if isinstance(message, IncludeVote) else [message]


@pytest.mark.parametrize("seed", range(2))
def test_rubbish_capsule_and_a_silent_seat_do_not_block_inclusion(seed):
    """A mate hands over the seed, or no two seats of column 0 could sign a set with the trainer."""
    world = drawn_world(seed)
    trainer, seat = world.trainers[0], world.committee[3]

    def seal_rubbish(_, message):
        if not isinstance(message, Contribution):
            return [message]
        header = decode(message.header)
        return [resigned(world, trainer, message, capsules=(bytes(80), *header.capsules[1:]))]

    trainer.twist, seat.twist = seal_rubbish, silent_in_votes
    settle(world)
    ((accepted, _),) = settled_rounds(world)
    assert (accepted.attempt, accepted.trainers) == (0, 0b11111)
    assert_the_honest_are_safe(world, trainer, seat)


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_attestation_shown_to_a_few_is_forwarded_to_all_before_view_0(seed):
    """A trainer and seat 0 let one seat of each column see a majority that the others do not."""
    world = drawn_world(seed)
    trainer, seat = world.trainers[0], world.committee[0]
    # None of the four views is a confidant's.
    assert world.committee.index(proposer_of(world, 0)) in (4, 5)
    receivers = {world.committee[i].peer for i in (0, 3, 1, 4, 2, 5)}
    confidants = {world.committee[i].peer for i in (3, 1, 2)}

    def speak_to_some(peer, message):
        return [message] if peer in receivers or not isinstance(message, Contribution) else []

    def whisper(peer, message):
        if isinstance(message, AttestationMessage) and peer not in confidants:
            return []
        return silent_in_votes(peer, message)

    trainer.twist, seat.twist = speak_to_some, whisper
    settle(world)
    accepted = all_of(world, SetAccepted)[0]
    assert (accepted.attempt, accepted.view, accepted.trainers) == (0, 0, 0b11111)
    assert_the_honest_are_safe(world, trainer, seat)


@pytest.mark.parametrize("seed", [2, 3])
def test_attestation_shown_at_the_last_moment_costs_no_view(seed):
    """What a seat learns too late to show it to the proposer does not make it refuse."""
    world = drawn_world(seed)
    trainer, seat = world.trainers[0], world.committee[0]
    assert proposer_of(world, 0) is not world.committee[3]
    receivers = {world.committee[i].peer for i in (0, 3, 1, 4, 2, 5)}
    begins = world.ledger.round_of(TASK).drawn_at + 13

    def speak_to_some(peer, message):
        return [message] if peer in receivers or not isinstance(message, Contribution) else []

    def whisper_late(peer, message):
        is_late = world.now > begins - 0.3
        if isinstance(message, AttestationMessage):
            return [message] if is_late and peer == world.committee[3].peer else []
        return silent_in_votes(peer, message)

    trainer.twist, seat.twist = speak_to_some, whisper_late
    settle(world)
    accepted = all_of(world, SetAccepted)[0]
    assert (accepted.attempt, accepted.view) == (0, 0)
    assert_the_honest_are_safe(world, trainer, seat)


def test_forged_sealing_key_costs_its_sender_only():
    world = calm_world(seed=5)
    until_phase(world, Phase.DRAWING)
    liars = world.validators[:1]
    for liar in liars:
        liar.twist = lambda _, m: [
            replace(m, key=bytes(32)) if isinstance(m, SeatKeyMessage) else m
        ]
    settle(world)
    ((accepted, _),) = settled_rounds(world)
    assert (accepted.attempt, accepted.trainers) == (0, 0b11111)
    assert_the_honest_are_safe(world, *liars)
