"""The secrets of an attempt and the arithmetic over them. Nothing here decides anything.

Sealing keys, seeds and the quantised delta live here and in the node's secret store only, and go
when the attempt or the round goes. What others will rely on is stored before it is answered, so a
restarted node has the same key, and sends the same bytes or none. Methods are synchronous, may
wait for the disk and take long for long vectors: call them in a thread.
"""

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flocknode.aggregation.ring import unmask
from flocknode.aggregation.step import model_root, server_step
from flocknode.crypto.errors import CapsuleError, CryptoError, KeyMaterialError
from flocknode.crypto.hashing import seed_commitment, sha256
from flocknode.crypto.merkle import TreeKind, tree_root
from flocknode.crypto.suites import CapsulePlace, new_key, open_capsule, seal_seed
from flocknode.errors import FlockError
from flocknode.messages.limits import INLINE_VECTOR_MAX
from flocknode.model.stages import MaskedDelta, MaskSum, ModelDelta, QuantisedDelta
from flocknode.model.words import model_words, ring_words, words_bytes
from flocknode.node.memory import MemorySecrets, MemorySlots
from flocknode.node.secrets import AttemptSecrets, Masking, attempt_name, delta_name, is_over
from flocknode.ports import BlobStore, SecretStore, SlotRecord
from flocknode.primitives import Digest
from flocknode.privacy.clipping import clip_l2
from flocknode.privacy.masking import mask, sum_masks
from flocknode.privacy.quantisation import dither_stream, quantise, restore_quantised
from flocknode.protocol.capsule_slips import ROOT_BYTES, write_slips
from flocknode.protocol.effects import (
    CapsuleSlice,
    ComputeAggregate,
    MaskDelta,
    OpenCapsule,
    Reseal,
    ServeMaskSum,
    SumMasks,
    TakeSeed,
)
from flocknode.protocol.events import (
    AggregateComputed,
    CapsuleOpened,
    DeltaMasked,
    MasksSummed,
    Resealed,
    SealingKeyMade,
)
from flocknode.protocol.seating import Seating

Entropy = Callable[[int], bytes]


class SecretGone(CryptoError):
    """A secret of an attempt that is over. Nobody's fault."""


class BytesGone(FlockError):
    """Bytes under ``roots`` were held and had to make room. Nobody's fault: peers have them."""

    def __init__(self, roots: tuple[Digest, ...]) -> None:
        super().__init__(f"{len(roots)} vectors are not held any more")
        self.roots = roots


class AnotherDelta(FlockError):
    """The delta that this trainer sent in this round is lost, and a second one would tell of it.

    Fault: this node's operator, who moved the file away.
    """


class Vault:
    """One node's secrets. ``entropy`` is the operating system's, except in simulations."""

    def __init__(
        self,
        blobs: BlobStore,
        secrets: SecretStore | None = None,
        record: SlotRecord | None = None,
        *,
        entropy: Entropy = os.urandom,
        rounding: Callable[[int], bytes] | None = None,
    ) -> None:
        """Take the 32-byte dither secret of a round from ``rounding``, or from ``entropy``.

        Without a store and a record what they hold lasts as long as the process.
        """
        self._blobs = blobs
        self._store = secrets or MemorySecrets()
        self._record = record or MemorySlots()
        self._entropy = entropy
        self._rounding = rounding
        self._guard = threading.RLock()
        """Seat and trainer of one node share the secrets of an attempt."""
        self._attempts: dict[str, AttemptSecrets] = {}
        self._trained: tuple[int, ModelDelta] | None = None
        self._quantised: tuple[int, QuantisedDelta] | None = None

    def keep_delta(self, round_: int, delta: ModelDelta) -> None:
        """Keep what local training changed until the next round.

        The first delta of a round stays: the sum of a spent attempt counts as known, and a
        retrained delta in the next would be told apart from it.
        """
        if not self.holds_delta(round_):
            self._trained = (round_, delta)
            self._quantised = None

    def holds_delta(self, round_: int) -> bool:
        """Tell whether the round's training is done, so that a retry resends it."""
        if self._trained is not None and self._trained[0] == round_:
            return True
        return delta_name(round_) in self._store.names()

    def make_sealing_key(self, seating: Seating) -> SealingKeyMade:
        """Return the attempt's key: drawn once, stored before it is answered."""
        with self._guard:
            secrets = self._secrets(seating)
            if secrets.sealing_key is None:
                secrets.sealing_key = new_key(seating.suite)
                self._keep(seating, secrets)
            key = secrets.sealing_key
            return SealingKeyMade(seating.ctx, seating.suite.number, key.public)

    def mask_delta(self, effect: MaskDelta) -> DeltaMasked:
        """Mask with the attempt's seeds; a retry of the round masks the same quantised delta."""
        seating = effect.seating
        quantised = self._quantise(effect)
        masking = self._draw_masks(effect)
        seeds = masking.seeds
        masked = mask(quantised, seeds, seating.terms.integers.width)
        data = _held(masked.words)
        root = tree_root(TreeKind.MASKED_VECTOR, data)
        self._blobs.put(root, data)
        trainer = seating.roster.entries[effect.index].trainer
        commitments = tuple(
            seed_commitment(seating.ctx, trainer, column, seed) for column, seed in enumerate(seeds)
        )
        announced = self._announce(masking.capsules, seating)
        return DeltaMasked(seating.ctx, root, commitments, announced, _inline(data))

    def open_capsule(self, effect: OpenCapsule) -> CapsuleOpened:
        """Open a capsule and check its seed against the header's commitment."""
        seating = effect.seating
        secrets = self._secrets(seating)
        place = seating.capsule_place(effect.index, effect.seat)
        capsule = self._pulled(effect.slice, seating) if effect.slice else effect.capsule
        try:
            key = secrets.sealing_key
            seed = open_capsule(key, capsule, place) if key else b""
        except CapsuleError:
            seed = b""
        return self._take(effect, seed)

    def take_seed(self, effect: TakeSeed) -> CapsuleOpened:
        """Check a seed that was given on chain like one from a capsule."""
        return self._take(effect, effect.seed)

    def _take(self, effect: OpenCapsule | TakeSeed, seed: bytes) -> CapsuleOpened:
        seating = effect.seating
        trainer = seating.roster.entries[effect.index].trainer
        column = seating.column_of(effect.seat)
        valid = (
            len(seed) == 32
            and seed_commitment(seating.ctx, trainer, column, seed) == effect.commitment
        )
        if valid:
            self._secrets(seating).seeds[effect.header] = seed
        return CapsuleOpened(seating.ctx, effect.header, valid)

    def reseal(self, effect: Reseal) -> Resealed:
        """Seal a seed of the own column to a mate; nothing once the attempt is over."""
        seed = self._secrets(effect.seating).seeds.get(effect.header)
        place = effect.seating.capsule_place(effect.index, effect.seat)
        capsule = _seal(effect.seating, effect.suite, effect.key, seed, place) if seed else b""
        return Resealed(effect.seating.ctx, effect.header, effect.seat, capsule)

    def sum_masks(self, effect: SumMasks) -> MasksSummed:
        """Sum the keystreams of the set; the core asks only for headers whose seed opened."""
        integers = effect.seating.terms.integers
        secrets = self._secrets(effect.seating)
        seeds = self.seeds_of(effect.seating, effect.headers)
        if seeds is None:
            raise SecretGone("a seed of an attempt that is over")
        total = sum_masks(seeds, integers.words, integers.width)
        data = _held(total.words)
        root = tree_root(TreeKind.MASK_SUM, data)
        secrets.sums[root] = data
        return MasksSummed(effect.seating.ctx, effect.inclusion_root, root, _inline(data))

    def seeds_of(self, seating: Seating, headers: Sequence[Digest]) -> list[bytes] | None:
        """Return this column's seeds of ``headers``; None once one of them is gone."""
        held = self._secrets(seating).seeds
        seeds = [held[header] for header in headers if header in held]
        return seeds if len(seeds) == len(headers) else None

    def serve_mask_sum(self, effect: ServeMaskSum) -> None:
        """Hand a sum to the blob store, from which every peer may pull it."""
        data = self._secrets(effect.seating).sums.get(effect.root)
        if data is not None:
            self._blobs.put(effect.root, data)

    def compute_aggregate(self, effect: ComputeAggregate) -> AggregateComputed:
        """Sum, unmask and step, from held bytes only; raise ``BytesGone`` for what is missing."""
        integers = effect.seating.terms.integers

        def ring(root: Digest) -> bytes | memoryview:
            data = self._blobs.get(root)
            if data is None:
                raise BytesGone((root,))
            return data

        words, width = integers.words, integers.width
        aggregate = unmask(
            (MaskedDelta(ring_words(ring(root), words, width)) for root in effect.vectors),
            (MaskSum(ring_words(ring(root), words, width)) for root in effect.mask_roots),
        )
        sum_bytes = _held(aggregate.words)
        aggregate_root = tree_root(TreeKind.AGGREGATE, sum_bytes)
        self._blobs.put(aggregate_root, sum_bytes)
        before = model_words(ring(effect.seating.drawn.model_root), words)
        after = server_step(before, aggregate, effect.weight, integers)
        root, model = model_root(after), _held(after)
        self._blobs.put(root, model, sync=True)
        ctx = effect.seating.ctx
        return AggregateComputed(ctx, effect.mask_roots, aggregate_root, root, _inline(model))

    def destroy_before(self, round_: int, attempt: int) -> None:
        """Leave nothing of earlier attempts, nor the delta of an earlier round."""
        with self._guard:
            for name in {*self._store.names(), *self._attempts}:
                if is_over(name, round_, attempt):
                    self._attempts.pop(name, None)
                    self._store.destroy(name)

    def _announce(self, capsules: tuple[bytes, ...], seating: Seating) -> tuple[bytes, ...]:
        """Return what the header says of its capsules; serve those that travel apart."""
        if seating.suite.in_header:
            return capsules
        slips = write_slips(capsules, seating)
        for slip, data in slips:
            if data:
                self._blobs.put(Digest(slip[:ROOT_BYTES]), data)
        return tuple(slip for slip, _ in slips)

    def _pulled(self, piece: CapsuleSlice, seating: Seating) -> bytes:
        """Return a capsule out of its column's slice; nothing if the slice is gone."""
        size = seating.suite.capsule_bytes
        data = bytes(self._blobs.get(piece.root) or b"")
        return data[piece.place * size : (piece.place + 1) * size]

    def _secrets(self, seating: Seating) -> AttemptSecrets:
        name = attempt_name(seating)
        # The loop does not wait for a thread that is storing.
        if kept := self._attempts.get(name):
            return kept
        with self._guard:
            if name not in self._attempts:
                stored = self._store.load(name)
                self._attempts[name] = AttemptSecrets.from_bytes(stored or b"{}")
            return self._attempts[name]

    def _keep(self, seating: Seating, secrets: AttemptSecrets) -> None:
        """Store before use: what could not be stored is not used."""
        name = attempt_name(seating)
        try:
            self._store.save(name, secrets.to_bytes())
        except FlockError:
            del self._attempts[name]
            raise

    def _draw_masks(self, effect: MaskDelta) -> Masking:
        """Draw and seal the attempt's seeds, once; they are stored before anything is sent."""
        seating = effect.seating
        with self._guard:
            secrets = self._secrets(seating)
            if secrets.masking is None:
                seeds = tuple(self._entropy(32) for _ in range(seating.terms.columns))
                places = [seating.capsule_place(effect.index, seat) for seat in seating.seats]
                capsules = tuple(
                    _seal(seating, suite, key, seeds[place.column], place)
                    for place, (suite, key) in zip(places, effect.sealing_keys, strict=True)
                )
                secrets.masking = Masking(seeds, capsules)
                self._keep(seating, secrets)
            return secrets.masking

    def _quantise(self, effect: MaskDelta) -> QuantisedDelta:
        """Return the round's quantised delta, which is made once and stored before it is used."""
        if self._quantised and self._quantised[0] == effect.round:
            return self._quantised[1]
        integers = effect.seating.terms.integers
        weight = effect.seating.roster.entries[effect.index].weight
        stored = self._store.load(delta_name(effect.round))
        if stored is not None:
            quantised = restore_quantised(stored, weight, integers)
        else:
            assert self._trained is not None
            assert self._trained[0] == effect.round
            secret = self._rounding(effect.round) if self._rounding else self._entropy(32)
            clipped = clip_l2(self._trained[1], 2.0**integers.clip_norm_log2)
            quantised = quantise(clipped, weight, integers, dither_stream(secret, integers.words))
            stored = bytes(words_bytes(quantised.values))
            self._store.save(delta_name(effect.round), stored)
            self._trained = None  # Eight bytes a word that nobody needs again.
        slot = ("delta", effect.seating.drawn.model_root, effect.round)
        if not self._record.record(slot, sha256(stored)):
            raise AnotherDelta(f"another delta was sent in round {effect.round}")
        self._quantised = (effect.round, quantised)
        return quantised


def _seal(seating: Seating, suite: int, key: bytes, seed: bytes, place: CapsulePlace) -> bytes:
    """Return the capsule, or an empty one for an absent seat or a key that is none."""
    if suite != seating.suite.number:
        return b""
    try:
        return seal_seed(seating.suite, key, seed, place)
    except KeyMaterialError:
        return b""


def _held(words: NDArray[np.integer[Any]]) -> bytes | memoryview:
    """Return the bytes of words that nobody changes any more; long ones are not copied."""
    data = words_bytes(words)
    return data.toreadonly() if len(data) > INLINE_VECTOR_MAX else bytes(data)


def _inline(data: bytes | memoryview) -> bytes:
    return data if isinstance(data, bytes) else b""
