"""Write what an auditor needs of a run beside its blobs: the chain, receipts, the manifest."""

from collections.abc import Mapping, Sequence

from flocknode.chain.archive import ArchivedBlock
from flocknode.chain.bindings import Bindings
from flocknode.cli.audit.directory import (
    MANIFEST,
    TASK,
    RunDirectory,
    block_name,
    receipt_name,
)
from flocknode.cli.audit.history import ChainRound, History, read_history
from flocknode.cli.audit.manifest import Manifest
from flocknode.cli.audit.receipt import Inclusion, TrainerReceipt
from flocknode.cli.task_file import TaskFile
from flocknode.crypto.merkle import tree_path
from flocknode.messages.statements import RECORD_BYTES
from flocknode.protocol.roster import RosterEntry


def export_run(
    run: RunDirectory,
    bindings: Bindings,
    task: int,
    task_file: TaskFile,
    blocks: Sequence[ArchivedBlock],
    records: Mapping[int, bytes],
) -> None:
    """Write all but headers and blobs, which were written as they were pulled.

    ``blocks`` begin with the deployment's first and end with a final one; ``records`` are the
    inclusion records of each settled round.
    """
    history = read_history(blocks, bindings, task)
    for block in blocks:
        run.write(block_name(block.number), block.to_bytes())
    for entry in task_file.roster.entries:
        run.write(receipt_name(entry.trainer), _receipt(history, entry, records).to_bytes())
    run.write(TASK, task_file.to_bytes())
    last = blocks[-1]
    manifest = Manifest(bindings.deployment, task, len(history.rounds), last.number, last.digest)
    run.write(MANIFEST, manifest.to_bytes())


def _receipt(history: History, entry: RosterEntry, records: Mapping[int, bytes]) -> TrainerReceipt:
    inclusions = [
        _inclusion(number, told, entry, records[number], history)
        for number, told in enumerate(history.rounds)
        if told.accepted.trainers >> entry.index & 1
    ]
    return TrainerReceipt(entry.trainer, tuple(inclusions))


def _inclusion(
    number: int, told: ChainRound, entry: RosterEntry, records: bytes, history: History
) -> Inclusion:
    # Leaves are in roster order.
    position = (told.accepted.trainers & ((1 << entry.index) - 1)).bit_count()
    return Inclusion(
        number,
        position,
        records[position * RECORD_BYTES : (position + 1) * RECORD_BYTES],
        tree_path(records, position, RECORD_BYTES),
        history.pay.received[number, entry.trainer],
    )
