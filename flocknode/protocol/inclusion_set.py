"""An inclusion set: valid contributions in roster order, their tree, bitmap and weight."""

from collections.abc import Iterable
from dataclasses import dataclass

from flocknode.crypto.merkle import TreeKind, tree_root
from flocknode.messages.statements import RECORD_BYTES
from flocknode.primitives import Digest
from flocknode.protocol.gossip_rules import ValidContribution
from flocknode.protocol.seating import Seating


@dataclass(frozen=True, slots=True)
class InclusionSet:
    members: tuple[ValidContribution, ...]
    root: Digest
    trainers: int
    """Roster bitmap."""
    weight: int
    """D, the sum of the members' roster weights."""

    @property
    def records(self) -> bytes:
        """Return the leaves of the inclusion tree: what anyone needs to check the set."""
        return b"".join(member.record for member in self.members)

    @property
    def headers(self) -> tuple[Digest, ...]:
        return tuple(member.digest for member in self.members)

    @property
    def vectors(self) -> tuple[Digest, ...]:
        return tuple(member.header.root for member in self.members)


def form_set(members: Iterable[ValidContribution], seating: Seating) -> InclusionSet | None:
    """Return the set of ``members``, or None if it is empty or names a trainer twice."""
    ordered = sorted(members, key=lambda member: member.header.index)
    trainers = 0
    for member in ordered:
        if trainers >> member.header.index & 1:
            return None
        trainers |= 1 << member.header.index
    if not ordered:
        return None
    records = b"".join(member.record for member in ordered)
    root = tree_root(TreeKind.INCLUSION, records, RECORD_BYTES)
    return InclusionSet(tuple(ordered), root, trainers, seating.roster.weight_of(trainers))
