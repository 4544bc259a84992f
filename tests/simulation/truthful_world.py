"""A round whose headers, masks and sums are computed, so that proofs can be made of it."""

from dataclasses import replace

import numpy as np

from flocknode.crypto.hashing import mask_commitment, mask_roots_hash, seed_commitment, seeds_hash
from flocknode.crypto.masks import add_masks, expand
from flocknode.crypto.merkle import TreeKind, fold, top_of, tree_opening, tree_root
from flocknode.messages.statements import RECORD_BYTES, Header, MaskRoot, Propose, statement_digest
from flocknode.primitives import Digest, Wei
from flocknode.protocol.ledger import ProposeModel
from flocknode.protocol.proofs import (
    OpenChallenge,
    OpenedContribution,
    OpenSeeds,
    ProposalStatement,
    ProveAggregate,
    SummedHeader,
)
from flocknode.sim import schedule
from flocknode.sim.abi import bits
from tests.simulation.ledger_world import TASK, TERMS, World, digest, key

TRAINERS = TERMS.trainers
WORDS = TERMS.integers.words
COORDINATE = 7
COLUMN = 1
SIX = 0b111111
NOBODY = 0


class TruthfulWorld(World):
    """A world of true vectors; a statement is a lie where it is given other bytes."""

    def seed(self, index: int, column: int) -> bytes:
        return digest(f"seed {index} {column}")

    def vector(self, index: int) -> np.ndarray:
        words = np.full(WORDS, index + 1, "<u2")
        add_masks(words, [self.seed(index, column) for column in range(3)])
        return words

    def commitments(self, index: int) -> list[Digest]:
        trainer = key(f"trainer {index}").address
        return [
            seed_commitment(self.attempt.ctx, trainer, column, self.seed(index, column))
            for column in range(3)
        ]

    def header(self, index: int) -> Header:
        root = tree_root(TreeKind.MASKED_VECTOR, self.vector(index).tobytes())
        trainer = key(f"trainer {index}").address
        place = (self.attempt.ctx, index, trainer, root, WORDS, 16)
        return Header(*place, seeds_hash(self.commitments(index)), digest("capsules"))

    def signature(self, index: int) -> bytes:
        header = statement_digest(self.ledger.rules.domain, self.header(index))
        return key(f"trainer {index}").sign_digest(header)

    def record(self, index: int) -> bytes:
        return self.header(index).record(self.signature(index))

    def mask_sum(self, column: int) -> bytes:
        words = np.zeros(WORDS, "<u2")
        for index in range(TRAINERS):
            words += expand(self.seed(index, column), WORDS, 16)
        return words.tobytes()

    def mask_root(self, column: int) -> Digest:
        return tree_root(TreeKind.MASK_SUM, self.mask_sum(column))

    def aggregate(self) -> bytes:
        return np.full(WORDS, sum(range(TRAINERS + 1)), "<u2").tobytes()

    def commitment(self, seat: int) -> Digest:
        return mask_commitment(self.attempt.ctx, seat, self.mask_root(seat % 3))

    def statement(self, *, mask=b"", aggregate=b"", model=b"", view: int = 0, seats=SIX):
        """Sign a proposal; bytes given instead of the true ones make it a lie."""
        roots = [self.mask_root(column) for column in range(3)]
        if mask:
            roots[COLUMN] = tree_root(TreeKind.MASK_SUM, mask)
        root = tree_root(TreeKind.AGGREGATE, aggregate or self.aggregate())
        accepted = self.attempt.accepted
        model = tree_root(TreeKind.MODEL, model) if model else digest("next model")
        propose = Propose(
            *(self.attempt.ctx, view, accepted.inclusion_root),
            *(mask_roots_hash(roots), root, model),
        )
        signatures = tuple(self.sign(seat, propose) for seat in bits(seats))
        return ProposalStatement(TASK, view, tuple(roots), root, model, seats, signatures)

    def submit(self, it: ProposalStatement) -> ProposalStatement:
        """Put a statement on chain; the accepted one needs no signatures any more."""
        self.apply(self.proposed_call(it))
        return replace(it, signatures=())

    def proposed_call(self, it: ProposalStatement) -> ProposeModel:
        at = (TASK, self.attempt.round, self.attempt.attempt, it.view)
        roots = (it.mask_roots, it.aggregate_root, it.model_root)
        return ProposeModel(*at, *roots, it.seats, it.signatures)

    def ready(self):
        """Go to the time of proposals over the whole roster."""
        self.drawn().included()
        self.at(schedule.proposal_view(TERMS, self.attempt.accepted.accepted_at, 0)[0])
        return self

    def batch(self, it: ProposalStatement, first: int = 0, level: int = 3, aggregate=b""):
        members = range(first, min(first + (1 << level), TRAINERS))
        headers = [self.header(i) for i in members]
        nodes = self.records((1 << TRAINERS) - 1)
        closing = [self.mask_sum(column) for column in range(3)] + [aggregate or self.aggregate()]
        is_last = members.stop == TRAINERS
        return ProveAggregate(
            proposal=it,
            coordinate=COORDINATE,
            first=first,
            level=level,
            headers=tuple(
                SummedHeader(h.trainer, h.root, h.seeds_hash, h.capsules_hash, self.signature(i))
                for i, h in zip(members, headers, strict=True)
            ),
            path=_path_above(nodes, first, level),
            openings=tuple(tree_opening(self.vector(i).tobytes(), 0) for i in members),
            closing=tuple(tree_opening(data, 0) for data in closing) if is_last else (),
        )

    def opening(self, it: ProposalStatement, used: bytes, own: bytes) -> OpenSeeds:
        return OpenSeeds(
            proposal=it,
            column=COLUMN,
            group=COORDINATE * 2 // 32,
            contributions=tuple(self.opened(index) for index in range(TRAINERS)),
            used=tree_opening(used, 0),
            own=tree_opening(own, 0),
            accused=NOBODY,
            accused_signatures=(),
        )

    def opened(self, index: int) -> OpenedContribution:
        header, others = self.header(index), self.commitments(index)
        del others[COLUMN]
        words = (header.trainer, header.root, header.capsules_hash, self.signature(index))
        return OpenedContribution(*words, self.seed(index, COLUMN), tuple(others))

    def mask_root_signature(self, seat: int, root: Digest) -> bytes:
        inclusion = self.attempt.accepted.inclusion_root
        return self.sign(seat, MaskRoot(self.attempt.ctx, seat % 3, inclusion, root, WORDS))

    def challenge(self, it: ProposalStatement, seat: int, own: bytes):
        root = tree_root(TreeKind.MASK_SUM, own)
        call = OpenChallenge(it, seat, root, self.mask_root_signature(seat, root), self.bond)
        return self.apply(call, self.seat_keys()[seat].address)

    @property
    def bond(self) -> Wei:
        return Wei(self.ledger.rules.challenge_bond)


def _path_above(records: bytes, first: int, level: int) -> tuple[Digest, ...]:
    span = RECORD_BYTES << level
    parts = [records[i : i + span] for i in range(0, len(records), span)]
    nodes, index, path = [top_of(part, RECORD_BYTES) for part in parts], first >> level, []
    while len(nodes) > 1:
        if index ^ 1 < len(nodes):
            path.append(Digest(nodes[index ^ 1]))
        nodes = [fold(nodes[i : i + 2]) for i in range(0, len(nodes), 2)]
        index >>= 1
    return tuple(path)


def turned(data: bytes) -> bytes:
    """Return the bytes with one bit of the coordinate's word turned."""
    at = 2 * COORDINATE
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
