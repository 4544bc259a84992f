"""How much gossip of one attempt is enough: whoever may speak could otherwise speak for ever."""

from flocknode.messages.wire import Outcome
from flocknode.primitives import Digest
from flocknode.protocol.attestations import HEADERS_PER_TRAINER_MAX
from flocknode.protocol.chain_view import AttemptView
from flocknode.protocol.gossip_rules import GossipIgnore, ValidContribution


class GossipMemory:
    """What was forwarded of one attempt; bounded by its seats and its roster."""

    def __init__(self) -> None:
        self._keys = 0
        """Size of the largest bundle."""
        self._headers: dict[int, set[Digest]] = {}
        self._outcome: Outcome | None = None
        """What the chain shows."""
        self._told = False

    def note_outcome(self, view: AttemptView) -> None:
        """Learn from the chain what the attempt's outcome is."""
        drawn, accepted, proposal = view.drawn, view.accepted, view.proposal
        if drawn and accepted and proposal:
            self._outcome = Outcome(
                drawn.ctx,
                proposal.round,
                accepted.inclusion_root,
                proposal.aggregate_root,
                proposal.model_root,
            )

    def admit_bundle(self, keys: int) -> None:
        # [IGNORE] A bundle holds more keys than those before it.
        if keys <= self._keys:
            raise GossipIgnore("a bundle that adds nothing")
        self._keys = keys

    def admit_header(self, valid: ValidContribution) -> None:
        known = self._headers.setdefault(valid.header.index, set())
        # [IGNORE] The header is new, and its trainer has not signed several others.
        if valid.digest in known or len(known) >= HEADERS_PER_TRAINER_MAX:
            raise GossipIgnore("a header that adds nothing")
        known.add(valid.digest)

    def admit_outcome(self, outcome: Outcome) -> None:
        # [IGNORE] The outcome is the one that the chain shows here, for the first time.
        if outcome != self._outcome or self._told:
            raise GossipIgnore("an outcome that adds nothing")
        self._told = True
