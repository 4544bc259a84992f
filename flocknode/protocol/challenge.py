"""Step 9: seats recompute what stands on the chain and what they are told, and prove what is wrong.

A proof is prepared and checked before anything is put at risk; who lacks bytes, or finds its own
wrong, does nothing. Lost messages and refused transactions come round again until the chain shows
the verdict.
"""

from collections import Counter

from flocknode.crypto.hashing import mask_roots_hash
from flocknode.crypto.merkle import TreeKind
from flocknode.messages.wire import ProposeVote
from flocknode.primitives import ZERO_DIGEST, Digest, Seconds
from flocknode.protocol.chain_view import AttemptView
from flocknode.protocol.effects import Effect, Hold, Submit, SubmitAll
from flocknode.protocol.events import Prepared
from flocknode.protocol.evidence import (
    UNPRICED,
    AggregateProof,
    Answer,
    MaskProof,
    Node,
    ProofRequest,
    StepProof,
    TreeAnswer,
    accepted_statement,
    levels_of,
    tree_of,
)
from flocknode.protocol.inclusion import Includer
from flocknode.protocol.inclusion_set import InclusionSet
from flocknode.protocol.ledger import ProposalAccepted, SetAccepted
from flocknode.protocol.pace import Pace
from flocknode.protocol.proofs import (
    AskTree,
    OpenChallenge,
    OpenSeeds,
    ProposalStatement,
)
from flocknode.protocol.proposal import Proposer
from flocknode.protocol.pursuit import Pursuit
from flocknode.protocol.seating import Seating
from flocknode.protocol.standing import Standing
from flocknode.protocol.unmasking import Unmasker

PULLS_MIN = 2
"""Pulls that must fail before the chain is asked for the bytes."""


class Challenger:
    """One seat's watch over sets, proposals and votes."""

    def __init__(
        self,
        seating: Seating,
        seat: int,
        includer: Includer,
        unmasker: Unmasker,
        proposer: Proposer,
        standing: Standing,
        pace: Pace,
    ) -> None:
        self._seating = seating
        self._seat = seat
        self._column = seating.column_of(seat)
        self._includer = includer
        self._unmasker = unmasker
        self._proposer = proposer
        self._standing = standing
        self._pace = pace
        self._tip = AttemptView()
        self._pursuit = Pursuit(seating, seat, pace)
        self._failed: Counter[Digest] = Counter()
        self._suspects: dict[int, ProposalStatement] = {}
        """The first wrong vote of each seat."""
        self._serving: Digest | None = None

    def advance(
        self, tip: AttemptView, final: AttemptView, timestamp: int, now: Seconds, *, has_model: bool
    ) -> list[Effect]:
        """Do the next thing about everything that is wrong."""
        self._tip = tip
        accepted, proposal = tip.accepted, tip.proposal
        if accepted is None:
            return []
        if accepted.weight != self._seating.roster.weight_of(accepted.trainers):
            return self._pursuit.disprove_weight(accepted, now)
        chosen = self._includer.set_of(accepted.inclusion_root, accepted.trainers)
        if chosen is None:
            # It was signed without this seat.
            return self._pursuit.check_records(accepted, now)
        effects = self._serve(chosen)
        if proposal:
            effects += self._answer_questions(accepted, proposal, tip, now)
            effects += self._challenge_mask(accepted, proposal, chosen, tip, final, timestamp, now)
            if has_model:
                statement = accepted_statement(proposal)
                effects += self._examine(statement, accepted, chosen, proposal.seats, now)
            effects += self._ask_if_withheld(accepted, proposal, tip, timestamp, now)
        if has_model:
            # Only the proposer was sent a vote: nobody else would take a turn.
            others = ~(1 << self._seat)
            for seat, suspect in self._suspects.items():
                if not self._standing.is_slashed(seat):
                    effects += self._examine(suspect, accepted, chosen, others, now)
        return effects

    def prepared(self, event: Prepared) -> None:
        self._pursuit.prepared(event)

    def vector_held(self, root: Digest, kind: TreeKind) -> None:
        self._pursuit.vector_held(root, kind)

    def fetch_failed(self, root: Digest) -> None:
        self._failed[root] += 1

    def note_vote(self, vote: ProposeVote, mask_roots: tuple[Digest, ...]) -> None:
        """Suspect a vote for the own offer's mask roots that names another outcome."""
        if vote.mask_roots_hash != mask_roots_hash(mask_roots) or vote.seat == self._seat:
            return
        statement = ProposalStatement(
            self._seating.drawn.task,
            vote.view,
            mask_roots,
            vote.aggregate_root,
            vote.model_root,
            1 << vote.seat,
            (vote.signature,),
        )
        self._suspects.setdefault(vote.seat, statement)

    def _serve(self, chosen: InclusionSet) -> list[Effect]:
        """Serve the accepted records from now on: whoever signed another set checks them."""
        if self._serving == chosen.root:
            return []
        self._serving = chosen.root
        return [Hold(chosen.root, chosen.records)]

    def _examine(
        self,
        statement: ProposalStatement,
        accepted: SetAccepted,
        chosen: InclusionSet,
        unable: int,
        now: Seconds,
    ) -> list[Effect]:
        """Recompute a proposal; prove what differs once the bytes that it names are here.

        ``unable`` is the bitmap of the seats that will not, and so have no turn.
        """
        roots = statement.mask_roots
        if not self._unmasker.holds_all(roots):
            kind, length = TreeKind.MASK_SUM, self._seating.vector_bytes
            missing = (root for root in roots if not self._unmasker.holds_all((root,)))
            pulls = (self._pursuit.fetch(it, kind, length, statement.seats, now) for it in missing)
            return [effect for pull in pulls for effect in pull]
        mine = self._proposer.computed_for(roots)
        if mine is None:
            return self._proposer.compute(accepted, roots)
        columns = self._seating.terms.columns
        if mine.aggregate_root != statement.aggregate_root:
            answers = self._answers(statement, columns)
            proof: ProofRequest = AggregateProof(statement, chosen, mine.aggregate_root, answers)
            wrong, kind = statement.aggregate_root, TreeKind.AGGREGATE
            length = self._seating.vector_bytes
        elif mine.model_root != statement.model_root:
            answers = self._answers(statement, columns + 1)
            proof = StepProof(statement, accepted, mine.model_root, answers)
            wrong, kind = statement.model_root, TreeKind.MODEL
            length = 4 * self._seating.terms.integers.words
        else:
            return []
        if answers or self._pursuit.holds(wrong, kind):
            return self._bring(proof, unable, now)
        return self._pursuit.fetch(wrong, kind, length, statement.seats, now)

    def _answers(self, statement: ProposalStatement, tree: int) -> tuple[Answer, ...]:
        """Return what the chain was given about a tree of the proposal that stands."""
        tip = self._tip
        if tip.proposal is None or accepted_statement(tip.proposal) != statement:
            return ()
        given = ((q, data) for q, data in tip.docket.answers.items() if q.tree == tree)
        return tuple(Answer(q.level, q.index, data) for q, data in given)

    def _challenge_mask(
        self,
        accepted: SetAccepted,
        proposal: ProposalAccepted,
        chosen: InclusionSet,
        tip: AttemptView,
        final: AttemptView,
        timestamp: int,
        now: Seconds,
    ) -> list[Effect]:
        """Disprove the root that is named for the own column; seeds only under a final lock."""
        mine, used = self._unmasker.opened(accepted), proposal.mask_roots[self._column]
        if mine is None or used == mine.root or self._standing.is_slashed(self._seat):
            return []
        answers = self._answers(accepted_statement(proposal), self._column)
        if not self._unmasker.holds_all((used,)) and not answers:
            length = self._seating.vector_bytes
            return self._pursuit.fetch(used, TreeKind.MASK_SUM, length, proposal.seats, now)
        signed = self._unmasker.signatures_of(self._column, used, accepted)
        proof = MaskProof(
            accepted_statement(proposal),
            chosen,
            self._column,
            mine.root,
            sum(1 << seat for seat in signed),
            tuple(signed.values()),
            answers,
        )
        calls = self._pursuit.calls_of(proof)
        if calls is None:
            return self._pursuit.prepare(proof)
        docket = tip.docket
        is_open = docket.opened_column == self._column
        if not calls or is_open or not isinstance(calls[0], OpenSeeds):
            return self._bring(proof, proposal.seats, now)
        lock = docket.challenge
        if lock is None:
            return self._lock(proposal, mine.root, mine.signature, docket.tried, now)
        is_ours = lock.seat == self._seat and final.docket.challenge == lock
        is_time = lock.opens_at <= timestamp < lock.deadline and docket.opened_column is None
        # A seed that is out cannot be taken back.
        if not (is_ours and is_time and self._pace.every(("seeds", lock.opens_at), now)):
            return []
        return [SubmitAll(calls)]

    def _lock(
        self, proposal: ProposalAccepted, root: Digest, signature: bytes, tried: int, now: Seconds
    ) -> list[Effect]:
        if tried >> self._seat & 1:
            return []
        statement = accepted_statement(proposal)
        call = OpenChallenge(statement, self._seat, root, signature, UNPRICED)
        rank = self._seat // self._seating.terms.columns
        is_mine = self._pace.my_turn(("challenge", proposal.view), now, rank)
        return [Submit(call)] if is_mine else []

    def _answer_questions(
        self, accepted: SetAccepted, proposal: ProposalAccepted, tip: AttemptView, now: Seconds
    ) -> list[Effect]:
        """Give the chain what it asks for about the proposal, if it is here."""
        effects: list[Effect] = []
        for asked in tip.docket.questions:
            tree = tree_of(self._seating, accepted, proposal, asked.tree)
            if tree:
                answer = TreeAnswer(asked.question, Node(*tree, asked.level, asked.index))
                effects += self._bring(answer, 0, now)
        return effects

    def _ask_if_withheld(
        self,
        accepted: SetAccepted,
        proposal: ProposalAccepted,
        tip: AttemptView,
        timestamp: int,
        now: Seconds,
    ) -> list[Effect]:
        """Ask for the top of a tree that this seat needs and nobody gave it."""
        patience = self._seating.terms.windows.challenge // 3
        if timestamp < proposal.accepted_at + patience:
            return []
        docket = tip.docket
        asked = {q.tree for q in (*docket.questions, *docket.answers)}
        effects: list[Effect] = []
        for number in range(self._seating.terms.columns + 3):
            tree = tree_of(self._seating, accepted, proposal, number)
            if tree is None or number in asked or self._failed[tree[0]] < PULLS_MIN:
                continue
            is_here = self._pursuit.holds(tree[0], tree[1])
            if not is_here and self._pursuit.is_turn(("ask", tree[0]), proposal.seats, now):
                top = levels_of(tree[2], tree[3])
                statement = accepted_statement(proposal)
                ask = AskTree(statement, number, top, 0, ZERO_DIGEST, (), UNPRICED)
                effects.append(Submit(ask))
        return effects

    def _bring(self, proof: ProofRequest, signers: int, now: Seconds) -> list[Effect]:
        """Prove, unless what the proof asks is on the chain already."""
        calls = self._pursuit.calls_of(proof)
        if calls and isinstance(calls[0], AskTree) and self._is_asked(calls[0]):
            return []
        return self._pursuit.bring(proof, signers, now)

    def _is_asked(self, ask: AskTree) -> bool:
        """Tell whether the chain waits for this answer already."""
        place = (ask.tree, ask.level, ask.index)
        return any((q.tree, q.level, q.index) == place for q in self._tip.docket.questions)
