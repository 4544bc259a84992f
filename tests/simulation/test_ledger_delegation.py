"""Delegation, slashes and keys in the reference ledger; the bytecode makes the same claims."""

import random

import pytest
from ledger_world import ETHER, RELAYER, World, digest, key, owner

from flocknode.primitives import PeerId
from flocknode.protocol.ledger import OpenRound
from flocknode.sim.abi import CallReverted
from flocknode.sim.pools import ONE, Pool

ANN, BEN, FINDER = (key(name).address for name in ("ann", "ben", "finder"))
SCOPE, ANOTHER = digest("task 1 round 2"), digest("task 1 round 3")
PEER = PeerId(b"peer")
OPEN = OpenRound(1)


def refused(reason: str):
    return pytest.raises(CallReverted, match=f"^StakeRegistry{reason}$")


def delegated(ann: int = 60, ben: int = 40) -> World:
    """Validator 0 holds 100 of its own; each organisation counts up to 1000."""
    world = World()
    for holder, amount in ((ANN, ann), (BEN, ben)):
        world.ledger.mint(holder, amount * ETHER)
        world.ledger.delegate(0, amount * ETHER, sender=holder)
    return world


def slash(world: World, amount: int, scope=SCOPE) -> int:
    return world.ledger.slash(0, amount, scope, FINDER, sender=world.ledger.rules.slashing_manager)


def held(world: World) -> int:
    """Count what the registry must hold: all assets and all that it owes."""
    state = world.ledger.state
    return sum(v.pool.assets for v in state.validators.values()) + state.owed


def test_delegated_stake_counts_while_the_owner_has_stake_of_its_own():
    world = delegated()
    assert world.ledger.validator(0).weight == 200
    world.ledger.request_unstake(0, 100 * ETHER, sender=owner(0))
    assert world.ledger.validator(0).weight == 0
    world.ledger.mint(ANN, 1)
    with refused("NotBacked"):
        world.ledger.delegate(0, 1, sender=ANN)
    with refused("OwnStake"):
        world.ledger.delegate(0, 1, sender=owner(0))


def test_a_slash_takes_own_delegated_and_unbonding_stake_alike():
    world = delegated()
    world.ledger.request_unstake(0, 40 * ETHER, sender=BEN)
    assert slash(world, 20 * ETHER) == 20 * ETHER
    entry = world.ledger.validator(0)
    assert (entry.stake, entry.unbonding, entry.weight) == (144 * ETHER, 36 * ETHER, 144)
    assert world.ledger.state.credits == {
        FINDER: 2 * ETHER,
        world.ledger.rules.treasury: 18 * ETHER,
    }
    world.at(world.now + world.ledger.rules.unbonding_seconds)
    assert world.ledger.withdraw(0, sender=BEN) == 36 * ETHER
    assert world.ledger.pay_out(FINDER, sender=RELAYER) == 2 * ETHER


def test_one_round_takes_at_most_half():
    world = delegated()
    assert slash(world, 150 * ETHER) == 100 * ETHER
    assert slash(world, 1) == 0
    assert slash(world, 150 * ETHER, ANOTHER) == 50 * ETHER


def test_only_the_slashing_manager_slashes():
    with refused("NotSlashingManager"):
        World().ledger.slash(0, 1, SCOPE, FINDER, sender=RELAYER)


def test_pay_reaches_delegators_less_commission():
    world = delegated()
    world.ledger.set_commission(0, 1_000, sender=owner(0))
    world.at(world.now + world.ledger.rules.unbonding_seconds)
    world.drawn()
    while 0 not in world.attempt.committee:
        world.whole_round()
    round_, seat = world.attempt.round, world.attempt.committee.index(0)
    world.apply(world.inclusion(seats=0b111111111))
    world.proposed().settled()
    settlement = world.ledger.settlement_of(1, round_)
    pay = settlement.seat_share * (1 + (settlement.propose_seats >> seat & 1))
    world.ledger.claim_seats(1, 0, [round_], sender=RELAYER)
    rest = pay * 100 // 200
    rest -= rest // 10
    assert world.ledger.tokens_of(owner(0)) == pay - rest
    assert world.ledger.state.owed == rest
    got = [world.ledger.claim_rewards(0, sender=holder) for holder in (ANN, BEN)]
    assert got == [rest * 60 // 100, rest * 40 // 100]


def test_the_ninth_request_joins_the_eighth():
    world = delegated()
    for _ in range(9):
        world.ledger.request_unstake(0, ETHER, sender=ANN)
        world.at(world.now + 1)
    queue = world.ledger.state.positions[0, ANN].leaving
    assert [one.shares for one in queue] == [ETHER] * 7 + [2 * ETHER]


def test_the_guardian_stops_entries_and_nothing_else():
    world = delegated()
    with refused("NotGuardian"):
        world.ledger.pause_entries(True, sender=RELAYER)
    world.ledger.pause_entries(True, sender=world.ledger.rules.guardian)
    world.ledger.mint(ANN, 1)
    with refused("EntriesPaused"):
        world.ledger.delegate(0, 1, sender=ANN)
    world.ledger.request_unstake(0, ETHER, sender=ANN)
    assert slash(world, 1) == 1


def test_between_request_and_draw_a_slash_only_ejects():
    world = World(validators=10)
    before = world.ledger.validator(0).weight
    world.ledger.apply(OPEN, RELAYER)
    slash(world, 20 * ETHER)
    assert world.ledger.validator(0).weight == before
    assert 0 not in world.redrawn().attempt.committee
    world.ledger.refresh_weight(0, sender=RELAYER)
    assert world.ledger.validator(0).weight == 80
    assert not world.ledger.validator(0).ejected


def test_committees_keep_the_key_that_they_were_drawn_with():
    world = World().drawn()
    drawn_at, seated = world.attempt.drawn_at, world.attempt.committee[0]
    old, new = key(f"signer {seated}"), key("rotated")
    world.ledger.rotate_keys(seated, new, PEER, sender=owner(seated))
    assert world.ledger.validator(seated).signer_at(drawn_at) == old.address
    assert world.ledger.validator(seated).signer_at(drawn_at + 1) == new.address
    with refused("Rotating"):
        world.ledger.rotate_keys(seated, key("another"), PEER, sender=owner(seated))
    world.at(world.now + 1)
    with refused("SignerKnown"):
        world.ledger.rotate_keys(seated, old, PEER, sender=owner(seated))


@pytest.mark.parametrize("seed", range(8))
def test_nothing_is_made_or_lost_by_any_sequence(seed):
    rng, world = random.Random(seed), delegated()
    ledger = world.ledger
    holders = (ANN, BEN, owner(0))
    everything = held(world) + sum(ledger.state.tokens.values())
    for _ in range(150):
        holder, amount = rng.choice(holders), rng.choice((1, rng.randrange(1, 30 * ETHER)))
        calls = (
            lambda h=holder, a=amount: ledger.delegate(0, a, sender=h),
            lambda h=holder, a=amount: ledger.stake(0, a, sender=h),
            lambda h=holder, a=amount: ledger.request_unstake(0, a, sender=h),
            lambda h=holder: ledger.withdraw(0, sender=h),
            lambda h=holder: ledger.claim_rewards(0, sender=h),
            lambda a=amount: slash(world, a, digest(f"round {rng.randrange(9)}")),
            lambda: world.at(world.now + rng.randrange(5 * 86_400)),
        )
        try:
            rng.choice(calls)()
        except CallReverted:
            continue
        pool = ledger.validator(0).pool
        assert held(world) + sum(ledger.state.tokens.values()) == everything
        assert pool.assets * ONE >= (pool.bonded + pool.unbonding) * pool.price


def test_a_share_is_never_worth_more_than_it_cost():
    pool = Pool().entered(10 * ETHER, own=True).slashed(ETHER // 3)
    for amount in (1, 7, ETHER + 1):
        value = pool.value_of(pool.shares_in(amount))
        assert amount - 1 <= value <= amount
