"""Step 5: the seats agree on one inclusion set and commit to their mask roots with it."""

from flocknode.crypto.hashing import mask_commitment
from flocknode.messages.statements import Include
from flocknode.messages.wire import IncludeOffer, IncludeVote, WantContributions
from flocknode.primitives import Digest, PeerId, Seconds
from flocknode.protocol.attestation import Attester
from flocknode.protocol.effects import Effect, Send, Sign, Submit, SumMasks
from flocknode.protocol.events import MasksSummed
from flocknode.protocol.inclusion_set import InclusionSet, form_set
from flocknode.protocol.ledger import AnswerRollCall, IncludeSet
from flocknode.protocol.pace import GRACE_SECONDS, Pace
from flocknode.protocol.sealing_keys import others
from flocknode.protocol.seating import Seating


class Includer:
    """One seat's part in the views of inclusion."""

    def __init__(self, seating: Seating, seat: int, attester: Attester, pace: Pace) -> None:
        self._seating = seating
        self._seat = seat
        self._attester = attester
        self._pace = pace
        self._offers: dict[int, IncludeOffer] = {}
        """The first offer of each view that came from its proposer."""
        self._sets: dict[Digest, InclusionSet] = {}
        self._sums: dict[Digest, MasksSummed] = {}
        self._summing: set[Digest] = set()
        self._signing: dict[int, Include] = {}
        """What this seat signs in each view: once, whatever is offered later."""
        self._own: dict[int, IncludeVote] = {}
        self._votes: dict[int, dict[int, IncludeVote]] = {}
        """What seats answered to the own offers."""
        self._asked: set[int] = set()
        self._refused: set[int] = set()

    def offer_if_due(self, timestamp: int, now: Seconds) -> list[Effect]:
        """Propose the view's set if this seat is the view's proposer."""
        view = self._seating.inclusion_view(timestamp)
        if view is None or self._seating.proposer_of(view) != self._seat:
            return []
        offer = self._offers.get(view)
        if offer is None:
            chosen = self._choose(timestamp)
            if chosen is None:
                return []
            offer = IncludeOffer(self._seating.ctx, view, chosen.headers)
            self._pace.mark(("offer", view), now)
            sending = Send(others(self._seating, self._seat), offer)
            return [sending, *self.hear_offer(offer, self._seating.peers[self._seat], timestamp)]
        if self._pace.every(("offer", view), now):
            return [Send(others(self._seating, self._seat), offer)]
        return []

    def hear_offer(self, offer: IncludeOffer, sender: PeerId, timestamp: int) -> list[Effect]:
        """Keep the first offer of the view's proposer and answer it."""
        view = self._seating.inclusion_view(timestamp)
        if view != offer.view or sender != self._seating.peers[self._seating.proposer_of(view)]:
            return []
        first = self._offers.setdefault(view, offer)
        if first != offer:
            return []
        # An offer that comes again tells that question or answer may be lost.
        self._asked.discard(view)
        vote = self._own.get(view)
        return [self._to_proposer(vote)] if vote else self.consider(timestamp)

    def consider(self, timestamp: int) -> list[Effect]:
        """Sign INCLUDE for the view's offer as soon as every condition holds."""
        view = self._seating.inclusion_view(timestamp)
        offer = self._offers.get(view) if view is not None else None
        if view is None or offer is None or view in self._signing:
            return []
        missing = self._attester.lacking(offer.headers)
        if missing:
            return [] if view in self._asked else self._ask(missing, view)
        chosen = form_set(self._attester.contributions_of(offer.headers), self._seating)
        if chosen is None or not self._is_acceptable(chosen, timestamp):
            return [] if view in self._refused else self._refuse(offer, view)
        self._sets[chosen.root] = chosen
        if chosen.root in self._sums:
            return self._sign(view, chosen, self._sums[chosen.root].root)
        return self.sum_masks(chosen)

    def sum_masks(self, chosen: InclusionSet) -> list[Effect]:
        """Ask for this column's mask sum over ``chosen``, once."""
        self._sets[chosen.root] = chosen
        if chosen.root in self._summing:
            return []
        self._summing.add(chosen.root)
        return [SumMasks(self._seating, chosen.root, chosen.headers)]

    def masks_summed(self, summed: MasksSummed, timestamp: int) -> list[Effect]:
        self._sums[summed.inclusion_root] = summed
        return self.consider(timestamp)

    def set_of(self, root: Digest, trainers: int) -> InclusionSet | None:
        """Return the accepted set: one we signed, or one we can form from what we hold."""
        known = self._sets.get(root)
        if known is None:
            known = form_set(self._attester.held_of(trainers), self._seating)
        return known if known and known.root == root else None

    def sum_of(self, root: Digest) -> MasksSummed | None:
        return self._sums.get(root)

    def signed(self, include: Include, signature: bytes) -> list[Effect]:
        """Send the vote to the view's proposer."""
        if self._signing.get(include.view) != include:
            return []
        vote = IncludeVote(
            include.ctx,
            include.view,
            self._seat,
            include.inclusion_root,
            include.trainers.to_bytes(-(-include.trainers.bit_length() // 8), "big"),
            include.weight,
            include.commitment,
            signature,
        )
        self._own[include.view] = vote
        if self._seating.proposer_of(include.view) == self._seat:
            self.hear_vote(vote)
            return []
        return [self._to_proposer(vote)]

    def hear_vote(self, vote: IncludeVote) -> None:
        """Count a vote for the own offer."""
        mine = self._seating.proposer_of(vote.view) == self._seat
        offered = self._offered(vote.view)
        if mine and offered is not None and _is_for(vote, offered):
            self._votes.setdefault(vote.view, {}).setdefault(vote.seat, vote)

    def submit_if_due(self, timestamp: int, now: Seconds) -> list[Effect]:
        """Submit with all votes, or with a majority of every column after a moment's grace."""
        view = self._seating.inclusion_view(timestamp)
        votes = self._votes.get(view, {}) if view is not None else {}
        if view is None or not self._seating.has_column_majorities(set(votes)):
            return []
        if self._seating.proposer_of(view) != self._seat:
            return []
        patient = self._pace.after(("votes", view), now, GRACE_SECONDS)
        ready = patient or len(votes) == self._seating.terms.seats
        return self._submit(view) if ready and self._pace.every(("set", view), now) else []

    def answer_roll_call(self, now: Seconds) -> list[Effect]:
        """Put an own INCLUDE of this attempt on chain; sign an empty one if there is none."""
        if not self._pace.every("roll call", now):
            return []
        if self._own:
            return [Submit(self._roll_call(self._own[max(self._own)]))]
        last = self._seating.terms.views - 1
        if last in self._signing:
            return []
        empty = Digest(bytes(32))
        self._signing[last] = Include(self._seating.ctx, last, empty, 0, 0, empty)
        return [Sign(self._signing[last])]

    def _choose(self, timestamp: int) -> InclusionSet | None:
        """Form the set of one held header of every attested trainer, or None if one is lacking."""
        known = self._attester.contributions_of(self._attester.attested())
        held = {c.header.index: c for c in known if self._attester.holds(c.digest)}
        chosen = form_set(held.values(), self._seating)
        return chosen if chosen and self._is_acceptable(chosen, timestamp) else None

    def _is_acceptable(self, chosen: InclusionSet, timestamp: int) -> bool:
        count = len(chosen.members)
        whole = count == len(self._seating.roster.entries)
        frozen = self._seating.drawn.frozen_trainers
        return (
            count >= self._seating.terms.trainers_min
            and (whole or timestamp >= self._seating.views_begin)
            and (not frozen or chosen.trainers == frozen)
            and not self._attester.omitted(chosen.headers)
        )

    def _ask(self, missing: tuple[Digest, ...], view: int) -> list[Effect]:
        proposer = self._seating.peers[self._seating.proposer_of(view)]
        self._asked.add(view)
        return [Send((proposer,), WantContributions(self._seating.ctx, missing))]

    def _refuse(self, offer: IncludeOffer, view: int) -> list[Effect]:
        """Refuse by showing all seats the attestations that it rests on: the next may propose."""
        self._refused.add(view)
        omitted = self._attester.omitted(offer.headers)
        seats = others(self._seating, self._seat)
        return [Send(seats, m) for m in self._attester.evidence(omitted)]

    def _sign(self, view: int, chosen: InclusionSet, mask_root: Digest) -> list[Effect]:
        commitment = mask_commitment(self._seating.ctx, self._seat, mask_root)
        include = Include(
            self._seating.ctx, view, chosen.root, chosen.trainers, chosen.weight, commitment
        )
        self._signing[view] = include
        return [Sign(include)]

    def _to_proposer(self, vote: IncludeVote) -> Send:
        return Send((self._seating.peers[self._seating.proposer_of(vote.view)],), vote)

    def _offered(self, view: int) -> InclusionSet | None:
        offer = self._offers.get(view)
        if offer is None:
            return None
        return form_set(self._attester.contributions_of(offer.headers), self._seating)

    def _submit(self, view: int) -> list[Effect]:
        votes = [vote for _, vote in sorted(self._votes[view].items())]
        include = votes[0].statement()
        drawn = self._seating.drawn
        return [
            Submit(
                IncludeSet(
                    drawn.task,
                    drawn.round,
                    drawn.attempt,
                    view,
                    include.inclusion_root,
                    include.trainers,
                    include.weight,
                    sum(1 << vote.seat for vote in votes),
                    tuple(vote.commitment for vote in votes),
                    tuple(vote.signature for vote in votes),
                )
            )
        ]

    def _roll_call(self, vote: IncludeVote) -> AnswerRollCall:
        drawn = self._seating.drawn
        include = vote.statement()
        return AnswerRollCall(
            drawn.task,
            drawn.round,
            drawn.attempt,
            self._seat,
            include.view,
            include.inclusion_root,
            include.trainers,
            include.weight,
            include.commitment,
            vote.signature,
        )


def _is_for(vote: IncludeVote, offered: InclusionSet) -> bool:
    include = vote.statement()
    return (include.inclusion_root, include.trainers, include.weight) == (
        offered.root,
        offered.trainers,
        offered.weight,
    )
