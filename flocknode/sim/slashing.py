"""SlashingManager: the proofs that cost stake, and the punishment."""

from dataclasses import replace
from typing import Final

import numpy as np

from flocknode.aggregation.step import server_step
from flocknode.crypto.eip712 import type_hash
from flocknode.crypto.errors import SignatureError
from flocknode.crypto.hashing import keccak256
from flocknode.crypto.merkle import (
    LEAF_BYTES,
    TreeKind,
    climb,
    seal_root,
    top_of,
    tree_root,
)
from flocknode.crypto.signing import recover
from flocknode.messages.statements import (
    RECORD_BYTES,
    Header,
    Include,
    MaskRoot,
    Propose,
    SeatKey,
    statement_digest,
)
from flocknode.model.stages import Aggregate
from flocknode.model.terms import IntegerTerms
from flocknode.primitives import Address, Digest
from flocknode.protocol.ledger import SetAccepted
from flocknode.protocol.proofs import (
    EvidenceSlot,
    ProposalStatement,
    ProveAggregate,
    ProveBadInclusion,
    ProveEquivocation,
    ProveStep,
    ProveWeight,
    Punish,
    SetStatement,
    SummedHeader,
)
from flocknode.protocol.verdicts import Offence, OffenceProven, ValidatorSlashed
from flocknode.sim import schedule, stakes
from flocknode.sim.abi import CallReverted, bits, keccak_words, require
from flocknode.sim.delegation import take_stake
from flocknode.sim.evidence import (
    SET_PHASES,
    attempt_of,
    is_accepted,
    open_leaf,
    open_record,
    propose_of,
    require_signed,
    signer_of,
    terms_of,
    word_at,
)
from flocknode.sim.judging import Consequence, judge
from flocknode.sim.state import Finding, Round, Transaction

LIE_BPS: Final = 1_000
ABSENCE_BPS: Final = 50
BATCH_LEVEL_MAX: Final = 8
ROSTER_BYTES: Final = 128
_TYPES: Final = {
    EvidenceSlot.SEAT_KEY: (SeatKey.TYPE, 3),
    EvidenceSlot.INCLUDE: (Include.TYPE, 6),
    EvidenceSlot.MASK_ROOT: (MaskRoot.TYPE, 5),
    EvidenceSlot.PROPOSE: (Propose.TYPE, 6),
}


def prove_equivocation(tx: Transaction, call: ProveEquivocation) -> None:
    """Convict the signer of two statements for one slot, whatever became of the attempt."""
    ctx = statement_digest(tx.rules.domain, call.context)
    type_string, members = _TYPES[call.slot]
    for words in (call.first, call.second):
        require(len(words) == 32 * members, "SlashingManagerStatementLength")
    is_slot = call.first[:32] == ctx and call.first[:64] == call.second[:64]
    require(is_slot, "SlashingManagerOtherSlot")
    require(call.first != call.second, "SlashingManagerSameStatement")
    hashed = type_hash(type_string)
    signers = {
        _signer_of_words(tx, hashed + call.first, call.first_signature),
        _signer_of_words(tx, hashed + call.second, call.second_signature),
    }
    signer = signers.pop()
    require(not signers and signer is not None, "SlashingManagerNoSigner")
    assert signer is not None
    validator = stakes.validator_of(tx.state, signer)
    attempt = attempt_of(tx, call.context.task)
    is_seated = attempt.ctx == ctx and validator in attempt.committee
    seats = 1 << attempt.committee.index(validator) if is_seated else 0
    at = (call.context.task, call.context.round, call.context.attempt)
    words_ = Punish(*at, Offence.EQUIVOCATION, ctx, (validator,))
    record(tx, words_, seats, tx.sender)
    if seats:
        judge(tx, call.context.task, seats, 0, Consequence.NONE)


def prove_bad_inclusion(tx: Transaction, call: ProveBadInclusion) -> None:
    """Convict the signers of a set that holds a record which no honest seat signs for."""
    attempt = _with_set(tx, call.task)
    assert attempt.accepted is not None
    record_ = open_record(attempt, call.count, call.position, call.opening)
    included = attempt.accepted.trainers.bit_count()
    is_sound = call.count == included and _is_sound(tx, attempt, call, record_)
    require(not is_sound, "SlashingManagerSoundRecord")
    _convict_includers(tx, call.task, attempt)


def prove_weight(tx: Transaction, call: ProveWeight) -> None:
    """Convict the signers of a set whose weight is not that of its trainers in the roster."""
    attempt = _with_set(tx, call.task)
    _require_set(attempt, call.set)
    specification = tx.state.tasks[call.task].specification
    is_whole = len(call.roster) == ROSTER_BYTES * specification.terms.trainers
    require(is_whole, "SlashingManagerLength")
    root = tree_root(TreeKind.ROSTER, call.roster, ROSTER_BYTES)
    require(root == specification.roster_root, "TreesWrongRoot")
    weights = (ROSTER_BYTES * index + 64 for index in bits(call.set.trainers))
    weight = sum(int.from_bytes(call.roster[at : at + 32], "big") for at in weights)
    require(weight != call.set.weight, "SlashingManagerSound")
    _convict_includers(tx, call.task, attempt)


def prove_aggregate(tx: Transaction, call: ProveAggregate) -> None:
    """Add a batch to the sum at one coordinate; the last one decides."""
    attempt = _with_set(tx, call.proposal.task)
    assert attempt.accepted is not None
    terms = terms_of(tx, call.proposal.task)
    require(call.coordinate < terms.integers.words, "SlashingManagerCoordinate")
    key = (tx.sender, attempt.ctx, call.coordinate)
    done, total = tx.state.sums.get(key, (0, 0))
    require(call.first == done, "SlashingManagerBatch")
    count, added = _add_batch(attempt, terms.integers, call)
    done, total = done + count, total + added
    if done < attempt.accepted.trainers.bit_count():
        tx.state.sums[key] = done, total
        return
    tx.state.sums.pop(key, None)
    is_sum = _is_sum(terms.columns, terms.integers, call, total)
    require(not is_sum, "SlashingManagerSound")
    _convict_proposers(tx, attempt, call.proposal, Offence.WRONG_AGGREGATE)


def prove_step(tx: Transaction, call: ProveStep) -> None:
    """Convict the signers of a model that is not the step of its aggregate."""
    attempt = _with_set(tx, call.proposal.task)
    accepted = _require_set(attempt, call.set)
    terms = terms_of(tx, call.proposal.task).integers
    require(call.coordinate < terms.words, "SlashingManagerCoordinate")
    model = _model_word(attempt.model_root, terms, call.coordinate, call.model)
    aggregate = _word(
        call.proposal.aggregate_root, TreeKind.AGGREGATE, terms, call.coordinate, call.aggregate
    )
    following = _model_word(call.proposal.model_root, terms, call.coordinate, call.next)
    one = replace(terms, words=1)
    sums = Aggregate(np.array([aggregate], f"<u{terms.width // 8}"))
    (expected,) = server_step(np.array([model], "<i4"), sums, accepted.weight, one)
    require(following != expected, "SlashingManagerSound")
    _convict_proposers(tx, attempt, call.proposal, Offence.WRONG_STEP)


def punish(tx: Transaction, call: Punish) -> None:
    """Take the stake of the convicted, once."""
    id_ = conviction_id(call)
    finding = tx.state.findings.get(id_)
    require(finding is not None, "SlashingManagerNotConvicted")
    assert finding is not None
    require(not finding.punished, "SlashingManagerAlreadyPunished")
    tx.state.findings[id_] = replace(finding, punished=True)
    bps = ABSENCE_BPS if call.offence is Offence.MISSED_DUTY else LIE_BPS
    scope = keccak_words(call.task, call.round)
    for validator in call.validators:
        amount = tx.state.validators[validator].pool.assets * bps // 10_000
        taken = take_stake(tx, validator, amount, scope, finding.finder)
        tx.emit(ValidatorSlashed(id_, validator, finding.finder, call.offence, taken))


def convict(
    tx: Transaction,
    task: int,
    offence: Offence,
    seats: int,
    consequence: Consequence,
    finder: Address,
) -> None:
    """Convict those of the seats that were not yet in this attempt, and do what follows."""
    attempt = tx.state.rounds[task]
    seats &= ~attempt.slashed
    require(seats != 0 or consequence is not Consequence.NONE, "SlashingManagerNothingNew")
    if seats:
        validators = tuple(attempt.committee[seat] for seat in bits(seats))
        at = (task, attempt.round, attempt.attempt)
        record(tx, Punish(*at, offence, attempt.ctx, validators), seats, finder)
    judge(tx, task, seats, 0, consequence)


def record(tx: Transaction, words: Punish, seats: int, finder: Address) -> None:
    """Remember a conviction under the hash of its words."""
    id_ = conviction_id(words)
    require(id_ not in tx.state.findings, "SlashingManagerAlreadyConvicted")
    tx.state.findings[id_] = Finding(finder)
    at = (words.task, words.round, words.attempt)
    tx.emit(OffenceProven(id_, *at, words.offence, words.ctx, seats, words.validators, finder))


def conviction_id(words: Punish) -> Digest:
    """Return keccak256(abi.encode(Conviction)): an offset, the static words, the validators."""
    at = (words.task, words.round, words.attempt, int(words.offence))
    static = (32, *at, words.ctx, 6 * 32)
    return keccak_words(*static, len(words.validators), *words.validators)


def _signer_of_words(tx: Transaction, words: bytes, signature: bytes) -> Address | None:
    require(len(signature) == 65, "SignaturesLength")
    digest = keccak256(b"\x19\x01" + tx.rules.domain.separator + keccak256(words))
    try:
        return recover(digest, signature)
    except SignatureError:
        return None


def _with_set(tx: Transaction, task: int) -> Round:
    attempt = attempt_of(tx, task)
    require(attempt.phase in SET_PHASES, "SlashingManagerWrongPhase")
    return attempt


def _require_set(attempt: Round, given: SetStatement) -> SetAccepted:
    """Return the accepted set, of which ``given`` must be the words."""
    assert attempt.accepted is not None
    accepted = attempt.accepted
    words = (given.view, given.inclusion_root, given.trainers, given.weight, given.seats)
    held = (accepted.view, accepted.inclusion_root, accepted.trainers, accepted.weight)
    is_set = words == (*held, accepted.seats) and given.commitments == accepted.commitments
    require(is_set, "SlashingManagerWrongSet")
    return accepted


def _convict_includers(tx: Transaction, task: int, attempt: Round) -> None:
    """Abort while no sum can be known yet, later spend the set and pause."""
    assert attempt.accepted is not None
    end = schedule.demand_end(terms_of(tx, task), attempt.accepted.accepted_at)
    consequence = Consequence.ABORT if tx.now < end else Consequence.SPEND_AND_PAUSE
    seats = attempt.include_seats
    convict(tx, task, Offence.BAD_INCLUSION, seats, consequence, tx.sender)


def _is_sound(tx: Transaction, attempt: Round, call: ProveBadInclusion, data: bytes) -> bool:
    """Tell whether a record is one that an honest seat would have signed for."""
    assert attempt.accepted is not None
    terms = terms_of(tx, call.task)
    words = [data[i : i + 32] for i in range(0, 256, 32)]
    index = int.from_bytes(words[1], "big")
    numbers = int.from_bytes(words[4], "big"), int.from_bytes(words[5], "big")
    is_expected = index == bits(attempt.accepted.trainers)[call.position]
    fits = words[0] == attempt.ctx and numbers == (terms.integers.words, terms.integers.width)
    if not (fits and is_expected) or any(words[2][:12]):
        return False
    trainer = Address(words[2][12:])
    root, seeds, capsules = (Digest(words[i]) for i in (3, 6, 7))
    header = Header(attempt.ctx, index, trainer, root, *numbers, seeds, capsules)
    if signer_of(tx, header, data[256:]) != trainer:
        return False
    return not call.roster or _rostered(tx, call, index) == words[2]


def _rostered(tx: Transaction, call: ProveBadInclusion, index: int) -> bytes:
    specification = tx.state.tasks[call.task].specification
    length = ROSTER_BYTES * specification.terms.trainers
    root = specification.roster_root
    return open_leaf(root, TreeKind.ROSTER, length, index, call.roster, ROSTER_BYTES)[32:64]


def _add_batch(attempt: Round, terms: IntegerTerms, call: ProveAggregate) -> tuple[int, int]:
    """Check a batch against the inclusion root; return its size and its words' sum."""
    assert attempt.accepted is not None
    included, span = attempt.accepted.trainers.bit_count(), 1 << call.level
    is_batch = call.level <= BATCH_LEVEL_MAX and call.first < included
    require(is_batch and call.first % span == 0, "SlashingManagerBatch")
    count = min(span, included - call.first)
    is_whole = len(call.headers) == count == len(call.openings)
    require(is_whole, "SlashingManagerLength")
    members = bits(attempt.accepted.trainers)[call.first : call.first + count]
    records = b"".join(
        _record_of(attempt.ctx, index, terms, header)
        for index, header in zip(members, call.headers, strict=True)
    )
    width = -(-included // span)
    node = climb(top_of(records, RECORD_BYTES), call.first >> call.level, width, call.path)
    if node is None:
        raise CallReverted("TreesLength")
    root = seal_root(TreeKind.INCLUSION, RECORD_BYTES * included, node)
    require(root == attempt.accepted.inclusion_root, "TreesWrongRoot")
    total = sum(
        _word(header.root, TreeKind.MASKED_VECTOR, terms, call.coordinate, opening)
        for header, opening in zip(call.headers, call.openings, strict=True)
    )
    return count, total


def _record_of(ctx: Digest, index: int, terms: IntegerTerms, it: SummedHeader) -> bytes:
    place = (ctx, index, it.trainer, it.root, terms.words, terms.width)
    return Header(*place, it.seeds_hash, it.capsules_hash).record(it.signature)


def _is_sum(columns: int, terms: IntegerTerms, call: ProveAggregate, total: int) -> bool:
    proposal = call.proposal
    require(len(proposal.mask_roots) == columns, "SlashingManagerLength")
    require(len(call.closing) == columns + 1, "SlashingManagerLength")
    for root, opening in zip(proposal.mask_roots, call.closing[:-1], strict=True):
        total -= _word(root, TreeKind.MASK_SUM, terms, call.coordinate, opening)
    aggregate = _word(
        proposal.aggregate_root, TreeKind.AGGREGATE, terms, call.coordinate, call.closing[-1]
    )
    return (total - aggregate) % (1 << terms.width) == 0


def _convict_proposers(
    tx: Transaction, attempt: Round, proposal: ProposalStatement, offence: Offence
) -> None:
    """Strike the accepted proposal, or convict who signed one that was not accepted."""
    stands = is_accepted(attempt, proposal)
    if not stands:
        seats = terms_of(tx, proposal.task).seats
        require(proposal.seats >> seats == 0, "SlashingManagerUnknownSeat")
        signatures = b"".join(proposal.signatures)
        require_signed(tx, attempt, proposal.seats, propose_of(attempt, proposal), signatures)
    consequence = Consequence.STRIKE if stands else Consequence.NONE
    convict(tx, proposal.task, offence, proposal.seats, consequence, tx.sender)


def _word(root: Digest, kind: TreeKind, terms: IntegerTerms, at: int, opening: bytes) -> int:
    per_leaf = LEAF_BYTES * 8 // terms.width
    length = terms.words * terms.width // 8
    leaf = open_leaf(root, kind, length, at // per_leaf, opening)
    return word_at(leaf, at % per_leaf, terms.width)


def _model_word(root: Digest, terms: IntegerTerms, at: int, opening: bytes) -> int:
    per_leaf = LEAF_BYTES // 4
    leaf = open_leaf(root, TreeKind.MODEL, 4 * terms.words, at // per_leaf, opening)
    return word_at(leaf, at % per_leaf, 32, signed=True)
