"""The bytecode and the reference draw the same committee from the same weights."""

import random

from flocknode.chain.bindings import Bindings
from flocknode.chain.deploy import (
    COIN,
    Enrolment,
    NetworkTerms,
    admit,
    deploy_contracts,
    enrol,
)
from flocknode.chain.errors import CallReverted
from flocknode.chain.reader import Reader
from flocknode.chain.sender import Sender
from flocknode.crypto.hashing import keccak256
from flocknode.primitives import Digest, PeerId, Wei
from flocknode.sim.abi import CallReverted as ReferenceReverted
from flocknode.sim.draw import draw_committee

STAKES = (1_000, 2_500, 40_000, 1_000, 7_000, 999_000, 3_000, 1_200)
ORGANISATIONS = (0, 1, 2, 3, 4, 5, 1, 2)
"""Two organisations have two validators each."""


async def test_bytecode_and_reference_draw_the_same_committees(bench) -> None:
    deployer = await bench.sender()
    terms = NetworkTerms(registrar=deployer.address, treasury=deployer.address, members_min=3)
    deployment = await deploy_contracts(bench.client, deployer, bench.chain.chain_id, terms)
    bindings = Bindings(deployment)
    owners: dict[int, Sender] = {}
    enrolments = []
    for place, (stake, organisation) in enumerate(zip(STAKES, ORGANISATIONS, strict=True)):
        first = organisation not in owners
        owners.setdefault(organisation, await bench.sender())
        enrolments.append(
            Enrolment(
                owner=owners[organisation],
                signer=await bench.sender(),
                organisation=keccak256(bytes([organisation])),
                peer=PeerId(bytes([place]) * 34),
                stake=Wei(stake * COIN),
                onion_tip=Digest(bytes([place + 1]) * 32) if first else None,
            )
        )
    await admit(bindings, deployer, enrolments)
    await enrol(bindings, terms.bond, enrolments)
    reader = Reader(bench.client, deployment)

    async def each(function: str) -> list:
        views = [await reader.view("StakeRegistry", function, i) for i in range(len(STAKES))]
        return [value for (value,) in views]

    weights, organisations = await each("weightOf"), await each("organisationOf")
    rng = random.Random(5)
    for _ in range(40):
        seed = Digest(rng.randbytes(32))
        seats = rng.randrange(1, 7)
        excluded = rng.sample(range(len(STAKES)), rng.randrange(3))
        expected = _reference(seed, weights, organisations, seats, excluded)
        assert await _bytecode(reader, seed, seats, excluded) == expected


def _reference(seed, weights, organisations, seats, excluded) -> tuple[int, ...] | str:
    try:
        return draw_committee(seed, weights, organisations, seats, excluded)
    except ReferenceReverted as reverted:
        return reverted.reason


async def _bytecode(reader: Reader, seed, seats, excluded) -> tuple[int, ...] | str:
    try:
        (drawn,) = await reader.view("StakeRegistry", "draw", seed, seats, excluded)
    except CallReverted as reverted:
        return reverted.error
    return tuple(drawn)
