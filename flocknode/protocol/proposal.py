"""Step 8: the seats recompute aggregate and model, and sign only what they computed."""

from flocknode.crypto.hashing import mask_roots_hash
from flocknode.messages.statements import Propose
from flocknode.messages.wire import ModelWords, ProposeOffer, ProposeVote
from flocknode.primitives import Digest, PeerId, Seconds
from flocknode.protocol.effects import ComputeAggregate, Effect, Send, Sign, Submit
from flocknode.protocol.events import AggregateComputed
from flocknode.protocol.inclusion import Includer
from flocknode.protocol.ledger import ProposalAccepted, ProposeModel, SetAccepted
from flocknode.protocol.pace import GRACE_SECONDS, Pace
from flocknode.protocol.sealing_keys import others
from flocknode.protocol.seating import Seating
from flocknode.protocol.standing import Standing
from flocknode.protocol.unmasking import Unmasker


class Proposer:
    """One seat's part in the views of proposal."""

    def __init__(
        self,
        seating: Seating,
        seat: int,
        includer: Includer,
        unmasker: Unmasker,
        pace: Pace,
        standing: Standing,
    ) -> None:
        self._seating = seating
        self._seat = seat
        self._standing = standing
        self._includer = includer
        self._unmasker = unmasker
        self._pace = pace
        self._computing: set[tuple[Digest, ...]] = set()
        self._computed: dict[tuple[Digest, ...], AggregateComputed] = {}
        self._offers: dict[int, ProposeOffer] = {}
        self._signing: dict[int, Propose] = {}
        self._own: dict[int, ProposeVote] = {}
        self._votes: dict[int, dict[int, ProposeVote]] = {}
        """What seats answered to the own offers."""

    def advance(self, accepted: SetAccepted, timestamp: int, now: Seconds) -> list[Effect]:
        """Do what the mask roots at hand allow: pull, compute, offer."""
        if self._unmasker.own_root is None:
            return []
        roots = self._unmasker.choose(accepted, timestamp)
        if roots is None:
            return self._unmasker.fetch_signed(accepted, timestamp, now)
        if not self._unmasker.holds_all(roots):
            wanted = self._unmasker.fetch_missing(accepted, roots, now)
            return wanted + self._unmasker.fetch_signed(accepted, timestamp, now)
        if roots not in self._computed:
            return self.compute(accepted, roots)
        return self._offer_if_due(accepted, roots, timestamp, now)

    def vectors_lost(self) -> None:
        """Compute anew what could not be computed, once everything is here again."""
        self._computing.intersection_update(self._computed)

    def computed(self, event: AggregateComputed) -> None:
        self._computed[event.mask_roots] = event

    def hear_offer(
        self, offer: ProposeOffer, sender: PeerId, accepted: SetAccepted, timestamp: int
    ) -> list[Effect]:
        """Keep the first offer of the view's proposer; repeat the own answer to it."""
        view = self._standing.proposal_view(timestamp, accepted)
        if view != offer.view or sender != self._seating.peers[self._standing.proposer_of(view)]:
            return []
        if self._offers.setdefault(view, offer) != offer:
            return []
        vote = self._own.get(view)
        return [self._to_proposer(vote)] if vote else []

    def consider(self, accepted: SetAccepted, timestamp: int) -> list[Effect]:
        """Sign PROPOSE for the view's offer as soon as it equals the own computation.

        After ``root_deadline`` the offer's roots may be others than the own choice.
        """
        view = self._standing.proposal_view(timestamp, accepted)
        offer = self._offers.get(view) if view is not None else None
        if view is None or offer is None or view in self._signing:
            return []
        if not self._is_acceptable(offer, accepted, timestamp):
            return []
        mine = self._computed.get(offer.mask_roots)
        if mine is None:
            held = self._unmasker.holds_all(offer.mask_roots)
            return self.compute(accepted, offer.mask_roots) if held else []
        if (mine.aggregate_root, mine.model_root) != (offer.aggregate_root, offer.model_root):
            return []
        self._signing[view] = Propose(
            self._seating.ctx,
            view,
            accepted.inclusion_root,
            mask_roots_hash(offer.mask_roots),
            offer.aggregate_root,
            offer.model_root,
        )
        return [Sign(self._signing[view])]

    def signed(self, propose: Propose, signature: bytes) -> list[Effect]:
        """Send the vote to the view's proposer."""
        if self._signing.get(propose.view) != propose:
            return []
        vote = ProposeVote(
            propose.ctx,
            propose.view,
            self._seat,
            propose.inclusion_root,
            propose.mask_roots_hash,
            propose.aggregate_root,
            propose.model_root,
            signature,
        )
        self._own[propose.view] = vote
        if self._standing.proposer_of(propose.view) == self._seat:
            self.hear_vote(vote)
            return []
        return [self._to_proposer(vote)]

    def hear_vote(self, vote: ProposeVote) -> None:
        """Count a vote for the own proposal."""
        mine = self._signing.get(vote.view)
        is_proposer = self._standing.proposer_of(vote.view) == self._seat
        if is_proposer and mine is not None and vote.statement() == mine:
            self._votes.setdefault(vote.view, {}).setdefault(vote.seat, vote)

    def submit_if_due(self, accepted: SetAccepted, timestamp: int, now: Seconds) -> list[Effect]:
        """Submit with all votes, or with a quorum after a moment's grace."""
        view = self._standing.proposal_view(timestamp, accepted)
        votes = self._valid_votes(view) if view is not None else {}
        if view is None or len(votes) < self._standing.quorum:
            return []
        if self._standing.proposer_of(view) != self._seat:
            return []
        patient = self._pace.after(("propose votes", view), now, GRACE_SECONDS)
        ready = patient or self._standing.is_complete(set(votes))
        return self._submit(view) if ready and self._pace.every(("model", view), now) else []

    def share_model(self, proposal: ProposalAccepted, peers: tuple[PeerId, ...]) -> list[Effect]:
        """Send a short model to nodes that did not compute it, once it is on chain."""
        mine = self._computed.get(proposal.mask_roots)
        if (
            self._standing.proposer_of(proposal.view) != self._seat
            or mine is None
            or not mine.model
        ):
            return []
        return [Send(peers, ModelWords(mine.model_root, mine.model))]

    def computed_for(self, roots: tuple[Digest, ...]) -> AggregateComputed | None:
        return self._computed.get(roots)

    def offered(self, view: int) -> ProposeOffer | None:
        """Return the first offer of a view's proposer."""
        return self._offers.get(view)

    def compute(self, accepted: SetAccepted, roots: tuple[Digest, ...]) -> list[Effect]:
        """Ask for aggregate and model under these mask roots, once."""
        chosen = self._includer.set_of(accepted.inclusion_root, accepted.trainers)
        if chosen is None or roots in self._computing:
            return []
        if not self._includer.holds_vectors(chosen):
            return []
        self._computing.add(roots)
        return [ComputeAggregate(self._seating, chosen.vectors, roots, accepted.weight)]

    def _offer_if_due(
        self, accepted: SetAccepted, roots: tuple[Digest, ...], timestamp: int, now: Seconds
    ) -> list[Effect]:
        view = self._standing.proposal_view(timestamp, accepted)
        if view is None or self._standing.proposer_of(view) != self._seat:
            return []
        if view in self._offers and not self._pace.every(("propose offer", view), now):
            return []
        self._pace.mark(("propose offer", view), now)
        mine = self._computed[roots]
        offer = self._offers.get(view) or ProposeOffer(
            self._seating.ctx, view, roots, mine.aggregate_root, mine.model_root
        )
        self._offers.setdefault(view, offer)
        return [Send(others(self._seating, self._seat), offer)]

    def _is_acceptable(self, offer: ProposeOffer, accepted: SetAccepted, timestamp: int) -> bool:
        return len(offer.mask_roots) == self._seating.terms.columns and all(
            self._unmasker.may_count(column, root, accepted, timestamp)
            for column, root in enumerate(offer.mask_roots)
        )

    def _to_proposer(self, vote: ProposeVote) -> Send:
        return Send((self._seating.peers[self._standing.proposer_of(vote.view)],), vote)

    def _valid_votes(self, view: int) -> dict[int, ProposeVote]:
        """Return the votes of the seats that the contract still counts."""
        votes = self._votes.get(view, {})
        return {s: vote for s, vote in votes.items() if not self._standing.is_slashed(s)}

    def _submit(self, view: int) -> list[Effect]:
        offer = self._offers[view]
        votes = [vote for _, vote in sorted(self._valid_votes(view).items())]
        drawn = self._seating.drawn
        return [
            Submit(
                ProposeModel(
                    drawn.task,
                    drawn.round,
                    drawn.attempt,
                    view,
                    offer.mask_roots,
                    offer.aggregate_root,
                    offer.model_root,
                    sum(1 << vote.seat for vote in votes),
                    tuple(vote.signature for vote in votes),
                )
            )
        ]
