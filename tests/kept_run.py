"""The directory of a run whose rounds a simulated world settled and whose blocks are made here.

Nodes, ledger and bytes are the world's; only the chain's encoding of its events is this file's. So
a test can let the whole chain tell a lie, hashes and anchor included, which a real one cannot.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import rlp
from eth_abi import encode

from flocknode.chain.abi import load_artifact
from flocknode.chain.archive import ArchivedBlock
from flocknode.chain.bindings import Bindings
from flocknode.chain.deployment import CONTRACTS, Deployment
from flocknode.chain.trie import ordered_root
from flocknode.cli.audit.directory import RunDirectory, blob_name, headers_name
from flocknode.cli.audit.export import export_run
from flocknode.cli.audit.verify import verify_run
from flocknode.cli.task_file import TaskFile
from flocknode.crypto.hashing import sha256
from flocknode.messages.statements import RECORD_BYTES
from flocknode.model.terms import TaskTerms
from flocknode.primitives import Address
from flocknode.protocol.ledger import (
    CommitteeDrawn,
    LedgerEvent,
    ProposalAccepted,
    RoundSettled,
    SetAccepted,
    TaskCreated,
    ValidatorKeysSet,
    ValidatorRegistered,
)
from flocknode.protocol.verification import read_record
from flocknode.sim.world import TASK, World
from tests.builders import task_terms

ROUNDS = 2
REWARD, SHARE_BPS = 10**18, 5_000
COLUMNS = 2

Log = tuple[str, str, dict[str, Any]]
"""Contract, event and its arguments."""
Tell = Callable[[Log], Iterable[Log]]
"""What a chain says in place of one true event."""


def truth(log: Log) -> Iterable[Log]:
    return [log]


@cache
def settled_world() -> World:
    world = World(seed=1, terms=task_terms(columns=COLUMNS, rounds=ROUNDS), validators=7)
    world.run(seconds=60)
    return world


class KeptRun:
    """A run directory in ``path``; ``tell`` replaces events before they are hashed."""

    def __init__(self, path: Path, tell: Tell = truth) -> None:
        world = settled_world()
        self.run = RunDirectory(path)
        self.trainers = [node.key.address for node in world.trainers]
        blobs = {root: data for node in world.nodes for root, data in node.blobs._blobs.items()}
        events = world.events
        sets = [event for event in events if isinstance(event, SetAccepted)]
        self.records = {one.round: blobs[one.inclusion_root] for one in sets}
        addresses = {name: Address(sha256(name.encode())[:20]) for name in CONTRACTS}
        addresses["RoundManager"] = world.domain.verifying_contract
        codes = {name: sha256(b"code of " + name.encode()) for name in CONTRACTS}
        self.deployment = Deployment(world.domain.chain_id, 3, addresses, codes)
        self.task_file = TaskFile(
            "sums", sha256(b"layout"), world.initial_root, world.terms, world.roster
        )
        chain = _Chain(self.deployment, tell)
        for block in world.ledger.progress().blocks:
            chain.mine(_logs(block.events, self.task_file, chain.owners))
        shares = [_shares(sets, events, round_) for round_ in range(ROUNDS)]
        chain.mine(_payments(self, shares, chain.owners, events))
        chain.mine([])
        self.blocks = chain.blocks
        self.run.create()
        needed = {world.initial_root}
        for round_, records in self.records.items():
            self.run.write(headers_name(round_), records)
            needed |= {read_record(leaf)[0].root for leaf in leaves(records)}
        for event in events:
            if isinstance(event, ProposalAccepted):
                needed |= {event.model_root, *event.mask_roots}
        for root in needed:
            self.run.write(blob_name(root), blobs[root])
        self.export()

    def export(self) -> None:
        bindings = Bindings(self.deployment)
        export_run(self.run, bindings, TASK, self.task_file, self.blocks, self.records)

    def files(self) -> list[str]:
        paths = (path for path in self.run.path.rglob("*") if path.is_file())
        return sorted(str(path.relative_to(self.run.path)) for path in paths)


def leaves(records: bytes) -> list[bytes]:
    return [records[at : at + RECORD_BYTES] for at in range(0, len(records), RECORD_BYTES)]


class _Chain:
    """Blocks of one transaction each, from the deployment's first on."""

    def __init__(self, deployment: Deployment, tell: Tell) -> None:
        self._deployment = deployment
        self._tell = tell
        self.blocks: list[ArchivedBlock] = []
        self.owners: dict[int, Address] = {}

    def mine(self, logs: Iterable[Log]) -> None:
        encoded = [self._encode(told) for log in logs for told in self._tell(log)]
        receipts = [b"\2" + rlp.encode([1, 21_000, bytes(256), encoded])] if encoded else []
        number = self._deployment.block + len(self.blocks)
        parent = self.blocks[-1].digest if self.blocks else bytes(32)
        root = ordered_root(receipts)
        names = [parent, bytes(32), bytes(20), bytes(32), bytes(32), root, bytes(256)]
        numbers = [0, number, 60_000_000, 21_000, 1_000 + number]
        header = rlp.encode([*names, *numbers, b"", bytes(32), bytes(8), 7])
        self.blocks.append(ArchivedBlock.build(header, receipts))

    def _encode(self, log: Log) -> list[Any]:
        contract, name, arguments = log
        events = load_artifact(contract).events.items()
        topic, event = next(item for item in events if item[1].name == name)
        topics = [topic, *(encode([kind], [arguments[at]]) for at, kind in event.topics)]
        values = [arguments[at] for at, _ in event.data]
        data = encode([kind for _, kind in event.data], values)
        return [self._deployment.addresses[contract], topics, data]


def _logs(
    events: Iterable[LedgerEvent], task_file: TaskFile, owners: dict[int, Address]
) -> Iterable[Log]:
    for event in events:
        match event:
            case ValidatorRegistered():
                owners[event.validator] = event.owner
                yield "StakeRegistry", "ValidatorRegistered", _arguments(event)
            case ValidatorKeysSet():
                yield "StakeRegistry", "ValidatorKeysSet", _arguments(event)
            case TaskCreated():
                yield from _creation(event, task_file)
            case CommitteeDrawn() | SetAccepted() | ProposalAccepted() | RoundSettled():
                yield "RoundManager", type(event).__name__, _arguments(event)
            case _:
                pass


def _creation(event: TaskCreated, task_file: TaskFile) -> Iterable[Log]:
    terms = _tuple(event.terms)
    roots = (task_file.digest(), event.model_root, event.roster_root)
    someone = "0x" + "cc" * 20
    specification = (terms, 0, *roots, REWARD, SHARE_BPS)
    created = {"task": event.task, "creator": someone, "specification": specification}
    yield "TaskRegistry", "TaskCreated", created
    funded = {"task": event.task, "funder": someone, "rewards": ROUNDS * REWARD, "gasPool": 0}
    yield "RoundManager", "TaskFunded", funded


def _tuple(terms: TaskTerms) -> tuple[Any, ...]:
    def values(one: Any) -> tuple[Any, ...]:
        return tuple(getattr(one, name) for name in one.__slots__)

    integers, windows, *shape = values(terms)
    return (values(integers), values(windows), *shape)


def _arguments(event: LedgerEvent) -> dict[str, Any]:
    """Name an event's fields as the contracts do."""
    found = {}
    for field in type(event).__slots__:
        head, *tail = field.split("_")
        name = head + "".join(part.capitalize() for part in tail)
        found["view_" if name == "view" else name] = getattr(event, field)
    return found


def _shares(sets: list[SetAccepted], events: Iterable[LedgerEvent], round_: int) -> Any:
    """Return a round's set, its proposal, and the two shares: half of the reward each."""
    accepted = next(one for one in sets if one.round == round_)
    proposals = (one for one in events if isinstance(one, ProposalAccepted))
    proposal = next(one for one in proposals if one.round == round_)
    bits = accepted.seats.bit_count() + proposal.seats.bit_count()
    half = REWARD // 2
    return accepted, proposal, half // accepted.trainers.bit_count(), half // bits


def _payments(
    kept: KeptRun, shares: list[Any], owners: dict[int, Address], events: Iterable[LedgerEvent]
) -> Iterable[Log]:
    """Claim for every trainer, and in round 0 for every seat."""
    manager = kept.deployment.addresses["RoundManager"]

    def moved(to: Address, amount: int) -> Log:
        return "FlockToken", "Transfer", {"from": manager, "to": to, "value": amount}

    for round_, (accepted, proposal, each, per_bit) in enumerate(shares):
        for index, trainer in enumerate(kept.trainers):
            if accepted.trainers >> index & 1:
                paid = {"task": TASK, "round": round_, "trainer": trainer, "amount": each}
                yield "RoundPay", "TrainerPaid", paid
                yield moved(trainer, each)
        drawn = next(e for e in events if isinstance(e, CommitteeDrawn) and e.round == round_)
        for seat, validator in enumerate(drawn.committee if round_ == 0 else ()):
            bits = (accepted.seats >> seat & 1) + (proposal.seats >> seat & 1)
            paid = {"task": TASK, "round": round_, "validator": validator, "amount": bits * per_bit}
            yield "RoundPay", "SeatPaid", paid
            yield moved(owners[validator], bits * per_bit)


def flip_bytes(kept: KeptRun, count: int, seed: int) -> Counter[str]:
    """Flip one byte at a time, ``count`` times; return how often each kind of file was hit.

    Every flip must be laid at its own file's door, and at no other's.
    """
    random = Random(seed)
    kinds: dict[str, list[str]] = {}
    for name in kept.files():
        kinds.setdefault(name.split("/")[0], []).append(name)
    hits: Counter[str] = Counter()
    for _ in range(count):
        kind = random.choice(sorted(kinds))
        name = random.choice(kinds[kind])
        path = kept.run.path / name
        data = path.read_bytes()
        at, change = random.randrange(len(data)), random.randrange(1, 256)
        path.write_bytes(data[:at] + bytes([data[at] ^ change]) + data[at + 1 :])
        faults = verify_run(kept.run).faults
        path.write_bytes(data)
        told = [fault.file for fault in faults]
        assert told == [name], f"byte {at} of {name} ^ {change} (seed {seed}): {told}"
        hits[kind] += 1
    assert hits.keys() == kinds.keys()
    return hits
