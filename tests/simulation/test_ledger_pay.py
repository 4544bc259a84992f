"""Who is paid for a settled round, and that nothing is created or lost."""

from dataclasses import replace

import pytest
from ledger_world import CREATOR, ETHER, RELAYER, TASK, TERMS, WHOLE, World, digest, key, owner

from flocknode.protocol.ledger import OpenRound, Settle
from flocknode.sim import schedule
from flocknode.sim.abi import CallReverted
from flocknode.sim.state import Phase

GWEI = 10**9
ODD = WHOLE & ~(1 << 2)
"""Five trainers: an odd node is promoted on two levels of the inclusion tree."""


def refused(reason: str):
    return pytest.raises(CallReverted, match=f"^{reason}$")


def settled(trainers: int = WHOLE, **kwargs) -> tuple[World, bytes]:
    """Settle a round; return the records that its inclusion root commits to, too."""
    world = World(**kwargs).drawn()
    records = world.records(trainers)
    world.at(schedule.inclusion_start(TERMS, world.attempt.drawn_at))
    world.included(trainers=trainers).proposed().settled()
    return world, records


def tokens(world: World) -> int:
    """Count every token: of accounts, stakes, pools, and owed for settled rounds."""
    state = world.ledger.state
    staked = sum(v.stake + v.unbonding for v in state.validators.values())
    owed = 0
    for s in state.settlements.values():
        owed += s.trainer_share * (s.included - s.trainers_paid.bit_count())
        for seat in range(len(s.committee)):
            bits = (s.include_seats >> seat & 1) + (s.propose_seats >> seat & 1)
            owed += 0 if s.seats_paid >> seat & 1 else bits * s.seat_share
    return sum(state.tokens.values()) + staked + owed + sum(p.rewards for p in state.pools.values())


def test_shares_are_equal_and_the_remainder_stays_in_the_pool():
    world, _ = settled(trainers=0b111)
    owed = world.ledger.settlement_of(TASK, 0)
    # 600 for three trainers; 400 for 6 + 6 bits is 33 each and 4 left.
    assert (owed.trainer_share, owed.seat_share) == (200, 33)
    assert world.ledger.pool_of(TASK).rewards == 10_000 - 600 - 12 * 33


@pytest.mark.parametrize("trainers", [WHOLE, ODD, 0b111])
def test_each_trainer_is_paid_once_under_the_settled_root(trainers):
    world, records = settled(trainers)
    share = world.ledger.settlement_of(TASK, 0).trainer_share
    included = [index for index in range(6) if trainers >> index & 1]
    claims = [world.claim(0, records, position) for position in range(len(included))]
    world.ledger.claim_trainer(TASK, claims[1:], sender=RELAYER)
    world.ledger.claim_trainer(TASK, claims[:1], sender=RELAYER)
    for index in included:
        assert world.ledger.tokens_of(key(f"trainer {index}").address) == share
    for claim in claims:
        with refused("RoundPayAlreadyClaimed"):
            world.ledger.claim_trainer(TASK, [claim], sender=RELAYER)


def test_one_bad_claim_pays_none():
    world, records = settled()
    claims = [world.claim(0, records, 0), world.claim(0, records, 0)]
    with refused("RoundPayAlreadyClaimed"):
        world.ledger.claim_trainer(TASK, claims, sender=RELAYER)
    assert world.ledger.tokens_of(key("trainer 0").address) == 0


def test_a_claim_that_the_root_does_not_hold_is_refused():
    world, records = settled()
    claim = world.claim(0, records, 1)
    for change, reason in (
        ({"record": claim.record[:-1]}, "InclusionTreeRecordLength"),
        ({"position": 6}, "InclusionTreePosition"),
        ({"position": 5}, "InclusionTreePathLength"),
        ({"path": claim.path[:-1]}, "InclusionTreePathLength"),
        ({"path": (*claim.path, digest("more"))}, "InclusionTreePathLength"),
        ({"position": 0}, "RoundPayWrongRecord"),
        ({"path": claim.path[::-1]}, "RoundPayWrongRecord"),
        ({"round": 1}, "RoundPayNotSettled"),
    ):
        with refused(reason):
            world.ledger.claim_trainer(TASK, [replace(claim, **change)], sender=RELAYER)


def test_a_seat_is_paid_for_each_of_its_bits_to_the_owner():
    world = World(replace(TERMS, rounds=1)).drawn()
    committee = world.attempt.committee
    world.included(seats=0b000111111).proposed().settled()
    # 400 for 6 + 6 bits; seats 0 to 5 signed both statements, 6 to 8 none.
    world.ledger.claim_seats(TASK, committee[0], [0], sender=RELAYER)
    world.ledger.claim_seats(TASK, committee[8], [0], sender=RELAYER)
    assert world.ledger.tokens_of(owner(committee[0])) == 66
    assert world.ledger.tokens_of(owner(committee[8])) == 0
    with refused("RoundPayAlreadyClaimed"):
        world.ledger.claim_seats(TASK, committee[0], [0], sender=RELAYER)
    (outsider, *_) = set(range(12)) - set(committee)
    with refused("RoundPayNotSeated"):
        world.ledger.claim_seats(TASK, outsider, [0], sender=RELAYER)
    with refused("RoundPayNotSettled"):
        world.ledger.claim_seats(TASK, committee[0], [1], sender=RELAYER)


def test_tokens_are_conserved_over_rounds_and_claims():
    world = World().drawn()
    total = tokens(world)
    history = []
    for _ in range(3):
        history.append((world.attempt.committee, world.records(WHOLE)))
        world.whole_round()
        assert tokens(world) == total
    for number, (committee, records) in enumerate(history):
        claims = [world.claim(number, records, position) for position in range(6)]
        world.ledger.claim_trainer(TASK, claims, sender=RELAYER)
        for validator in committee:
            world.ledger.claim_seats(TASK, validator, [number], sender=RELAYER)
        assert tokens(world) == total
    world.ledger.request_unstake(0, ETHER, sender=owner(0))
    assert tokens(world) == total


def test_native_coin_is_conserved():
    """The gas pool and twelve bonds came in; they are in pools, credits, bonds, fees or paid."""
    world = World(replace(TERMS, rounds=2)).drawn()
    world.whole_round().included().proposed().settled()
    world.ledger.claim_reveals(0, [1, 2], sender=RELAYER)
    world.ledger.leave(1, sender=owner(1))
    world.ledger.withdraw_refund(sender=RELAYER)
    state = world.ledger.state
    bonds = len(state.members) * world.ledger.rules.bond
    fees = sum(r.fee * (len(r.members) - r.paid.bit_count()) for r in state.requests.values())
    held = bonds + fees + state.treasury_due + world.ledger.pool_of(TASK).gas
    paid = sum(state.coins.values())
    assert held + sum(state.refunds.values()) + paid == ETHER + 12 * world.ledger.rules.bond


def test_a_relayer_is_refunded_from_the_table():
    world = World()
    world.apply(OpenRound(TASK))
    # 150,000 gas at 1 gwei, and twelve answers of 38,000 gas went to the beacon.
    assert world.ledger.refund_of(RELAYER) == 150_000 * GWEI
    assert world.ledger.pool_of(TASK).gas == ETHER - (150_000 + 12 * 37_000) * GWEI
    world.redrawn()
    assert world.ledger.refund_of(RELAYER) == (150_000 + 70_000 + 9 * 9_000) * GWEI


def test_a_refused_call_is_not_refunded():
    world = World().drawn()
    before = world.ledger.refund_of(RELAYER)
    with refused("RoundManagerWrongPhase"):
        world.apply(Settle(TASK))
    assert world.ledger.refund_of(RELAYER) == before


def test_refunds_end_with_the_pool_and_rounds_do_not():
    world = World(gas=GWEI).drawn()
    assert world.ledger.pool_of(TASK).gas == 0
    assert world.whole_round().attempt.phase is Phase.COLLECTING
    assert world.ledger.refund_of(RELAYER) == 0
    with refused("RoundManagerAmount"):
        world.ledger.withdraw_refund(sender=RELAYER)


def test_anybody_funds_a_task_that_exists():
    world = World()
    world.ledger.fund(TASK, 0, 1, sender=RELAYER)
    for task, rewards, gas, reason in (
        (2, 1, 1, "TaskRegistryUnknownTask"),
        (TASK, 0, 0, "RoundManagerAmount"),
        (TASK, 1 << 96, 0, "RoundManagerAmount"),
        (TASK, 1, 0, "ERC20InsufficientBalance"),
    ):
        with refused(reason):
            world.ledger.fund(task, rewards, gas, sender=RELAYER)


def test_the_creator_takes_back_what_no_round_reserved():
    world = World(replace(TERMS, rounds=1)).drawn()
    with refused("RoundManagerWrongPhase"):
        world.ledger.withdraw_purse(TASK, sender=CREATOR)
    world.included().proposed().settled()
    with refused("RoundManagerNotCreator"):
        world.ledger.withdraw_purse(TASK, sender=RELAYER)
    left = world.ledger.pool_of(TASK).rewards
    world.ledger.withdraw_purse(TASK, sender=CREATOR)
    assert world.ledger.tokens_of(CREATOR) == left == 10_000 - 600 - 12 * 33
