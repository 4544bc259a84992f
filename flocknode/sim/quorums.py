"""Who must have signed a statement, checked from the bytes."""

from collections.abc import Sequence

from flocknode.crypto.errors import SignatureError
from flocknode.crypto.hashing import mask_roots_hash
from flocknode.crypto.signing import SIGNATURE_BYTES, recover
from flocknode.messages.statements import Include, Propose, Statement, statement_digest
from flocknode.model.terms import TaskTerms
from flocknode.primitives import Digest
from flocknode.protocol.ledger import AnswerRollCall, IncludeSet, ProposeModel
from flocknode.sim.abi import bits, require
from flocknode.sim.state import Deployment, Round


def require_column_majorities(terms: TaskTerms, seats: int) -> None:
    """Ask a set for a majority of every column; seat p sits in column p mod k."""
    for column in range(terms.columns):
        signed = [seat for seat in bits(seats) if seat % terms.columns == column]
        require(len(signed) >= terms.column_majority, "RoundManagerNoMajority")


def require_two_thirds(terms: TaskTerms, seats: int, slashed: int) -> None:
    """Ask a proposal for two thirds of the unslashed seats.

    Column majorities would let two seats veto.
    """
    # Where all seats were convicted, a proposal that nobody signed is none.
    require(seats.bit_count() >= terms.proposal_quorum(slashed), "RoundManagerNoQuorum")


def require_include_signatures(rules: Deployment, attempt: Round, call: IncludeSet) -> None:
    """Check that every seat of the bitmap signed INCLUDE of this set, with its own commitment."""
    seats = bits(call.seats)
    require(len(call.commitments) == len(seats), "RoundManagerLength")
    signatures = _signatures(call.signatures, len(seats))
    for seat, commitment, signature in zip(seats, call.commitments, signatures, strict=True):
        statement = _include(attempt.ctx, call, commitment)
        require_signature(rules, attempt, seat, statement, signature)


def require_roll_call_signature(rules: Deployment, attempt: Round, call: AnswerRollCall) -> None:
    """Check an answer: any INCLUDE that the seat signed in this attempt will do."""
    statement = _include(attempt.ctx, call, call.commitment)
    (signature,) = _signatures((call.signature,), 1)
    require_signature(rules, attempt, call.seat, statement, signature)


def require_propose_signatures(
    rules: Deployment, attempt: Round, call: ProposeModel, inclusion_root: Digest
) -> None:
    """Check that every seat of the bitmap signed PROPOSE of this aggregate and model."""
    seats = bits(call.seats)
    signatures = _signatures(call.signatures, len(seats))
    statement = Propose(
        ctx=attempt.ctx,
        view=call.view,
        inclusion_root=inclusion_root,
        mask_roots_hash=mask_roots_hash(call.mask_roots),
        aggregate_root=call.aggregate_root,
        model_root=call.model_root,
    )
    for seat, signature in zip(seats, signatures, strict=True):
        require_signature(rules, attempt, seat, statement, signature)


def require_signature(
    rules: Deployment, attempt: Round, seat: int, statement: Statement, signature: bytes
) -> None:
    """Check that a signature with a low s recovers to the seat's signing key."""
    try:
        signer = recover(statement_digest(rules.domain, statement), signature)
    except SignatureError:
        signer = None
    require(signer == attempt.signers[seat], "SignaturesWrongSigner")


def _signatures(signatures: Sequence[bytes], count: int) -> list[bytes]:
    """Cut the signatures as the contract does: 65 bytes for each seat, one after another."""
    data = b"".join(signatures)
    require(len(data) == SIGNATURE_BYTES * count, "SignaturesLength")
    return [data[i : i + SIGNATURE_BYTES] for i in range(0, len(data), SIGNATURE_BYTES)]


def _include(ctx: Digest, call: IncludeSet | AnswerRollCall, commitment: Digest) -> Include:
    return Include(
        ctx=ctx,
        view=call.view,
        inclusion_root=call.inclusion_root,
        trainers=call.trainers,
        weight=call.weight,
        commitment=commitment,
    )
