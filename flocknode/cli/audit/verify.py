"""Recompute a kept run from its files and a chain's blocks, and say which file is wrong."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from flocknode.aggregation.step import check_terms
from flocknode.chain.archive import BLOCK_BYTES_MAX, ArchivedBlock, read_block
from flocknode.chain.bindings import Bindings
from flocknode.chain.errors import MalformedBlock
from flocknode.cli.audit import directory
from flocknode.cli.audit.directory import (
    FOLDERS,
    FileFault,
    RunDirectory,
    blob_name,
    block_name,
    headers_name,
    receipt_name,
)
from flocknode.cli.audit.history import ChainRound, History, read_history
from flocknode.cli.audit.manifest import Manifest, load_manifest
from flocknode.cli.audit.receipt import RECEIPT_BYTES_MAX, Inclusion, read_receipt
from flocknode.cli.audit.rounds import check_model, check_set, seat_round
from flocknode.cli.task_file import FILE_BYTES_MAX, TaskFile, load_task_file
from flocknode.crypto.merkle import TreeKind, verify_path
from flocknode.errors import ConfigurationError
from flocknode.messages.statements import RECORD_BYTES
from flocknode.model.errors import TermsError
from flocknode.primitives import Digest
from flocknode.protocol.roster import RosterEntry
from flocknode.protocol.verification import SettledRound, VerificationError, verify_record


@dataclass(slots=True)
class Report:
    """What held and what did not; ``pay`` in the token's smallest unit."""

    manifest: Manifest | None = None
    rounds_settled: int = 0
    rounds_verified: int = 0
    receipts_expected: int = 0
    receipts_verified: int = 0
    pay_due: int = 0
    pay_claimed: int = 0
    faults: list[FileFault] = field(default_factory=list)


def read_chain(run: RunDirectory, manifest: Manifest) -> list[ArchivedBlock]:
    """Return the kept blocks, each proven by the one after it and the last by the anchor."""
    blocks = []
    expected = manifest.anchor
    for number in reversed(manifest.blocks):
        name = block_name(number)
        try:
            block = read_block(run.read(name, BLOCK_BYTES_MAX))
        except MalformedBlock as error:
            raise FileFault(name, str(error)) from error
        if block.number != number or block.digest != expected:
            raise FileFault(name, f"is not block {number} of hash 0x{expected.hex()}")
        blocks.append(block)
        expected = block.parent
    return blocks[::-1]


def verify_run(run: RunDirectory, blocks: Sequence[ArchivedBlock] | None = None) -> Report:
    """Check everything; ``blocks`` that a chain itself gave replace those of the directory.

    A fault of manifest, chain or task file ends the check, since all else is judged by them.
    """
    report = Report()
    try:
        _judge(run, blocks, report)
    except FileFault as fault:
        report.faults.append(fault)
    return report


def _judge(run: RunDirectory, blocks: Sequence[ArchivedBlock] | None, report: Report) -> None:
    report.manifest = manifest = load_manifest(run)
    chain = read_chain(run, manifest) if blocks is None else blocks
    history = read_history(chain, Bindings(manifest.deployment), manifest.task)
    if manifest.rounds != len(history.rounds):
        what = f"names {manifest.rounds} rounds, {len(history.rounds)} settled"
        raise FileFault(directory.MANIFEST, what)
    audit = _Audit(run, manifest, history, _read_task(run, history), report)
    audit.check(manifest.blocks if blocks is None else None)


def _read_task(run: RunDirectory, history: History) -> TaskFile:
    """Read the task's file, whose digest is on the chain with what else it agreed on."""
    run.read(directory.TASK, FILE_BYTES_MAX)
    try:
        task = load_task_file(run.path / directory.TASK)
    except ConfigurationError as error:
        raise FileFault(directory.TASK, "describes no task in canonical form") from error
    created = history.created
    if task.digest() != created.configuration:
        raise FileFault(directory.TASK, "is not the configuration that the chain names")
    said = (task.terms, task.initial_model, task.roster.root())
    if said != (created.terms, created.model_root, created.roster_root):
        raise FileFault(directory.TASK, "has other terms, model or roster than the chain")
    _refuse_unsound(task)
    return task


def _refuse_unsound(task: TaskFile) -> None:
    """Refuse terms that the contracts refuse: the chain may be one without our contracts."""
    terms = task.terms
    try:
        check_terms(terms.integers, terms.trainers, terms.trainers_min)
    except (TermsError, ValueError) as error:
        raise FileFault(directory.TASK, f"has unsound terms: {error}") from error
    if not terms.seats or len(task.roster.entries) != terms.trainers:
        raise FileFault(directory.TASK, "has no seats, or another roster than its terms say")


class _Audit:
    """Checks rounds, receipts and pay one after the other, and goes on after a fault."""

    def __init__(
        self,
        run: RunDirectory,
        manifest: Manifest,
        history: History,
        task: TaskFile,
        report: Report,
    ) -> None:
        self._run = run
        self._domain = manifest.deployment.domain
        self._history = history
        self._task = task
        self._report = report
        self._seated: dict[int, SettledRound] = {}
        self._named = {directory.TASK, directory.MANIFEST}
        """Files whose place in the run is known."""

    def check(self, blocks: range | None) -> None:
        """Check everything; ``blocks`` are those of the directory, None if another told them."""
        report, pay = self._report, self._history.pay
        report.rounds_settled = len(self._history.rounds)
        before = self._history.created.model_root
        self._named.add(blob_name(before))
        for number, told in enumerate(self._history.rounds):
            report.rounds_verified += self._holds(partial(self._check_round, number, told, before))
            before = told.settled.model_root
        for entry in self._task.roster.entries:
            self._holds(partial(self._check_receipt, entry))
        report.pay_due, report.pay_claimed = pay.due, pay.paid
        report.faults += pay.faults(self._task.roster) + self._history.outflow.faults()
        self._named.update(map(block_name, blocks or ()))
        if not report.faults:
            # A wrong file may be the one that names others, so they are judged last.
            self._refuse_strangers(FOLDERS if blocks else FOLDERS[1:])

    def _holds(self, check: Callable[[], None]) -> bool:
        try:
            check()
        except FileFault as fault:
            if fault.file not in {known.file for known in self._report.faults}:
                self._report.faults.append(fault)
            return False
        return True

    def _check_round(self, number: int, told: ChainRound, before: Digest) -> None:
        roots = (told.settled.model_root, *told.proposal.mask_roots)
        self._named.update(map(blob_name, roots), (headers_name(number),))
        settled = seat_round(told, number, before, self._domain, self._task)
        self._seated[number] = settled
        headers = check_set(self._run, number, settled)
        self._named.update(blob_name(header.root) for header in headers)
        check_model(self._run, told, settled, headers)

    def _check_receipt(self, entry: RosterEntry) -> None:
        rounds = [
            number
            for number, told in enumerate(self._history.rounds)
            if told.accepted.trainers >> entry.index & 1
        ]
        self._report.receipts_expected += len(rounds)
        name = receipt_name(entry.trainer)
        self._named.add(name)
        receipt = read_receipt(name, self._run.read(name, RECEIPT_BYTES_MAX))
        if receipt.trainer != entry.trainer:
            raise FileFault(name, "is another trainer's")
        if [one.round for one in receipt.inclusions] != rounds:
            raise FileFault(name, "does not prove each of the trainer's rounds once, in order")
        for one in receipt.inclusions:
            self._check_inclusion(name, entry, one)
            self._report.receipts_verified += 1

    def _check_inclusion(self, name: str, entry: RosterEntry, one: Inclusion) -> None:
        settled = self._seated.get(one.round)
        if settled is None:
            raise FileFault(name, f"proves round {one.round}, which does not hold")
        if not is_included(settled, entry, one):
            raise FileFault(name, f"is no proof of round {one.round}")
        paid = self._history.pay.received[one.round, entry.trainer]
        if one.paid != paid:
            raise FileFault(name, f"says {one.paid} was paid for round {one.round}, not {paid}")

    def _refuse_strangers(self, folders: Sequence[str]) -> None:
        """Refuse files that no round names: nothing vouches for them."""
        for folder in folders:
            for name in sorted(self._run.names(folder) - self._named):
                self._report.faults.append(FileFault(name, "belongs to nothing on the chain"))


def is_included(settled: SettledRound, entry: RosterEntry, one: Inclusion) -> bool:
    """Tell whether the chain's inclusion root holds this trainer's own signed header."""
    count = settled.accepted.trainers.bit_count()
    is_leaf = verify_path(
        settled.accepted.inclusion_root,
        TreeKind.INCLUSION,
        count * RECORD_BYTES,
        one.position,
        one.record,
        one.path,
        RECORD_BYTES,
    )
    try:
        return is_leaf and verify_record(settled.seating, one.record).trainer == entry.trainer
    except VerificationError:
        return False
