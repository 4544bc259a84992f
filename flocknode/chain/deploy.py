"""Sets up a network: contracts, funds, organisations, validators, tasks.

Transactions of one key are sent without waiting in between, those of different keys at the same
time; a step waits only for what it needs to know. Twelve validators take five blocks.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, TypeVar

import trio

from flocknode.chain.abi import load_artifact
from flocknode.chain.bindings import Bindings
from flocknode.chain.client import ChainClient
from flocknode.chain.deployment import Deployment, contract_names, describe
from flocknode.chain.errors import CallReverted
from flocknode.chain.sender import NOTHING, Receipt, Request, Sender
from flocknode.chain.transaction import created_address
from flocknode.model.terms import TaskTerms
from flocknode.primitives import Address, Digest, PeerId, Wei
from flocknode.protocol.ledger import TaskCreated, ValidatorRegistered

if TYPE_CHECKING:
    from flocknode.chain.drand import DrandNetwork

COIN = 10**18
STAKE_MIN = Wei(1_000 * COIN)
STAKE_CAP = Wei(100_000 * COIN)
SLASH_CAP_BPS = 5_000
"""One round takes at most half of what a validator holds."""
NOBODY = Address(bytes(20))
BOND = Wei(COIN)
CHALLENGE_BOND = Wei(COIN // 100)
GAS_PRICE_MAX = Wei(100 * 10**9)
CREATION_GAS = 8_000_000
SETUP_GAS = 500_000
TRANSFER_GAS = 21_000

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class DrandTerms:
    """Which drand network a deployment trusts, and how long it waits."""

    network: "DrandNetwork"
    lead_seconds: int = 30
    """A request names a round that is published so much later: more than clocks can differ."""
    prove_seconds: int = 600
    """A request fails if nobody has brought its round's signature by then."""


@dataclass(frozen=True, slots=True)
class NetworkTerms:
    """What the contracts of a network are created with; amounts are in the smallest unit."""

    registrar: Address
    """Admits organisations; twenty zero bytes let anyone in."""
    treasury: Address
    """Receives forfeited bonds and what is slashed, less the finders' shares."""
    guardian: Address = NOBODY
    """May pause entries; twenty zero bytes let nobody."""
    stake_min: Wei = STAKE_MIN
    stake_cap: Wei = STAKE_CAP
    unbonding_seconds: int = 7 * 24 * 3600
    slash_cap_bps: int = SLASH_CAP_BPS
    bond: Wei = BOND
    challenge_bond: Wei = CHALLENGE_BOND
    """Of a challenge, a demand, an accusation or a question; in native coin."""
    reveal_seconds: int = 30
    members_min: int = 4
    drand: DrandTerms | None = None
    """Draw by a drand network's rounds and not by the validators' onions."""
    gas_price_max: Wei = GAS_PRICE_MAX
    """Refunds are paid at most at this price."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """One validator to be: its cold owner, its hot signer and what it commits to."""

    owner: Sender
    signer: Sender
    organisation: Digest
    peer: PeerId
    stake: Wei
    onion_tip: Digest | None
    """None where there is no beacon of onions, and for all but the first validator of an
    organisation, which has one beacon member."""


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """A task to be created and paid for."""

    terms: TaskTerms
    configuration: Digest
    model_root: Digest
    roster_root: Digest
    reward_per_round: Wei
    trainer_share_bps: int
    gas_pool: Wei


async def deploy_contracts(
    client: ChainClient, deployer: Sender, chain_id: int, terms: NetworkTerms
) -> Deployment:
    """Create all contracts in one block, each knowing the others' foretold addresses."""
    nonce = await deployer.next_nonce()
    names = contract_names("DrandBeacon" if terms.drand else "CommitRevealBeacon")
    addresses = {
        name: created_address(deployer.address, nonce + index) for index, name in enumerate(names)
    }
    arguments = constructor_arguments(terms, addresses)
    requests = [
        Request(None, load_artifact(name).creation_data(arguments[name]), CREATION_GAS)
        for name in names
    ]
    receipts = await send_all(deployer, requests)
    return await describe(client, chain_id, receipts[0].block, addresses)


def constructor_arguments(
    terms: NetworkTerms, at: dict[str, Address]
) -> dict[str, tuple[object, ...]]:
    token, registry, manager = at["FlockToken"], at["StakeRegistry"], at["RoundManager"]
    beacon, arguments = _beacon_arguments(terms, registry, manager)
    tasks, slashing, duties = at["TaskRegistry"], at["SlashingManager"], at["DutyManager"]
    pay = at["RoundPay"]
    return {
        "FlockToken": (),
        "StakeRegistry": (
            token,
            (terms.registrar, manager, slashing, pay, terms.treasury, terms.guardian),
            (terms.stake_min, terms.stake_cap, terms.unbonding_seconds, terms.slash_cap_bps),
        ),
        beacon: arguments,
        "TaskRegistry": (),
        "RoundManager": (
            *(token, registry, at[beacon], tasks),
            *(slashing, duties, pay, terms.gas_price_max),
        ),
        "SlashingManager": (manager, registry, tasks, duties, terms.challenge_bond),
        "DutyManager": (manager, registry, tasks, slashing, terms.challenge_bond),
        "RoundPay": (manager, registry, tasks),
    }


def _beacon_arguments(
    terms: NetworkTerms, registry: Address, manager: Address
) -> tuple[str, tuple[object, ...]]:
    if terms.drand is None:
        return "CommitRevealBeacon", (
            *(registry, manager, terms.treasury, terms.bond, terms.reveal_seconds),
            terms.members_min,
        )
    from flocknode.chain.drand import g2_words  # noqa: PLC0415  # it takes half a second

    drand, network = terms.drand, terms.drand.network
    return "DrandBeacon", (
        *(manager, terms.treasury),
        (g2_words(network.public_key), network.dst, network.genesis, network.period),
        *(drand.lead_seconds, drand.prove_seconds),
    )


async def admit(bindings: Bindings, registrar: Sender, enrolments: Sequence[Enrolment]) -> None:
    """Admit every organisation and give its owner tokens, which are play money."""
    organisations = {one.organisation: one for one in enrolments}.values()
    await send_all(registrar, [it for one in organisations for it in _admission(bindings, one)])


async def enrol(bindings: Bindings, bond: Wei, enrolments: Sequence[Enrolment]) -> list[int]:
    """Register, stake and, with onions, commit; return the ids in the order given.

    Validators of one organisation share its owner, and so one ``Sender``. Owners are admitted, and
    they and signers have native coin.
    """
    stakes = Counter[Address]()
    for one in enrolments:
        stakes[one.owner.address] += one.stake
    registered = await at_once(
        enrolments,
        lambda one: send_all(
            one.owner, _registration(bindings, one, Wei(stakes[one.owner.address]))
        ),
    )
    ids = [_validator(bindings, receipts[-1]) for receipts in registered]
    pairs = list(zip(ids, enrolments, strict=True))
    await at_once(
        pairs,
        lambda pair: pair[1].owner.transact(
            _setup(bindings, "StakeRegistry", "stake", pair[0], pair[1].stake)
        ),
    )
    members = [pair for pair in pairs if pair[1].onion_tip is not None]
    await at_once(members, lambda pair: pair[1].signer.transact(_commitment(bindings, bond, *pair)))
    return ids


def _admission(bindings: Bindings, one: Enrolment) -> list[Request]:
    owner = one.owner.address
    return [
        _setup(bindings, "StakeRegistry", "admitOrganisation", one.organisation, owner),
        _setup(bindings, "FlockToken", "faucet", owner),
    ]


def _registration(bindings: Bindings, one: Enrolment, allowance: Wei) -> list[Request]:
    registry = bindings.deployment.addresses["StakeRegistry"]
    domain = bindings.deployment.stake_domain
    consent = one.signer.consent(domain, one.owner.address, one.organisation, one.peer)
    keys = (one.organisation, one.signer.address, one.peer, consent)
    return [
        _setup(bindings, "FlockToken", "approve", registry, allowance),
        _setup(bindings, "StakeRegistry", "register", *keys),
    ]


def _commitment(bindings: Bindings, bond: Wei, validator: int, one: Enrolment) -> Request:
    arguments = (validator, one.onion_tip)
    return _setup(bindings, "CommitRevealBeacon", "commit", *arguments, value=bond)


def _validator(bindings: Bindings, receipt: Receipt) -> int:
    events = (bindings.decode(log) for log in receipt.logs)
    return next(event.validator for event in events if isinstance(event, ValidatorRegistered))


async def create_task(bindings: Bindings, creator: Sender, plan: TaskPlan) -> int:
    """Publish a task and fund all its rounds from the token's faucet; return its id.

    Its first round is opened by a validator.
    """
    rewards = plan.reward_per_round * plan.terms.rounds
    manager = bindings.deployment.addresses["RoundManager"]
    receipts = await send_all(
        creator,
        [
            _setup(bindings, "FlockToken", "faucet", creator.address),
            _setup(bindings, "FlockToken", "approve", manager, rewards),
            _setup(bindings, "TaskRegistry", "createTask", _specification(plan)),
        ],
    )
    events = (bindings.decode(log) for log in receipts[-1].logs)
    task = next(event.task for event in events if isinstance(event, TaskCreated))
    await creator.transact(
        _setup(bindings, "RoundManager", "fund", task, rewards, value=plan.gas_pool)
    )
    return task


def _specification(plan: TaskPlan) -> tuple[object, ...]:
    sealed_mode = 0
    return (
        astuple(plan.terms),
        *(sealed_mode, plan.configuration, plan.model_root, plan.roster_root),
        *(plan.reward_per_round, plan.trainer_share_bps),
    )


async def fund(faucet: Sender, accounts: Sequence[Address], amount: Wei) -> None:
    """Give every account native coin."""
    await send_all(faucet, [Request(it, b"", TRANSFER_GAS, amount) for it in accounts])


async def send_all(sender: Sender, requests: Sequence[Request]) -> list[Receipt]:
    """Send in order without waiting in between, then wait for all; raises the first revert."""
    underway = [await sender.send(request) for request in requests]
    receipts, reverted = [], []
    for pending in underway:
        try:
            receipts.append(await sender.confirm(pending))
        except CallReverted as error:
            reverted.append(error)
    if reverted:
        raise reverted[0]
    return receipts


async def at_once(items: Sequence[T], act: Callable[[T], Awaitable[R]]) -> list[R]:
    """Act on all items concurrently; return the results in order, raise failures as a group."""
    results: dict[int, R] = {}

    async def one(index: int, item: T) -> None:
        results[index] = await act(item)

    async with trio.open_nursery() as nursery:
        for index, item in enumerate(items):
            nursery.start_soon(one, index, item)
    return [results[index] for index in range(len(items))]


def _setup(
    bindings: Bindings, contract: str, function: str, *arguments: object, value: Wei = NOTHING
) -> Request:
    return bindings.request(contract, function, *arguments, gas=SETUP_GAS, value=value)
