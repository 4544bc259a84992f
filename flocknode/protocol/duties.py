"""What seats owe each other once a set stands: opened commitments and the seeds of its members."""

from flocknode.messages.wire import MaskRootMessage
from flocknode.primitives import Digest, Seconds
from flocknode.protocol.attestation import Attester
from flocknode.protocol.chain_view import AttemptView
from flocknode.protocol.effects import Effect, Prepare, Submit, SubmitAll, TakeSeed
from flocknode.protocol.events import Prepared
from flocknode.protocol.evidence import UNPRICED, ProofRequest, SeedAnswer
from flocknode.protocol.inclusion_set import InclusionSet, form_set
from flocknode.protocol.ledger import Call, SetAccepted
from flocknode.protocol.pace import RESEND_SECONDS, Pace
from flocknode.protocol.proofs import Accuse, DemandSeed, OpenCommitment
from flocknode.protocol.seating import Seating
from flocknode.protocol.standing import Standing
from flocknode.protocol.unmasking import Unmasker

DEMANDS_MAX = 8
"""Seeds that one seat demands of an attempt: more of them lacking is a fault of its own."""

DEMAND_SECONDS_MIN = 2 * RESEND_SECONDS
"""A demand that nobody has time to answer aborts the attempt: in shorter windows none is made."""


class DutyWatch:
    """One seat's accusations and demands, and its answers to them."""

    def __init__(
        self,
        seating: Seating,
        seat: int,
        attester: Attester,
        unmasker: Unmasker,
        standing: Standing,
        pace: Pace,
    ) -> None:
        self._seating = seating
        self._seat = seat
        self._column = seating.column_of(seat)
        self._attester = attester
        self._unmasker = unmasker
        self._standing = standing
        self._pace = pace
        self._answers: dict[ProofRequest, tuple[Call, ...]] = {}
        self._known: InclusionSet | None = None

    def advance(
        self, tip: AttemptView, final: AttemptView, timestamp: int, now: Seconds
    ) -> list[Effect]:
        accepted = tip.accepted
        if accepted is None:
            return []
        effects = self._answer_accusations(accepted, tip, now)
        if self._unmasker.opened(accepted):
            # Others' MASK_ROOTs may be on their way: they are said again every other second.
            is_patient = self._pace.after("silence", now, 2 * RESEND_SECONDS)
            if is_patient and timestamp >= self._seating.root_deadline(accepted.accepted_at):
                effects += self._accuse(accepted, tip, now)
        docket = tip.docket
        is_signer = accepted.seats >> self._seat & 1
        if is_signer and not (docket.demands or docket.given or final.docket.demands):
            return effects
        known = self._known_set(accepted)
        if known is None:
            return effects
        effects += self._take_given(known, tip)
        if final.accepted == accepted:
            effects += self._demand(accepted, known, tip, timestamp, now)
            effects += self._answer_demands(known, final, now)
        return effects

    def prepared(self, event: Prepared) -> None:
        self._answers[event.request] = event.calls

    def _accuse(self, accepted: SetAccepted, tip: AttemptView, now: Seconds) -> list[Effect]:
        """Accuse who signed the set and was not heard since, neither here nor on the chain.

        Where most are silent something else is wrong, and the contract judges nobody.
        """
        seats = self._seating.terms.seats
        if 2 * sum(bool(self._unmasker.heard(s, accepted)) for s in range(seats)) < seats:
            return []
        answered = tip.docket.commitments | tip.docket.was_accused | tip.docket.tried | tip.slashed
        answered |= tip.proposal.seats if tip.proposal else 0
        effects: list[Effect] = []
        for seat in self._seating.seats:
            owes = (accepted.seats & ~answered) >> seat & 1
            if not owes or seat == self._seat or self._unmasker.heard(seat, accepted):
                continue
            rank = (self._seat - seat) % self._seating.terms.seats - 1
            if self._pace.my_turn(("accuse", seat), now, rank):
                effects.append(Submit(Accuse(self._seating.drawn.task, seat, UNPRICED)))
        return effects

    def _answer_accusations(
        self, accepted: SetAccepted, tip: AttemptView, now: Seconds
    ) -> list[Effect]:
        """Put an accused seat's MASK_ROOT on chain: the own at once, another's if it does not."""
        effects: list[Effect] = []
        for accusation in tip.docket.accused:
            message = self._unmasker.heard(accusation.seat, accepted)
            rank = (self._seat - accusation.seat) % self._seating.terms.seats
            if message and self._pace.my_turn(("open", accusation.seat), now, rank):
                effects.append(Submit(self._opening(message)))
        return effects

    def _opening(self, message: MaskRootMessage) -> OpenCommitment:
        task = self._seating.drawn.task
        return OpenCommitment(task, message.seat, message.root, message.signature)

    def _known_set(self, accepted: SetAccepted) -> InclusionSet | None:
        """Return the accepted set if its headers are known here, seeds or not."""
        if self._known is None or self._known.root != accepted.inclusion_root:
            members = self._attester.known_of(accepted.trainers)
            self._known = form_set(members, self._seating)
        is_same = self._known is not None and self._known.root == accepted.inclusion_root
        return self._known if is_same else None

    def _demand(
        self,
        accepted: SetAccepted,
        known: InclusionSet,
        tip: AttemptView,
        timestamp: int,
        now: Seconds,
    ) -> list[Effect]:
        """Demand the seeds that no mate gave, if others signed for the set without this seat."""
        window = self._seating.terms.windows.demand
        until = accepted.accepted_at + (window + 1) // 2
        if accepted.seats >> self._seat & 1 or timestamp >= until or window < DEMAND_SECONDS_MIN:
            return []
        lacking = set(self._attester.without_seed(known.headers)[:DEMANDS_MAX])
        asked = {demand.position for demand in tip.docket.demands}
        patient = self._pace.after("demand", now, RESEND_SECONDS / 4)
        return [
            Submit(DemandSeed(self._seating.drawn.task, self._seat, position, UNPRICED))
            for position, header in enumerate(known.headers)
            if header in lacking
            and position not in asked
            and patient
            and self._pace.every(("demand", position), now)
        ]

    def _answer_demands(
        self, known: InclusionSet, final: AttemptView, now: Seconds
    ) -> list[Effect]:
        """Give the own column's seed that a final demand asks for: a seed is not taken back."""
        effects: list[Effect] = []
        for demand in final.docket.demands:
            if demand.column != self._column or demand.seat == self._seat:
                continue
            request = SeedAnswer(known, demand.position, self._column)
            calls = self._answers.get(request)
            if calls is None:
                if self._pace.once(("seed", demand.position)):
                    effects.append(Prepare(self._seating, request))
                continue
            rank = self._seat // self._seating.terms.columns
            if calls and self._pace.my_turn(("seed answer", demand.position), now, rank):
                effects.append(SubmitAll(calls))
        return effects

    def _take_given(self, known: InclusionSet, tip: AttemptView) -> list[Effect]:
        """Take the seeds of the own column that were given on chain."""
        effects: list[Effect] = []
        for given in tip.docket.given:
            if given.column != self._column or given.position >= len(known.members):
                continue
            member = known.members[given.position]
            if self._attester.without_seed((member.digest,)) and self._pace.once(given):
                effects.append(self._take(member.digest, member.header.index, given.seed, known))
        return effects

    def _take(self, header: Digest, index: int, seed: bytes, known: InclusionSet) -> TakeSeed:
        commitments = next(m.header.commitments for m in known.members if m.digest == header)
        return TakeSeed(self._seating, header, index, self._seat, seed, commitments[self._column])
