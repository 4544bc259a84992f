"""Hash onions, duties, bonds and fees of the beacon."""

import pytest
from eth_abi import encode
from ledger_world import ETHER, RELAYER, TASK, World, digest, key, onion, owner

from flocknode.crypto.hashing import keccak256
from flocknode.protocol.ledger import (
    BeaconClockStarted,
    BeaconRevealed,
    Draw,
    OpenRound,
    Poke,
    Reveal,
)
from flocknode.sim.abi import CallReverted
from flocknode.sim.state import Phase

REVEAL_FEE = 37_000 * 10**9
"""What an answer is paid: its gas at the price of the test's deployment."""


def refused(reason: str):
    return pytest.raises(CallReverted, match=f"^CommitRevealBeacon{reason}$")


def signer(validator: int):
    return key(f"signer {validator}").address


def asked(validators: int = 12) -> World:
    world = World(validators=validators)
    world.apply(OpenRound(TASK))
    return world


def test_the_value_combines_context_and_answers():
    world = asked()
    number, members = world.attempt.request, world.pending.members
    entropy = int.from_bytes(keccak256(encode(["uint256"] * 3, [TASK, 0, 0])), "big")
    for validator in members:
        answer = encode(["uint256", "bytes32"], [validator, onion(validator, 1)])
        entropy ^= int.from_bytes(keccak256(answer), "big")
    rules = world.ledger.rules
    value = keccak256(
        encode(
            ["uint256", "address", "uint256", "uint160"],
            [rules.chain_id, rules.beacon, number, entropy % (1 << 160)],
        )
    )
    assert world.redrawn().attempt.seed == value


def test_order_of_answers_says_nothing():
    seeds = set()
    for order in (range(12), reversed(range(12))):
        world = asked()
        for validator in order:
            preimage = onion(validator, 1)
            world.ledger.reveal(1, validator, preimage, sender=RELAYER)
        world.apply(Draw(TASK))
        seeds.add(world.attempt.seed)
    assert len(seeds) == 1


def test_a_reveal_authenticates_itself():
    world = asked()
    with refused("WrongPreimage"):
        world.ledger.reveal(1, 0, onion(1, 1), sender=signer(0))
    with refused("WrongPreimage"):
        world.ledger.reveal(1, 0, onion(0, 2), sender=signer(0))
    with refused("UnknownRequest"):
        world.ledger.reveal(2, 0, onion(0, 1), sender=signer(0))
    world.ledger.reveal(1, 0, onion(0, 1), sender=RELAYER)
    with refused("OutOfOrder"):
        world.ledger.reveal(1, 0, onion(0, 2), sender=RELAYER)


def test_reveals_through_the_port_belong_to_the_senders_validator():
    world = asked()
    assert world.ledger.apply(Reveal(1), signer(3), onion(3, 1)) == (BeaconRevealed(1, 3),)
    with pytest.raises(CallReverted, match="StakeRegistryUnknownSigner"):
        world.ledger.apply(Reveal(1), RELAYER, onion(4, 1))


def test_a_reveal_at_the_deadline_is_late():
    world = asked()
    world.at(world.pending.deadline)
    with refused("Closed"):
        world.ledger.reveal(1, 0, onion(0, 1), sender=RELAYER)


def test_joining_takes_weight_bond_and_a_new_organisation():
    world = World()
    ledger, bond = world.ledger, world.ledger.rules.bond
    tip = digest("tip")
    second = ledger.register(digest("organisation 0"), key("signer 20"), b"peer", sender=owner(0))
    with refused("NotSigner"):
        ledger.commit(second, tip, bond, sender=owner(0))
    with refused("WrongBond"):
        ledger.commit(second, tip, bond - 1, sender=signer(20))
    with refused("NoWeight"):
        ledger.commit(second, tip, bond, sender=signer(20))
    ledger.mint(owner(0), ETHER)
    ledger.stake(second, ETHER, sender=owner(0))
    with refused("OrganisationPresent"):
        ledger.commit(second, tip, bond, sender=signer(20))
    ledger.leave(0, sender=owner(0))
    ledger.commit(second, tip, bond, sender=signer(20))


def test_an_onion_is_replaced_only_while_no_answer_is_due():
    world = World()
    with refused("WrongBond"):
        world.ledger.commit(0, digest("tip"), 1, sender=signer(0))
    world.ledger.commit(0, digest("tip"), 0, sender=signer(0))
    world.apply(OpenRound(TASK))
    with refused("OnDuty"):
        world.ledger.commit(1, digest("tip"), 0, sender=signer(1))
    with refused("OnDuty"):
        world.ledger.leave(1, sender=owner(1))
    world.ledger.reveal(1, 1, onion(1, 1), sender=RELAYER)
    world.ledger.leave(1, sender=owner(1))
    with refused("NotMember"):
        world.ledger.leave(1, sender=owner(1))
    with refused("NotOwner"):
        world.ledger.leave(2, sender=signer(2))
    assert world.ledger.state.coins[owner(1)] == world.ledger.rules.bond


def test_a_missing_reveal_costs_bond_and_membership():
    world = asked()
    world.reveal(4, 7)
    with refused("NothingDue"):
        world.ledger.close_requests(1, sender=RELAYER)
    world.at(world.pending.deadline)
    world.ledger.close_requests(1, sender=RELAYER)
    assert not {4, 7} & set(world.ledger.state.members)
    assert world.ledger.state.treasury_due == 2 * (world.ledger.rules.bond + REVEAL_FEE)
    world.ledger.pay_treasury(sender=RELAYER)
    with refused("NothingDue"):
        world.ledger.pay_treasury(sender=RELAYER)


def test_a_stalled_finality_slashes_nobody():
    world = asked()
    world.reveal(*range(5, 12))
    world.at(world.now + 20 * world.ledger.rules.reveal_seconds)
    with refused("NothingDue"):
        world.ledger.close_requests(1, sender=RELAYER)
    with pytest.raises(CallReverted, match="NothingDue"):
        world.apply(Poke(TASK))
    for validator in range(5, 12):
        world.ledger.reveal(1, validator, onion(validator, 1), sender=RELAYER)
    world.apply(Draw(TASK))
    assert world.attempt.phase is Phase.COLLECTING
    assert len(world.ledger.state.members) == 12


def test_the_answer_that_makes_the_half_starts_the_clock():
    world = asked()
    world.reveal(*range(5, 12))
    world.at(world.now + 500)
    events = world.ledger.apply(Reveal(1), signer(5), onion(5, 1))
    deadline = world.now + world.ledger.rules.reveal_seconds
    assert events == (BeaconRevealed(1, 5), BeaconClockStarted(1, deadline))
    world.at(world.now + 1)
    assert world.ledger.apply(Reveal(1), signer(6), onion(6, 1)) == (BeaconRevealed(1, 6),)
    assert world.pending.deadline == deadline


def test_after_a_day_of_silence_most_members_are_dismissed_with_their_bonds():
    world = asked()
    world.reveal(*range(5, 12))
    world.at(world.pending.deadline)
    world.ledger.close_requests(1, sender=RELAYER)
    state, bond = world.ledger.state, world.ledger.rules.bond
    assert set(state.members) == set(range(5))
    assert state.dismissed == frozenset(range(5, 12))
    assert state.treasury_due == 7 * REVEAL_FEE
    with refused("WrongBond"):
        world.ledger.commit(5, digest("tip"), bond, sender=signer(5))
    world.ledger.commit(5, digest("tip"), 0, sender=signer(5))
    world.ledger.leave(6, sender=owner(6))
    with refused("NotMember"):
        world.ledger.leave(6, sender=owner(6))
    assert world.ledger.state.coins[owner(6)] == bond
    assert world.ledger.state.dismissed == frozenset(range(7, 12))


def test_answers_are_paid_once_to_the_owner():
    world = asked()
    world.reveal(4)
    world.ledger.claim_reveals(3, [1], sender=RELAYER)
    assert world.ledger.state.coins[owner(3)] == REVEAL_FEE
    for validator in (3, 4, 99):
        with refused("NothingDue"):
            world.ledger.claim_reveals(validator, [1], sender=RELAYER)


def test_sixteen_members_are_on_duty_in_turn():
    world = asked(validators=20)
    assert world.pending.members == tuple((16 + i) % 20 for i in range(16))
    world.at(world.pending.deadline)
    world.reveal(*range(20))
    world.apply(Poke(TASK))
    # All sixteen were silent and four members remain, in the order that removals left.
    assert set(world.pending.members) == {12, 13, 14, 15}
