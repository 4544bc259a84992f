"""Step 7: once the set and the demand window are final, seats open their mask roots and sums."""

from collections.abc import Iterable
from dataclasses import replace

from flocknode.crypto.hashing import mask_commitment
from flocknode.crypto.merkle import TreeKind
from flocknode.messages.limits import INLINE_VECTOR_MAX
from flocknode.messages.statements import MaskRoot
from flocknode.messages.wire import MaskRootMessage
from flocknode.primitives import Digest, Seconds
from flocknode.protocol.effects import Effect, Fetch, Hold, Send, ServeMaskSum, Sign
from flocknode.protocol.inclusion import Includer
from flocknode.protocol.ledger import SetAccepted
from flocknode.protocol.pace import GRACE_SECONDS, Pace
from flocknode.protocol.sealing_keys import others
from flocknode.protocol.seating import Seating
from flocknode.protocol.standing import Standing


class Unmasker:
    """One seat's mask sum and what it knows of the other columns' sums."""

    def __init__(
        self, seating: Seating, seat: int, includer: Includer, pace: Pace, standing: Standing
    ) -> None:
        self._standing = standing
        self._seating = seating
        self._seat = seat
        self._column = seating.column_of(seat)
        self._includer = includer
        self._pace = pace
        self._opening: MaskRoot | None = None
        self._mine: MaskRootMessage | None = None
        self._roots: dict[int, MaskRootMessage] = {}
        """What each seat signed first, for any set: messages may outrun the chain."""
        self._held: set[Digest] = set()

    @property
    def own_root(self) -> Digest | None:
        return self._opening.root if self._opening else None

    def opened(self, accepted: SetAccepted) -> MaskRootMessage | None:
        """Return the own signed MASK_ROOT over the accepted set."""
        mine = self._mine
        return mine if mine and mine.inclusion_root == accepted.inclusion_root else None

    def heard(self, seat: int, accepted: SetAccepted) -> MaskRootMessage | None:
        """Return a seat's signed MASK_ROOT over the accepted set."""
        message = self._roots.get(seat)
        is_same = message is not None and message.inclusion_root == accepted.inclusion_root
        return message if is_same else None

    def signatures_of(self, column: int, root: Digest, accepted: SetAccepted) -> dict[int, bytes]:
        """Return the signatures of a column's seats under MASK_ROOT of ``root``, in seat order."""
        heard = {seat: self.heard(seat, accepted) for seat in self._seating.column(column)}
        return {s: m.signature for s, m in heard.items() if m and m.root == root}

    def open_if_final(self, accepted: SetAccepted, final_timestamp: int) -> list[Effect]:
        """Open the commitment; nothing is served before set and demand window are both final."""
        if self._opening or final_timestamp < self._seating.demand_end(accepted.accepted_at):
            return []
        summed = self._includer.sum_of(accepted.inclusion_root)
        if summed is None:
            chosen = self._includer.set_of(accepted.inclusion_root, accepted.trainers)
            return self._includer.sum_masks(chosen) if chosen else []
        self._opening = MaskRoot(
            self._seating.ctx,
            self._column,
            accepted.inclusion_root,
            summed.root,
            self._seating.terms.integers.words,
        )
        self._held.add(summed.root)
        chosen = self._includer.set_of(accepted.inclusion_root, accepted.trainers)
        assert chosen is not None
        return [
            Hold(chosen.root, chosen.records),
            ServeMaskSum(self._seating, summed.root),
            Sign(self._opening),
        ]

    def signed(self, statement: MaskRoot, signature: bytes, now: Seconds) -> list[Effect]:
        """Tell the other seats; the first seat of a column sends a short sum along."""
        summed = self._includer.sum_of(statement.inclusion_root)
        if statement != self._opening or summed is None:
            return []
        first = self._seat == self._column
        self._mine = MaskRootMessage(
            self._seating.ctx,
            self._seat,
            statement.inclusion_root,
            statement.root,
            statement.words,
            signature,
            summed.vector if first else b"",
        )
        self._roots[self._seat] = self._mine
        self._pace.mark("mask root", now)
        return [Send(others(self._seating, self._seat), self._mine)]

    def knows(self, message: MaskRootMessage) -> bool:
        """Tell whether ``message`` was heard before, with nothing left to take from it."""
        has_vector = not message.vector or message.root in self._held
        return has_vector and self._roots.get(message.seat) == message

    def hear(self, message: MaskRootMessage) -> list[Effect]:
        """Keep a seat's first root; keep and serve the bytes that came along."""
        first = self._roots.setdefault(message.seat, message)
        if not message.vector or first.root != message.root or message.root in self._held:
            return []
        self._held.add(message.root)
        return [Hold(message.root, message.vector)]

    def show_dissent(self, message: MaskRootMessage) -> list[Effect]:
        """Show all seats, once, a root that differs from a mate's: its seat may say others."""
        mates = self._seating.column(self._seating.column_of(message.seat))
        roots = {self._roots[mate].root for mate in mates if mate in self._roots}
        if roots == {message.root} or not self._pace.once(("dissent", message.seat)):
            return []
        return [Send(others(self._seating, self._seat), replace(message, vector=b""))]

    def vector_held(self, root: Digest) -> None:
        self._held.add(root)

    def vectors_lost(self, roots: Iterable[Digest]) -> None:
        """Note that sums had to make room; those that are needed come again."""
        self._held.difference_update(roots)

    def choose(self, accepted: SetAccepted, timestamp: int) -> tuple[Digest, ...] | None:
        """Return the root that counts for each column, or None while one is open."""
        late = self._standing.is_late(timestamp, accepted)
        roots = []
        for column in range(self._seating.terms.columns):
            signers = self._signers(column, accepted)
            root = self._majority(column, signers)
            if late and root not in self._held:
                root = self._best_held(signers) or root
            if root is None:
                return None
            roots.append(root)
        return tuple(roots)

    def may_count(self, column: int, root: Digest, accepted: SetAccepted, timestamp: int) -> bool:
        """Tell whether a proposal may name ``root`` for ``column``.

        Never another root than the own one for the own column; the root of a majority; after
        ``root_deadline`` any root whose bytes are held, unless a majority signed another and its
        bytes are held, too: two seats that sign what nobody can get would stop the round else.
        """
        if column == self._column and root != self.own_root:
            return False
        signers = self._signers(column, accepted)
        majority = self._majority(column, signers)
        late = self._standing.is_late(timestamp, accepted)
        if majority is not None and (majority in self._held or not late):
            return root == majority
        return late and root in signers and root in self._held

    def fetch_missing(
        self, accepted: SetAccepted, roots: tuple[Digest, ...], now: Seconds
    ) -> list[Effect]:
        """Pull the sums that did not travel inline from whoever signed them.

        A short one is on its way from the column's first seat, whose root may come after others'.
        """
        is_short = self._seating.vector_bytes <= INLINE_VECTOR_MAX
        return [
            effect
            for column, root in enumerate(roots)
            if not is_short or self._pace.after(("inline", root), now, GRACE_SECONDS)
            for effect in self._fetch(root, self._signers(column, accepted)[root], now)
        ]

    def fetch_signed(self, accepted: SetAccepted, timestamp: int, now: Seconds) -> list[Effect]:
        """After ``root_deadline``, pull what was signed where no majority's sum is here."""
        if not self._standing.is_late(timestamp, accepted):
            return []
        effects: list[Effect] = []
        for column in range(self._seating.terms.columns):
            signers = self._signers(column, accepted)
            if self._majority(column, signers) not in self._held:
                effects += [e for r, s in signers.items() for e in self._fetch(r, s, now)]
        return effects

    def holds_all(self, roots: tuple[Digest, ...]) -> bool:
        return self._held.issuperset(roots)

    def tick(self, now: Seconds) -> list[Effect]:
        """Repeat the own root until a proposal is accepted."""
        if self._mine is None or not self._pace.every("mask root", now):
            return []
        return [Send(others(self._seating, self._seat), self._mine)]

    def _fetch(self, root: Digest, seats: list[int], now: Seconds) -> list[Effect]:
        if root in self._held or not self._pace.every(("pull", root), now):
            return []
        # Signers first, then whoever may have it of them; each seat starts with another one.
        count = self._seating.terms.seats
        mine = (seat for seat in self._seating.seats if seat != self._seat)
        order = sorted(mine, key=lambda seat: (seat not in seats, (seat - self._seat) % count))
        holders = tuple(self._seating.peers[seat] for seat in order)
        return [Fetch(root, TreeKind.MASK_SUM, self._seating.vector_bytes, holders)]

    def _signers(self, column: int, accepted: SetAccepted) -> dict[Digest, list[int]]:
        """Return who signed which root for the set, as far as it is what their INCLUDE says."""
        signers: dict[Digest, list[int]] = {}
        for seat in self._seating.column(column):
            message = self._roots.get(seat)
            of_set = message and message.inclusion_root == accepted.inclusion_root
            if message and of_set and self._counts(message):
                committed = accepted.commitment_of(seat)
                if committed in {None, mask_commitment(self._seating.ctx, seat, message.root)}:
                    signers.setdefault(message.root, []).append(seat)
        return signers

    def _counts(self, message: MaskRootMessage) -> bool:
        """Tell whether a seat's word still counts: it is not convicted, its bytes were not kept."""
        standing = self._standing
        return not standing.is_slashed(message.seat) and not standing.is_banned(message.root)

    def _majority(self, column: int, signers: dict[Digest, list[int]]) -> Digest | None:
        need = self._standing.majority_of(column)
        return next((root for root, seats in signers.items() if len(seats) >= need), None)

    def _best_held(self, signers: dict[Digest, list[int]]) -> Digest | None:
        """Most signers first, ties to the lower root."""
        held = [root for root in signers if root in self._held]
        return min(held, key=lambda root: (-len(signers[root]), root), default=None)
