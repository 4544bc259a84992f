"""Organisations, stake, weights, and the tasks that the registry refuses."""

from dataclasses import replace
from functools import partial

import pytest
from ledger_world import (
    CREATOR,
    ETHER,
    RELAYER,
    TERMS,
    World,
    digest,
    key,
    owner,
    specification,
)

from flocknode.primitives import ZERO_DIGEST, Address, PeerId
from flocknode.protocol.ledger import TaskCreated, ValidatorKeysSet, ValidatorRegistered
from flocknode.sim.abi import CallReverted
from flocknode.sim.ledger import SimulatedLedger
from flocknode.sim.state import Deployment

PEER = PeerId(b"peer")


def refused(reason: str):
    return pytest.raises(CallReverted, match=f"^{reason}$")


def test_only_the_registrar_admits_an_organisation_and_once():
    ledger = SimulatedLedger()
    registrar = ledger.rules.registrar
    with refused("StakeRegistryNotRegistrar"):
        ledger.admit_organisation(digest("a"), RELAYER, sender=RELAYER)
    with refused("StakeRegistryZero"):
        ledger.admit_organisation(ZERO_DIGEST, RELAYER, sender=registrar)
    ledger.admit_organisation(digest("a"), RELAYER, sender=registrar)
    with refused("StakeRegistryOrganisationKnown"):
        ledger.admit_organisation(digest("a"), CREATOR, sender=registrar)


def test_without_a_registrar_anyone_admits():
    ledger = SimulatedLedger(Deployment(registrar=Address(bytes(20))))
    ledger.admit_organisation(digest("a"), RELAYER, sender=RELAYER)


def test_registration_announces_the_validator_and_its_keys():
    ledger = SimulatedLedger()
    ledger.admit_organisation(digest("a"), owner(0), sender=ledger.rules.registrar)
    signer = key("signer 0")
    with refused("StakeRegistryNotOrganisationOwner"):
        ledger.register(digest("a"), signer, PEER, sender=RELAYER)
    with refused("StakeRegistryPeerLength"):
        ledger.register(digest("a"), signer, PeerId(b""), sender=owner(0))
    with refused("StakeRegistryPeerLength"):
        ledger.register(digest("a"), signer, PeerId(bytes(65)), sender=owner(0))
    assert ledger.register(digest("a"), signer, PEER, sender=owner(0)) == 0
    assert ledger.mine(0).events == (
        ValidatorRegistered(0, owner(0), digest("a")),
        ValidatorKeysSet(0, signer.address, PEER),
    )
    with refused("StakeRegistrySignerKnown"):
        ledger.register(digest("a"), signer, PEER, sender=owner(0))


def test_weight_is_whole_units_of_stake():
    ledger = World().ledger
    assert ledger.validator(0).weight == 100
    ledger.mint(owner(0), 2 * ETHER)
    ledger.stake(0, 2 * ETHER - 1, sender=owner(0))
    assert ledger.validator(0).weight == 101


def test_an_organisations_validators_share_one_cap():
    world = World()
    ledger = world.ledger
    second = ledger.register(digest("organisation 0"), key("signer b"), PEER, sender=owner(0))
    ledger.mint(owner(0), 2_000 * ETHER)
    ledger.stake(second, 950 * ETHER, sender=owner(0))
    assert ledger.validator(second).weight == 900
    ledger.stake(0, 50 * ETHER, sender=owner(0))
    assert ledger.validator(0).weight == 100


def test_only_the_owner_moves_stake():
    ledger = World().ledger
    for validator in (0, 99):
        with refused("StakeRegistryNotOwner"):
            ledger.stake(validator, 1, sender=RELAYER)
        # Who is not the owner has only its own stake to take.
        for take in (
            partial(ledger.request_unstake, validator, 1),
            partial(ledger.withdraw, validator),
        ):
            with refused("StakeRegistryAmount"):
                take(sender=RELAYER)
    with refused("StakeRegistryAmount"):
        ledger.stake(0, 0, sender=owner(0))
    with refused("ERC20InsufficientBalance"):
        ledger.stake(0, 1, sender=owner(0))
    with refused("StakeRegistryUnknownValidator"):
        ledger.refresh_weight(99, sender=RELAYER)


def test_each_request_waits_out_its_own_delay():
    world = World()
    ledger, cold = world.ledger, owner(0)
    delay = ledger.rules.unbonding_seconds
    with refused("StakeRegistryAmount"):
        ledger.request_unstake(0, 101 * ETHER, sender=cold)
    with refused("StakeRegistryAmount"):
        ledger.withdraw(0, sender=cold)
    ledger.request_unstake(0, 30 * ETHER, sender=cold)
    assert ledger.validator(0).weight == 70
    world.at(world.now + 10)
    ledger.request_unstake(0, 10 * ETHER, sender=cold)
    world.at(world.now + delay - 11)
    with refused("StakeRegistryUnbondingNotElapsed"):
        ledger.withdraw(0, sender=cold)
    world.at(world.now + 1)
    assert ledger.withdraw(0, sender=cold) == 30 * ETHER
    world.at(world.now + 10)
    assert ledger.withdraw(0, sender=cold) == 10 * ETHER
    assert ledger.tokens_of(cold) == 40 * ETHER


def test_a_task_is_numbered_from_one_and_announced():
    ledger = SimulatedLedger()
    assert ledger.create_task(specification(), sender=CREATOR) == 1
    assert ledger.create_task(specification(), sender=CREATOR) == 2
    assert ledger.mine(0).events[0] == TaskCreated(
        1, TERMS, digest("configuration"), digest("model 0"), digest("roster")
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"mode": 1}, "Mode"),
        ({"configuration": ZERO_DIGEST}, "ZeroDigest"),
        ({"model_root": ZERO_DIGEST}, "ZeroDigest"),
        ({"roster_root": ZERO_DIGEST}, "ZeroDigest"),
        ({"trainer_share_bps": 10_001}, "Share"),
    ],
)
def test_a_specification_that_cannot_be_meant_is_refused(change, reason):
    with refused(f"TaskRegistry{reason}"):
        SimulatedLedger().create_task(specification(**change), sender=CREATOR)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"trainers": 257}, "Trainers"),
        ({"trainers": 2}, "Trainers"),
        ({"trainers_min": 1}, "Trainers"),
        ({"columns": 0}, "Committee"),
        ({"columns": 11}, "Committee"),  # 33 seats
        ({"epoch_rounds": 0}, "Rounds"),
        ({"attempts_max": 0}, "Rounds"),
        ({"rounds": 0}, "Rounds"),
    ],
)
def test_a_shape_without_rounds_is_refused(change, reason):
    terms = replace(TERMS, **change)
    with refused(f"TaskRegistry{reason}"):
        SimulatedLedger().create_task(specification(terms), sender=CREATOR)


@pytest.mark.parametrize(
    "change",
    [
        {"collect": 0},
        {"abort": 0},
        {"view": 30 * 86400 + 1},
        # Finality takes 5.
        {"view": 5},
        {"demand": 5},
        {"challenge": 5},
    ],
)
def test_a_window_without_time_is_refused(change):
    terms = replace(TERMS, windows=replace(TERMS.windows, **change))
    with refused("TaskRegistryWindow"):
        SimulatedLedger().create_task(specification(terms), sender=CREATOR)


def test_only_finality_may_take_no_time():
    terms = replace(TERMS, windows=replace(TERMS.windows, finality=0))
    assert SimulatedLedger().create_task(specification(terms), sender=CREATOR) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"words": 0}, "Words"),
        ({"width": 24}, "Width"),
        ({"bits": 1}, "Bits"),
        ({"bits": 17}, "Bits"),
        ({"bits": 14}, "RingTooSmall"),  # 6 * 8191 >= 2^15
        ({"tau": 0}, "Tau"),
        ({"tau": 2048}, "Tau"),  # Q = 2047
        ({"weight_max": 0}, "WeightMax"),
        ({"tau": 5}, "WeightMax"),  # 3 * 5 < 16
        ({"scale_bits": 25}, "ScaleBits"),
        ({"numerator": 0}, "Rate"),
        ({"denominator": 0}, "Rate"),
        ({"numerator": 1 << 46}, "StepOverflow"),  # 2^47 * 96 * 511 > 2^62
    ],
)
def test_integers_that_may_overflow_are_refused(change, reason):
    terms = replace(TERMS, integers=replace(TERMS.integers, **change))
    with refused(f"TaskRegistry{reason}"):
        SimulatedLedger().create_task(specification(terms), sender=CREATOR)


def test_the_step_bound_is_exclusive():
    """2 num D_max tau + den D_max is 96 (1022 num + den), as D_max = 6 * 16 and tau = 511."""
    largest = ((1 << 62) - 1) // 96
    for total, is_refused in ((largest, False), (largest + 1, True)):
        numerator = (total - 1) // 1022
        integers = replace(
            TERMS.integers, numerator=numerator, denominator=total - 1022 * numerator
        )
        terms = replace(TERMS, integers=integers)
        if is_refused:
            with refused("TaskRegistryStepOverflow"):
                SimulatedLedger().create_task(specification(terms), sender=CREATOR)
        else:
            assert SimulatedLedger().create_task(specification(terms), sender=CREATOR) == 1
