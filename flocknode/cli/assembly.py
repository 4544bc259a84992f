"""One node, put together from its data directory and nothing else."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import trio

from flocknode.chain.connection import Connections
from flocknode.chain.deployment import Deployment, load_deployment
from flocknode.chain.drand_rounds import RoundSource, open_source
from flocknode.chain.keystore import load_key, read_secret
from flocknode.chain.ledger import ChainLedger, open_ledger
from flocknode.chain.onion import Onion, load_onion
from flocknode.cli.node_config import (
    DEPLOYMENT,
    INITIAL_MODEL,
    LISTENS_ON_NOTHING,
    NETWORK_KEY,
    ONION,
    SHARD,
    SIGNING_KEY,
    TASK,
    NodeConfig,
    load_node_config,
)
from flocknode.cli.task_file import TaskFile, load_task_file
from flocknode.crypto.hashing import sha256
from flocknode.crypto.merkle import TreeKind, tree_root
from flocknode.crypto.signing import SigningKey
from flocknode.errors import ConfigurationError
from flocknode.learning.pool import TrainerPool
from flocknode.learning.trainer import LocalTrainer
from flocknode.messages.verdict import Verdict
from flocknode.node.blobs import MemoryBlobs
from flocknode.node.memory import MemoryStorage
from flocknode.node.recollection import Recollection
from flocknode.node.service import TOPIC, Machine, NodeService
from flocknode.node.signer import SlotSigner
from flocknode.node.vault import Vault
from flocknode.p2p.identity import parse_address
from flocknode.p2p.network import Network
from flocknode.primitives import PeerId
from flocknode.protocol.round import RoundMachine
from flocknode.storage.blobs import DiskBlobs
from flocknode.storage.consent import ConsentFile
from flocknode.storage.directory import Storage


@dataclass(slots=True)
class Node:
    """A running node's parts, for whoever started it to look at."""

    directory: Path
    config: NodeConfig
    task: TaskFile
    deployment: Deployment
    key: SigningKey
    network: Network
    storage: Storage | MemoryStorage
    machine: Machine
    vault: Vault
    judge: "Judge"
    pool: TrainerPool | None
    chains: Connections | None
    rounds: tuple[RoundSource, ...]
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)

    @property
    def blobs(self) -> DiskBlobs | MemoryBlobs:
        return self.storage.blobs

    @property
    def has_joined(self) -> bool:
        """Tell whether this node exchanges gossip with anybody."""
        return bool(self.network.mesh(TOPIC))

    @classmethod
    def open(
        cls,
        directory: Path,
        pool: TrainerPool | None = None,
        chains: Connections | None = None,
        *,
        durable: bool,
    ) -> Self:
        """Read the directory; raise ``ConfigurationError`` if something in it is amiss.

        ``pool`` and ``chains`` are what the nodes of one process share. A node that is not
        ``durable`` remembers in memory what it signed, drew and heard: it must never be started on
        this directory again.
        """
        config = load_node_config(directory)
        task = load_task_file(directory / TASK)
        deployment = load_deployment(directory / DEPLOYMENT)
        key = load_key(directory / SIGNING_KEY)
        initial_model = _initial_model(directory, task)
        judge = Judge()
        network_seed = load_network_seed(directory)
        storage = Storage.open(directory, key.address) if durable else MemoryStorage()
        storage.blobs.put(task.initial_model, initial_model, sync=True)
        machine = RoundMachine(
            key.address,
            deployment.domain,
            task.agreed(config.task),
            task.roster,
            task.suite,
        )
        network = _network(config, network_seed, machine, storage, judge)
        rounding = _rounding(config, task, key)
        vault = Vault(storage.blobs, storage.secrets, storage.protection, rounding=rounding)
        return cls(
            *(directory, config, task, deployment, key, network, storage, machine, vault),
            *(judge, pool, chains, tuple(open_source(name, directory) for name in config.drand)),
        )

    async def run(self, task_status: "trio.TaskStatus[None]" = trio.TASK_STATUS_IGNORED) -> None:  # type: ignore[name-defined]
        """Listen, follow the chain and do this node's duties until cancelled or closed.

        Its directory is given up then: to run again, open it again.
        """
        try:
            await self._run(task_status)
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self.storage.close)

    async def _run(self, task_status: "trio.TaskStatus[None]") -> None:  # type: ignore[name-defined]
        onion_path = self.directory / ONION
        onion = load_onion(onion_path) if onion_path.exists() else None
        with self.scope:
            async with self._ledger(onion) as chain, trio.open_nursery() as nursery:
                service = self._service(chain)
                self.judge.service = service
                await nursery.start(self.network.run)
                self.network.begin_with(dict(map(parse_address, self.config.links)))
                if neighbours := dict(map(parse_address, self.config.neighbours)):
                    self.network.know(neighbours)
                    self.network.neighbours(neighbours)
                else:
                    nursery.start_soon(self.network.find_neighbours)
                nursery.start_soon(service.run)
                if self._proves_rounds():
                    nursery.start_soon(chain.prover(self.config.task, self.rounds).run)
                task_status.started()

    @asynccontextmanager
    async def _ledger(self, onion: Onion | None) -> AsyncIterator[ChainLedger]:
        config = self.config
        async with AsyncExitStack() as stack:
            chains = self.chains
            if chains is None:
                chains = await stack.enter_async_context(Connections.opened())
            connection = await chains.to(config.rpc, self.deployment, config.poll_seconds)
            yield await stack.enter_async_context(
                open_ledger(connection, self.key, onion, self.storage.outbox)
            )

    def _proves_rounds(self) -> bool:
        """Tell whether draws wait for rounds that this node can bring."""
        is_trainer = self.task.roster.entry_of(self.key.address) is not None
        return self.deployment.beacon == "DrandBeacon" and bool(self.rounds) and not is_trainer

    def close(self) -> None:
        """Stop this node; its peers see its host go."""
        self.scope.cancel()

    def _service(self, ledger: ChainLedger) -> NodeService:
        return NodeService(
            self.machine,
            task=self.config.task,
            domain=self.deployment.domain,
            network=self.network,
            ledger=ledger,
            signer=SlotSigner(self.key, self.deployment.domain, self.storage.protection),
            vault=self.vault,
            blobs=self.blobs,
            journal=self.storage.journal,
            consent=ConsentFile(self.directory),
            recollection=Recollection(self.key.address, self.storage.protection),
            trainer=self._trainer(),
        )

    def _trainer(self) -> LocalTrainer | None:
        entry = self.task.roster.entry_of(self.key.address)
        if entry is None:
            return None
        if self.pool is None:
            raise ConfigurationError("a trainer has no training process", "start it with one")
        seed = self.config.seed if self.config.seed is not None else 0
        shard = str(self.directory / SHARD)
        return LocalTrainer(self.pool, self.task.recipe, shard, seed, entry.index)


def _network(
    config: NodeConfig,
    seed: bytes,
    machine: RoundMachine,
    storage: Storage | MemoryStorage,
    judge: "Judge",
) -> Network:
    """Return a network that lets in the roster, the configured peers and, later, the validators."""
    configured = frozenset(
        peer for peer, _ in map(parse_address, (*config.links, *config.neighbours))
    )
    network = Network(
        seed,
        None if config.listen == LISTENS_ON_NOTHING else config.listen,
        validate=judge,
        may_link=machine.is_member,
        blobs=storage.blobs,
        topics=(TOPIC,),
        bans=storage.bans,
        guests=configured,
        is_open=config.watchers,
        announce=config.announce,
        multicast_on=None if config.mdns else (),
    )
    network.admit(machine.trainers)
    return network


class Judge:
    """Judges gossip once the service runs; until then nothing is forwarded."""

    def __init__(self) -> None:
        self.service: NodeService | None = None

    def __call__(self, author: PeerId, topic: str, payload: bytes) -> Verdict:
        del topic
        return self.service.judge(author, payload) if self.service else Verdict.IGNORE


def load_network_seed(directory: Path) -> bytes:
    """Read the Ed25519 seed of the node's network key."""
    path = directory / NETWORK_KEY
    try:
        seed = bytes.fromhex(read_secret(path).decode("ascii").strip())
    except ValueError:
        seed = b""
    if len(seed) != 32:
        raise ConfigurationError(f"{path} holds no network key", "restore it from a backup")
    return seed


def _initial_model(directory: Path, task: TaskFile) -> bytes:
    path = directory / INITIAL_MODEL
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"cannot read {path}: {error.strerror}", "fetch it from the task's creator"
        ) from error
    if not data or tree_root(TreeKind.MODEL, data) != task.initial_model:
        raise ConfigurationError(
            f"{path} is not the task's initial model", "fetch it from the task's creator"
        )
    return data


def _rounding(config: NodeConfig, task: TaskFile, key: SigningKey) -> Callable[[int], bytes] | None:
    """Return the dither of a repeatable run, whose deltas are no secret; None for a real one."""
    entry = task.roster.entry_of(key.address)
    if config.seed is None or entry is None:
        return None
    prefix = f"flocknode rounding {config.seed} {entry.index}"
    return lambda round_: sha256(f"{prefix} {round_}".encode())
