"""Sets the stage: chain, contracts, members, task; then every node from its own directory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from flocknode.chain.bindings import Bindings
from flocknode.chain.client import ChainClient
from flocknode.chain.connection import Connection, Connections
from flocknode.chain.deploy import (
    COIN,
    Enrolment,
    NetworkTerms,
    TaskPlan,
    admit,
    create_task,
    deploy_contracts,
    enrol,
    fund,
)
from flocknode.chain.deployment import Deployment
from flocknode.chain.devchain import DevChain, development_chain
from flocknode.chain.heads import Heads, connected
from flocknode.chain.sender import Sender
from flocknode.cli.demo.members import (
    Common,
    Member,
    ValidatorMember,
    choose_neighbours,
    configure,
    create_trainer,
    create_validator,
)
from flocknode.cli.demo.plan import (
    BLOCK_SECONDS,
    FINALITY_BLOCKS,
    GAS_POOL,
    REWARD_PER_ROUND,
    TRAINER_SHARE_BPS,
    DemoOptions,
)
from flocknode.cli.node_config import SHARD
from flocknode.cli.task_file import TaskFile
from flocknode.crypto.hashing import keccak256
from flocknode.crypto.merkle import TreeKind, tree_root
from flocknode.crypto.signing import SigningKey
from flocknode.crypto.suites import SUITES
from flocknode.learning.jobs import PrepareJob
from flocknode.learning.pool import Prepared, TrainerPool
from flocknode.model.words import words_bytes
from flocknode.primitives import Wei
from flocknode.protocol.roster import Roster, RosterEntry
from flocknode.protocol.round import RoundMachine
from flocknode.sim.lies import Colluding, Lie

if TYPE_CHECKING:
    from flocknode.cli.assembly import Node
    from flocknode.sim.liars import Plot

HELD_OUT = "held-out.npz"
CHAIN_FOLDER = "devchain"
"""What the development chain writes for itself."""


@dataclass(slots=True)
class Stage:
    """Everything that the demo started, for the rest of it to use."""

    directory: Path
    options: DemoOptions
    pool: TrainerPool
    chain: DevChain
    client: ChainClient
    heads: Heads
    creator: Sender
    trainers: list[Member]
    validators: list[ValidatorMember]
    prepared: Prepared
    deployment: Deployment
    bindings: Bindings
    task_file: TaskFile
    task: int
    nodes: "list[Node]" = field(default_factory=list)

    def contributions_seen(self) -> int:
        """Return how many contributions the best informed seat holds."""
        return max(node.machine.contributions for node in self.nodes)

    @property
    def held_out(self) -> str:
        return str(self.directory / HELD_OUT)

    @property
    def connection(self) -> Connection:
        return Connection.of(self.client, self.heads, self.bindings)

    @property
    def shards(self) -> tuple[str, ...]:
        return tuple(str(member.directory / SHARD) for member in self.trainers)

    @property
    def initial_model(self) -> bytes:
        return bytes(words_bytes(self.prepared.words))


@dataclass(frozen=True, slots=True)
class Grounds:
    """What runs beneath the nodes: training processes and a development chain."""

    directory: Path
    pool: TrainerPool
    chain: DevChain
    client: ChainClient
    heads: Heads


@asynccontextmanager
async def open_grounds(directory: Path, pool: TrainerPool, kind: str) -> AsyncIterator[Grounds]:
    """Start the chain; leaving ends it."""
    opening = development_chain(
        directory / CHAIN_FOLDER, BLOCK_SECONDS, finality_blocks=FINALITY_BLOCKS, kind=kind
    )
    async with opening as chain, connected(chain.url) as (client, heads):
        yield Grounds(directory, pool, chain, client, heads)


async def set_stage(grounds: Grounds, options: DemoOptions) -> Stage:
    """Deploy, enrol, divide the data, publish the task."""
    directory, pool, chain = grounds.directory, grounds.pool, grounds.chain
    client, heads = grounds.client, grounds.heads
    trainers = [create_trainer(directory / f"trainer-{i:02}") for i in range(options.trainers)]
    validators = _create_validators(directory, options, options.ports())
    creator = Sender(client, heads, chain.faucet, chain.chain_id)
    shards = tuple(str(member.directory / SHARD) for member in trainers)
    job = PrepareJob(options.task, shards, str(directory / HELD_OUT), options.seed)
    async with trio.open_nursery() as together:
        deployment: Deployment = await together.start(
            _build_network, grounds, creator, validators, options
        )
        bindings = Bindings(deployment)
        prepared = await pool.prepare(job)
        task_file = _task_file(options, prepared, trainers)
        task = await create_task(bindings, creator, _task_plan(task_file))
    return Stage(
        directory,
        options,
        pool,
        chain,
        client,
        heads,
        creator,
        trainers,
        validators,
        prepared,
        deployment,
        bindings,
        task_file,
        task,
    )


def _create_validators(
    directory: Path, options: DemoOptions, ports: list[int]
) -> list[ValidatorMember]:
    owners: dict[int, SigningKey] = {}
    validators = []
    for place in range(options.validators):
        organisation = options.organisation_of(place)
        path = directory / f"validator-{place:02}"
        owner = owners.get(organisation)
        one = create_validator(path, ports[place], owner, options.onion_layers)
        owners[organisation] = one.owner
        validators.append(one)
    return validators


async def _build_network(
    grounds: Grounds,
    creator: Sender,
    validators: list[ValidatorMember],
    options: DemoOptions,
    # libp2p installs outdated stubs that hide this name of trio's from mypy.
    task_status: trio.TaskStatus[Deployment],  # type: ignore[name-defined]
) -> None:
    """Deploy the contracts, tell of it, and enrol the validators with unequal stakes."""
    chain, client, heads = grounds.chain, grounds.client, grounds.heads
    terms = NetworkTerms(registrar=creator.address, treasury=creator.address, members_min=3)
    deployment = await deploy_contracts(client, creator, chain.chain_id, terms)
    task_status.started(deployment)
    keys = {key.address: key for one in validators for key in (one.owner, one.member.key)}
    bindings = Bindings(deployment)
    senders = {
        address: Sender(client, heads, key, chain.chain_id, bindings.artifacts)
        for address, key in keys.items()
    }
    enrolments = [
        Enrolment(
            owner=senders[one.owner.address],
            signer=senders[one.member.key.address],
            organisation=keccak256(f"organisation {options.organisation_of(place)}".encode()),
            peer=one.member.peer,
            stake=Wei((2_000 + 500 * place) * COIN),
            onion_tip=one.onion.tip if one.onion else None,
        )
        for place, one in enumerate(validators)
    ]
    async with trio.open_nursery() as first:
        first.start_soon(fund, creator, list(keys), Wei(100 * COIN))
        first.start_soon(admit, bindings, creator, enrolments)
    await enrol(bindings, terms.bond, enrolments)


def _task_file(options: DemoOptions, prepared: Prepared, trainers: list[Member]) -> TaskFile:
    entries = tuple(
        RosterEntry(index, member.key.address, weight, member.peer)
        for index, (member, weight) in enumerate(zip(trainers, prepared.weights, strict=True))
    )
    initial = tree_root(TreeKind.MODEL, words_bytes(prepared.words))
    return TaskFile(
        options.task,
        prepared.layout.digest,
        initial,
        options.terms(prepared.terms),
        Roster(entries),
        SUITES[options.suite],
    )


def _task_plan(task_file: TaskFile) -> TaskPlan:
    return TaskPlan(
        terms=task_file.terms,
        configuration=task_file.digest(),
        model_root=task_file.initial_model,
        roster_root=task_file.roster.root(),
        reward_per_round=Wei(REWARD_PER_ROUND),
        trainer_share_bps=TRAINER_SHARE_BPS,
        gas_pool=Wei(GAS_POOL),
    )


def configure_nodes(stage: Stage) -> list[Member]:
    """Write the public files of every node's directory; return the members, trainers first."""
    validators = [one.member for one in stage.validators]
    members = [*stage.trainers, *validators]
    common = Common(
        rpc=(stage.chain.url,),
        deployment=stage.deployment,
        task=stage.task,
        task_file=stage.task_file,
        initial_model=stage.initial_model,
        poll_seconds=0.95 * BLOCK_SECONDS,
        seed=stage.options.seed,
    )
    neighbours = choose_neighbours(stage.trainers, validators)
    links = tuple(member.address for member in validators)
    for member in members:
        configure(member, common, links, neighbours[member.peer])
    return members


async def start_nodes(stage: Stage, nursery: trio.Nursery) -> None:
    """Write every directory, open every node from it, and wait until all exchange gossip.

    The direct links follow while the first committee is drawn, its own first.
    """
    from flocknode.cli.assembly import Node

    members = configure_nodes(stage)
    # Directories that are thrown away need no disk; two dozen nodes would wait for its syncs.
    durable = stage.options.keep is not None
    chains = Connections(nursery)
    stage.nodes = [
        Node.open(member.directory, stage.pool, chains, durable=durable) for member in members
    ]
    plot = _plot(stage)
    if plot:
        for node in stage.nodes:
            assert isinstance(node.machine, RoundMachine)
            node.machine = plot.wrap(node.machine, node.key, node.blobs)
    async with trio.open_nursery() as starting:
        for node in stage.nodes:
            starting.start_soon(nursery.start, node.run)
    await _wait_joined(stage.nodes)


def _plot(stage: Stage) -> "Plot | None":
    """Return who lies about what, if somebody is to lie."""
    options = stage.options
    if options.liar is None:
        return None
    from flocknode.sim.liars import Plot

    lie, domain = Lie(options.liar), stage.deployment.domain
    # The first missed duty costs no stake.
    rounds = frozenset({0, 1} if lie is Lie.SILENT else {0})
    return Plot(lie, Colluding(options.colluding), domain, rounds)


async def _wait_joined(nodes: "list[Node]") -> None:
    for node in nodes:
        while not node.has_joined:  # noqa: ASYNC110  # the library tells nobody
            await trio.sleep(0.02)
