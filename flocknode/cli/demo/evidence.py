"""A stranger gathers the public bytes of settled rounds; another process recomputes them."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import trio

from flocknode.chain.archive import fetch_blocks
from flocknode.cli.audit.directory import RunDirectory, blob_name, headers_name
from flocknode.cli.audit.export import export_run
from flocknode.cli.demo.stage import Stage
from flocknode.cli.demo.watch import RoundRecord
from flocknode.crypto.merkle import LEAF_BYTES, TreeKind
from flocknode.errors import FlockError
from flocknode.messages.statements import RECORD_BYTES
from flocknode.messages.verdict import Verdict
from flocknode.node.blobs import MemoryBlobs, MemoryDraft
from flocknode.node.memory import MemoryBans
from flocknode.node.service import TOPIC
from flocknode.p2p.network import Network
from flocknode.primitives import Digest, PeerId
from flocknode.protocol.chain_view import ChainView
from flocknode.protocol.verification import read_record


@dataclass(frozen=True, slots=True)
class AuditFigures:
    """What the auditing process came to; ``faults`` name the files that are wrong."""

    rounds_verified: int
    receipts_expected: int
    receipts_verified: int
    faults: tuple[str, ...]


class Collector:
    """Pulls by root from each round's seats and writes what came as it came."""

    def __init__(self, network: Network, stage: Stage) -> None:
        self._network = network
        self._run = RunDirectory(stage.directory)
        terms = stage.task_file.terms.integers
        self._vector_bytes = terms.words * terms.width // 8
        self._model_bytes = 4 * terms.words
        self.records: dict[int, bytes] = {}
        """Inclusion records by round."""

    async def collect(self, record: RoundRecord, view: ChainView) -> None:
        """Write one round's headers, vectors, mask sums and the model that it gave."""
        accepted, number = record.accepted, record.settled.round
        seats = [view.validators[validator].peer for validator in record.drawn.committee]
        length = accepted.trainers.bit_count() * RECORD_BYTES
        root, kind = accepted.inclusion_root, TreeKind.INCLUSION
        records = await self._pull(root, kind, length, seats, RECORD_BYTES)
        await self._write(headers_name(number), records)
        self.records[number] = records
        for start in range(0, length, RECORD_BYTES):
            header, _ = read_record(records[start : start + RECORD_BYTES])
            await self._keep(header.root, TreeKind.MASKED_VECTOR, self._vector_bytes, seats)
        for root in record.proposal.mask_roots:
            await self._keep(root, TreeKind.MASK_SUM, self._vector_bytes, seats)
        await self._keep(record.settled.model_root, TreeKind.MODEL, self._model_bytes, seats)

    async def _keep(
        self, root: Digest, kind: TreeKind, length: int, seats: Sequence[PeerId]
    ) -> None:
        await self._write(blob_name(root), await self._pull(root, kind, length, seats))

    async def _write(self, name: str, data: bytes) -> None:
        await trio.to_thread.run_sync(self._run.write, name, data)

    async def _pull(
        self,
        root: Digest,
        kind: TreeKind,
        length: int,
        seats: Sequence[PeerId],
        leaf_bytes: int = LEAF_BYTES,
    ) -> bytes:
        draft = MemoryDraft(length)
        await self._network.fetch(root, kind, length, seats, draft, leaf_bytes)
        return bytes(draft.take())


async def collect_rounds(
    stage: Stage, records: Sequence[RoundRecord], view: ChainView, nursery: trio.Nursery
) -> Collector:
    """Join with a key of its own, and write the bytes of every settled round."""
    network = Network(
        os.urandom(32),
        None,
        validate=lambda _author, _topic, _payload: Verdict.IGNORE,
        may_link=lambda _peer: False,
        blobs=MemoryBlobs(),
        topics=(TOPIC,),
        bans=MemoryBans(),
    )
    await nursery.start(network.run)
    network.know({one.member.peer: one.member.address for one in stage.validators})
    run = RunDirectory(stage.directory)
    run.create()
    run.write(blob_name(stage.task_file.initial_model), stage.initial_model)
    collector = Collector(network, stage)
    for record in records:
        await collector.collect(record, view)
    return collector


async def audit(stage: Stage, collector: Collector) -> AuditFigures:
    """Write the chain up to now, once it is final, and let another process check everything."""
    newest = stage.heads.newest.number
    while stage.heads.final.number < newest:
        await stage.heads.beyond(stage.heads.newest.digest)
    blocks = await fetch_blocks(stage.client, stage.deployment.block, newest)
    await trio.to_thread.run_sync(
        export_run,
        RunDirectory(stage.directory),
        stage.bindings,
        stage.task,
        stage.task_file,
        blocks,
        collector.records,
    )
    return await _run_auditor(stage)


async def _run_auditor(stage: Stage) -> AuditFigures:
    command = [sys.executable, "-m", "flocknode", "audit", "verify", str(stage.directory), "--json"]
    done = await trio.run_process(
        command, capture_stdout=True, check=False, stdin=subprocess.DEVNULL
    )
    try:
        events = [json.loads(line) for line in done.stdout.splitlines()]
        summary = next(event for event in events if event["event"] == "summary")
    except (ValueError, KeyError, StopIteration) as error:
        raise FlockError(f"the audit ended with code {done.returncode}, without result") from error
    faults = [f"{it['file']}: {it['what']}" for it in events if it["event"] == "fault"]
    return AuditFigures(
        summary["rounds_verified"],
        summary["receipts_expected"],
        summary["receipts_verified"],
        tuple(faults),
    )
