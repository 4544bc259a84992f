"""One settled round recomputed from kept files: who is in it, their sum, the model it gives."""

from dataclasses import dataclass

from flocknode.cli.audit.directory import (
    FileFault,
    RunDirectory,
    blob_name,
    block_name,
    headers_name,
)
from flocknode.cli.audit.history import ChainRound
from flocknode.cli.task_file import TaskFile
from flocknode.crypto.eip712 import Domain
from flocknode.messages.statements import RECORD_BYTES, Header
from flocknode.primitives import Digest
from flocknode.protocol.seating import take_seats
from flocknode.protocol.verification import (
    SettledRound,
    VerificationError,
    verify_consent,
    verify_mask_roots,
    verify_model,
    verify_set,
)


@dataclass(frozen=True, slots=True)
class KeptBlobs:
    """The run's blobs by root, each no longer than a model."""

    run: RunDirectory
    limit: int

    def get(self, root: Digest) -> bytes | None:
        return self.run.read(blob_name(root), self.limit)


def seat_round(
    told: ChainRound, number: int, before: Digest, domain: Domain, task: TaskFile
) -> SettledRound:
    """Return round ``number`` as the chain tells it, if that fits what came before."""
    name = block_name(told.block)
    if (told.settled.round, told.drawn.model_root) != (number, before):
        raise FileFault(name, f"settles a round that does not follow round {number - 1}")
    if told.settled.model_root != told.proposal.model_root:
        raise FileFault(name, "settles another model than was proposed")
    seating = take_seats(domain, task.terms, task.roster, told.drawn, told.peers)
    if seating is None:
        raise FileFault(name, f"draws round {number} with a ctx that its parts do not give")
    settled = SettledRound(seating, told.accepted, told.proposal, told.slashed)
    try:
        verify_consent(settled)
        verify_mask_roots(settled)
    except VerificationError as error:
        raise FileFault(name, str(error)) from error
    return settled


def check_set(run: RunDirectory, number: int, settled: SettledRound) -> tuple[Header, ...]:
    """Return the headers of the round's set; raise ``FileFault``."""
    name = headers_name(number)
    length = settled.accepted.trainers.bit_count() * RECORD_BYTES
    records = run.read(name, length)
    try:
        return verify_set(settled, records)
    except VerificationError as error:
        raise FileFault(name, str(error)) from error


def check_model(
    run: RunDirectory, told: ChainRound, settled: SettledRound, headers: tuple[Header, ...]
) -> None:
    """Recompute aggregate and model, and compare the kept model; raise ``FileFault``."""
    blobs = KeptBlobs(run, 4 * settled.seating.terms.integers.words)
    try:
        model = verify_model(settled, headers, blobs)
    except VerificationError as error:
        # Without a blob at fault it is what the chain settled that the bytes do not give.
        name = blob_name(error.root) if error.root else block_name(told.block)
        raise FileFault(name, str(error)) from error
    if blobs.get(told.settled.model_root) != model:
        raise FileFault(blob_name(told.settled.model_root), "is not the recomputed model")
