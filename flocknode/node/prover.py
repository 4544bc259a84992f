"""Proofs and answers from held bytes, each checked by the contract's own rule before it leaves.

A proof that would not hold is not made: a seat whose bytes are wrong or missing stays silent, and
so risks neither bond nor stake. Methods may take long for long vectors: call them in a thread.
"""

from collections.abc import Callable, Sequence

import numpy as np

from flocknode.aggregation.step import step_word
from flocknode.crypto.masks import BLOCK_BYTES, keystream_block
from flocknode.crypto.merkle import LEAF_BYTES, path_among, tree_level, tree_opening, tree_root
from flocknode.messages.statements import RECORD_BYTES
from flocknode.model.terms import IntegerTerms
from flocknode.ports import BlobStore
from flocknode.primitives import Digest
from flocknode.protocol.effects import Prepare
from flocknode.protocol.events import Prepared
from flocknode.protocol.gossip_rules import ValidContribution
from flocknode.protocol.ledger import Call
from flocknode.protocol.proofs import (
    AggregateProof,
    MaskProof,
    RecordProof,
    SeedAnswer,
    StepProof,
    TreeAnswer,
    set_statement,
)
from flocknode.protocol.roster import ROSTER_LEAF_BYTES
from flocknode.protocol.seating import Seating
from flocknode.protocol.verdicts import (
    AnswerDemand,
    AnswerTree,
    OpenedContribution,
    OpenSeeds,
    ProveAggregate,
    ProveBadInclusion,
    ProveStep,
    SummedHeader,
)
from flocknode.protocol.verification import find_bad_record, read_record

GROUP_BYTES = 32
"""What a mask proof opens: half a ChaCha20 block."""
BATCH_LEVEL = 6
"""Headers of a batch, as a power of two: 64 leaves of a kilobyte fit memory pools (128 kB)."""
CHILD_LEVELS = 8
"""How far below a node an answer reaches: 256 children."""

Seeds = Callable[[Seating, Sequence[Digest]], list[bytes] | None]


class Prover:
    """Makes calls from one node's blobs and, for its own column, seeds."""

    def __init__(self, blobs: BlobStore, seeds: Seeds) -> None:
        self._blobs = blobs
        self._seeds = seeds

    def prepare(self, effect: Prepare) -> Prepared:
        """Return the calls, or none where bytes are missing or nothing is wrong."""
        seating, request = effect.seating, effect.request
        return Prepared(seating.ctx, request, self._calls(seating, effect))

    def _calls(self, seating: Seating, effect: Prepare) -> tuple[Call, ...]:
        match effect.request:
            case MaskProof() as request:
                return self._mask(seating, request)
            case AggregateProof() as request:
                return self._aggregate(seating, request)
            case StepProof() as request:
                return self._step(seating, request)
            case RecordProof() as request:
                return self._record(seating, request)
            case TreeAnswer() as request:
                return self._answer(request)
            case SeedAnswer() as request:
                return self._seed(seating, request)

    def _mask(self, seating: Seating, request: MaskProof) -> tuple[Call, ...]:
        terms = seating.terms.integers
        used = self._blobs.get(request.proposal.mask_roots[request.column])
        own = self._blobs.get(request.own_root)
        seeds = self._seeds(seating, request.chosen.headers)
        if used is None or own is None or seeds is None or len(used) != len(own):
            return ()
        at = _first_difference(used, own)
        if at is None:
            return ()
        group = at // GROUP_BYTES
        cut = slice(group * GROUP_BYTES, (group + 1) * GROUP_BYTES)
        # Recomputed without the code that made the own sum: a skew of versions must not lock.
        if sum_group(seeds, group, terms.width)[: len(own[cut])] != own[cut]:
            return ()
        leaf = at // LEAF_BYTES
        return (
            OpenSeeds(
                request.proposal,
                request.column,
                group,
                tuple(
                    _contribution(member, request.column, seed)
                    for member, seed in zip(request.chosen.members, seeds, strict=True)
                ),
                tree_opening(used, leaf),
                tree_opening(own, leaf),
                request.liars,
                request.liar_signatures,
            ),
        )

    def _aggregate(self, seating: Seating, request: AggregateProof) -> tuple[Call, ...]:
        terms, proposal = seating.terms.integers, request.proposal
        wrong = self._blobs.get(proposal.aggregate_root)
        right = self._blobs.get(request.right_root)
        vectors = self._all(request.chosen.vectors)
        sums = self._all(proposal.mask_roots)
        if wrong is None or right is None or vectors is None or sums is None:
            return ()
        at = _first_difference(wrong, right)
        if at is None:
            return ()
        coordinate = at * 8 // terms.width
        total = sum(_word(data, coordinate, terms) for data in vectors)
        total -= sum(_word(data, coordinate, terms) for data in sums)
        if (total - _word(wrong, coordinate, terms)) % (1 << terms.width) == 0:
            return ()
        closing = tuple(tree_opening(data, at // LEAF_BYTES) for data in (*sums, wrong))
        return _batches(request, coordinate, at // LEAF_BYTES, vectors, closing)

    def _step(self, seating: Seating, request: StepProof) -> tuple[Call, ...]:
        terms, proposal = seating.terms.integers, request.proposal
        wrong = self._blobs.get(proposal.model_root)
        right = self._blobs.get(request.right_root)
        before = self._blobs.get(seating.drawn.model_root)
        aggregate = self._blobs.get(proposal.aggregate_root)
        if wrong is None or right is None or before is None or aggregate is None:
            return ()
        at = _first_difference(wrong, right)
        if at is None:
            return ()
        coordinate = at // 4
        moved = step_word(
            _signed(before, coordinate, 32),
            _signed(aggregate, coordinate, terms.width),
            request.accepted.weight,
            terms,
        )
        if moved == _signed(wrong, coordinate, 32):
            return ()
        model_leaf = at // LEAF_BYTES
        aggregate_leaf = coordinate * (terms.width // 8) // LEAF_BYTES
        return (
            ProveStep(
                proposal,
                set_statement(request.accepted),
                coordinate,
                tree_opening(before, model_leaf),
                tree_opening(aggregate, aggregate_leaf),
                tree_opening(wrong, model_leaf),
            ),
        )

    def _record(self, seating: Seating, request: RecordProof) -> tuple[Call, ...]:
        accepted = request.accepted
        records = self._blobs.get(accepted.inclusion_root)
        if records is None:
            return ()
        bad = find_bad_record(seating, accepted, records)
        if bad is None:
            return ()
        position, index = bad
        roster = b""
        if index is not None:
            entries = b"".join(entry.record() for entry in seating.roster.entries)
            roster = tree_opening(entries, index, ROSTER_LEAF_BYTES)
        return (
            ProveBadInclusion(
                accepted.task,
                len(records) // RECORD_BYTES,
                position,
                tree_opening(records, position, RECORD_BYTES),
                roster,
            ),
        )

    def _answer(self, request: TreeAnswer) -> tuple[Call, ...]:
        node = request.node
        data = self._blobs.get(node.root)
        if data is None or tree_root(node.kind, data, node.leaf_bytes) != node.root:
            return ()
        if node.level == 0:
            start = node.index * node.leaf_bytes
            return (AnswerTree(request.question, data[start : start + node.leaf_bytes]),)
        below = min(node.level, CHILD_LEVELS)
        children = tree_level(data, node.level - below, node.leaf_bytes)
        first = node.index << below
        answer = b"".join(children[first : first + (1 << below)])
        return (AnswerTree(request.question, answer),)

    def _seed(self, seating: Seating, request: SeedAnswer) -> tuple[Call, ...]:
        member = request.chosen.members[request.position]
        seeds = self._seeds(seating, (member.digest,))
        if seeds is None:
            return ()
        others = _other_commitments(member.header.commitments, request.column)
        path = tree_opening(request.chosen.records, request.position, RECORD_BYTES)
        task = seating.drawn.task
        return (AnswerDemand(task, request.position, path, others, seeds[0]),)

    def _all(self, roots: Sequence[Digest]) -> list[bytes] | None:
        found = [data for root in roots if (data := self._blobs.get(root)) is not None]
        return found if len(found) == len(roots) else None


def sum_group(seeds: Sequence[bytes], group: int, width: int) -> bytes:
    """Return 32 bytes of the sum of keystreams, word by word as the contract adds them."""
    start = group * GROUP_BYTES % BLOCK_BYTES
    block = group * GROUP_BYTES // BLOCK_BYTES
    streams = [keystream_block(seed, block)[start : start + GROUP_BYTES] for seed in seeds]
    size = width // 8
    words = (
        sum(int.from_bytes(stream[at : at + size], "little") for stream in streams)
        for at in range(0, GROUP_BYTES, size)
    )
    return b"".join((word % (1 << width)).to_bytes(size, "little") for word in words)


def _first_difference(one: bytes, other: bytes) -> int | None:
    """Return the first byte in which two vectors of one length differ."""
    if len(one) != len(other):
        return None
    differ = np.frombuffer(one, np.uint8) != np.frombuffer(other, np.uint8)
    return int(differ.argmax()) if differ.any() else None


def _word(data: bytes, coordinate: int, terms: IntegerTerms) -> int:
    size = terms.width // 8
    return int.from_bytes(data[coordinate * size : (coordinate + 1) * size], "little")


def _signed(data: bytes, coordinate: int, width: int) -> int:
    size = width // 8
    word = data[coordinate * size : (coordinate + 1) * size]
    return int.from_bytes(word, "little", signed=True)


def _other_commitments(commitments: Sequence[Digest], column: int) -> tuple[Digest, ...]:
    return tuple(c for place, c in enumerate(commitments) if place != column)


def _contribution(member: ValidContribution, column: int, seed: bytes) -> OpenedContribution:
    header, signature = read_record(member.record)
    others = _other_commitments(member.header.commitments, column)
    return OpenedContribution(
        header.trainer, header.root, header.capsules_hash, signature, seed, others
    )


def _batches(
    request: AggregateProof,
    coordinate: int,
    leaf: int,
    vectors: Sequence[bytes],
    closing: tuple[bytes, ...],
) -> tuple[ProveAggregate, ...]:
    """Cut the set into batches that fit a transaction; the last one closes the proof."""
    chosen = request.chosen
    count = len(chosen.members)
    level = min(BATCH_LEVEL, (count - 1).bit_length())
    batches = []
    for first in range(0, count, 1 << level):
        part = range(first, min(first + (1 << level), count))
        batches.append(
            ProveAggregate(
                request.proposal,
                coordinate,
                first,
                level,
                tuple(_summed(chosen.members[i].record) for i in part),
                path_among(tree_level(chosen.records, level, RECORD_BYTES), first >> level),
                tuple(tree_opening(vectors[i], leaf) for i in part),
                closing if part.stop == count else (),
            )
        )
    return tuple(batches)


def _summed(record: bytes) -> SummedHeader:
    header, signature = read_record(record)
    return SummedHeader(
        header.trainer, header.root, header.seeds_hash, header.capsules_hash, signature
    )
