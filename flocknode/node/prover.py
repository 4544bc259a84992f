"""Proofs and answers from held bytes, each checked by the contract's own rule before it leaves.

A proof that would not hold is not made: a seat whose bytes are wrong or missing stays silent, and
so risks neither bond nor stake. Methods may take long for long vectors: call them in a thread.
"""

from collections.abc import Callable, Sequence

from flocknode.aggregation.step import model_root, server_step, step_word
from flocknode.crypto.masks import BLOCK_BYTES, keystream_block
from flocknode.crypto.merkle import (
    LEAF_BYTES,
    TreeKind,
    path_among,
    tree_level,
    tree_opening,
    tree_root,
)
from flocknode.messages.statements import RECORD_BYTES
from flocknode.model.stages import Aggregate
from flocknode.model.words import model_words, ring_words, words_bytes
from flocknode.node.disputed_tree import CHILD_LEVELS, Branch, Leaf, find_difference
from flocknode.ports import BlobStore
from flocknode.primitives import Digest
from flocknode.protocol.effects import Prepare
from flocknode.protocol.events import Prepared
from flocknode.protocol.evidence import (
    UNPRICED,
    AggregateProof,
    Answer,
    MaskProof,
    PublicStepProof,
    RecordProof,
    SeedAnswer,
    StepProof,
    TreeAnswer,
    set_statement,
)
from flocknode.protocol.gossip_rules import ValidContribution
from flocknode.protocol.ledger import Call, SetAccepted
from flocknode.protocol.proofs import (
    AnswerDemand,
    AnswerTree,
    AskTree,
    OpenedContribution,
    OpenSeeds,
    ProposalStatement,
    ProveAggregate,
    ProveBadInclusion,
    ProveStep,
    SummedHeader,
)
from flocknode.protocol.roster import ROSTER_LEAF_BYTES
from flocknode.protocol.seating import Seating
from flocknode.protocol.verification import find_bad_record, read_record

GROUP_BYTES = 32
"""What a mask proof opens: half a ChaCha20 block."""
BATCH_LEVEL = 6
"""Headers of a batch, as a power of two: 64 leaves of a kilobyte fit memory pools (128 kB)."""
MODEL_WORD_BYTES = 4

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
            case PublicStepProof(proposal, accepted):
                right = self._stepped(seating, proposal, accepted)
                return self._step(seating, StepProof(proposal, accepted, right)) if right else ()
            case RecordProof() as request:
                return self._record(seating, request)
            case TreeAnswer() as request:
                return self._answer(request)
            case SeedAnswer() as request:
                return self._seed(seating, request)

    def _mask(self, seating: Seating, request: MaskProof) -> tuple[Call, ...]:
        terms, column = seating.terms.integers, request.column
        own = self._get(request.own_root, TreeKind.MASK_SUM)
        seeds = self._seeds(seating, request.chosen.headers)
        if own is None or seeds is None:
            return ()
        used = self._find(
            own, request.proposal.mask_roots[column], TreeKind.MASK_SUM, request.answers
        )
        if not isinstance(used, Leaf):
            return _ask(request.proposal, column, used)
        group = used.at // GROUP_BYTES
        cut = own[group * GROUP_BYTES : (group + 1) * GROUP_BYTES]
        # Recomputed without the code that made the own sum: a skew of versions must not lock.
        if sum_group(seeds, group, terms.width)[: len(cut)] != cut:
            return ()
        contributions = tuple(
            _contribution(member, column, seed)
            for member, seed in zip(request.chosen.members, seeds, strict=True)
        )
        openings = (used.opening, tree_opening(own, used.number))
        signed = (request.signers, request.signatures)
        return (OpenSeeds(request.proposal, column, group, contributions, *openings, *signed),)

    def _aggregate(self, seating: Seating, request: AggregateProof) -> tuple[Call, ...]:
        terms, proposal = seating.terms.integers, request.proposal
        right = self._get(request.right_root, TreeKind.AGGREGATE)
        vectors = self._all(request.chosen.vectors, TreeKind.MASKED_VECTOR)
        sums = self._all(proposal.mask_roots, TreeKind.MASK_SUM)
        if right is None or vectors is None or sums is None:
            return ()
        wrong = self._find(right, proposal.aggregate_root, TreeKind.AGGREGATE, request.answers)
        if not isinstance(wrong, Leaf):
            return _ask(proposal, seating.terms.columns, wrong)
        size = terms.width // 8
        coordinate = wrong.at // size
        total = sum(_word(data, coordinate, size) for data in vectors)
        total -= sum(_word(data, coordinate, size) for data in sums)
        stated = int.from_bytes(wrong.read(coordinate * size, size), "little")
        if (total - stated) % (1 << terms.width) == 0:
            return ()
        openings = (tree_opening(data, wrong.number) for data in sums)
        return _batches(request, coordinate, wrong.number, vectors, (*openings, wrong.opening))

    def _step(self, seating: Seating, request: StepProof) -> tuple[Call, ...]:
        terms, proposal = seating.terms.integers, request.proposal
        right = self._get(request.right_root, TreeKind.MODEL)
        before = self._get(seating.drawn.model_root, TreeKind.MODEL)
        aggregate = self._get(proposal.aggregate_root, TreeKind.AGGREGATE)
        if right is None or before is None or aggregate is None:
            return ()
        wrong = self._find(right, proposal.model_root, TreeKind.MODEL, request.answers)
        if not isinstance(wrong, Leaf):
            return _ask(proposal, seating.terms.columns + 1, wrong)
        coordinate, size = wrong.at // MODEL_WORD_BYTES, terms.width // 8
        moved = step_word(
            _signed(before, coordinate, MODEL_WORD_BYTES),
            _signed(aggregate, coordinate, size),
            request.accepted.weight,
            terms,
        )
        stated = wrong.read(coordinate * MODEL_WORD_BYTES, MODEL_WORD_BYTES)
        if moved == int.from_bytes(stated, "little", signed=True):
            return ()
        return (
            ProveStep(
                proposal,
                set_statement(request.accepted),
                coordinate,
                tree_opening(before, wrong.number),
                tree_opening(aggregate, coordinate * size // LEAF_BYTES),
                wrong.opening,
            ),
        )

    def _stepped(
        self, seating: Seating, proposal: ProposalStatement, accepted: SetAccepted
    ) -> Digest | None:
        """Keep the model that the proposal's aggregate leads to and return its root."""
        terms = seating.terms.integers
        before = self._get(seating.drawn.model_root, TreeKind.MODEL)
        aggregate = self._get(proposal.aggregate_root, TreeKind.AGGREGATE)
        wrong = self._get(proposal.model_root, TreeKind.MODEL)
        if before is None or aggregate is None or wrong is None:
            return None
        sums = Aggregate(ring_words(aggregate, terms.words, terms.width))
        after = server_step(model_words(before, terms.words), sums, accepted.weight, terms)
        root = model_root(after)
        if root == proposal.model_root:
            return None
        self._blobs.put(root, bytes(words_bytes(after)), sync=True)
        return root

    def _find(
        self, own: bytes, root: Digest, kind: TreeKind, answers: tuple[Answer, ...]
    ) -> Leaf | Branch | None:
        return find_difference(own, self._get(root, kind), answers)

    def _record(self, seating: Seating, request: RecordProof) -> tuple[Call, ...]:
        accepted = request.accepted
        records = self._get(accepted.inclusion_root, TreeKind.INCLUSION, RECORD_BYTES)
        if records is None:
            return ()
        bad = find_bad_record(seating, accepted, records)
        if bad is None:
            return ()
        position, index = bad
        roster = b""
        if index is not None:
            roster = tree_opening(seating.roster.records(), index, ROSTER_LEAF_BYTES)
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
        data = self._get(node.root, node.kind, node.leaf_bytes)
        if data is None:
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

    def _get(self, root: Digest, kind: TreeKind, leaf_bytes: int = LEAF_BYTES) -> bytes | None:
        """Return bytes that are here and what their root says: a spoilt disk proves nothing."""
        data = self._blobs.get(root)
        if data is None or tree_root(kind, data, leaf_bytes) != root:
            return None
        return bytes(data)

    def _all(self, roots: Sequence[Digest], kind: TreeKind) -> list[bytes] | None:
        found = [data for root in roots if (data := self._get(root, kind)) is not None]
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


def _ask(proposal: ProposalStatement, tree: int, branch: Branch | None) -> tuple[Call, ...]:
    """Return the question that leads on; nothing where the trees are the same."""
    if branch is None:
        return ()
    place = (branch.level, branch.index, branch.node, branch.path)
    return (AskTree(proposal, tree, *place, UNPRICED),)


def _word(data: bytes, coordinate: int, size: int) -> int:
    return int.from_bytes(data[coordinate * size : (coordinate + 1) * size], "little")


def _signed(data: bytes, coordinate: int, size: int) -> int:
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
