"""The secrets of an attempt and the arithmetic over them. Nothing here decides anything.

Sealing keys, seeds and the quantised delta live in this object only and go when the attempt or
the round goes. Methods are synchronous and may take long for long vectors: call them in a thread.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from flocknode.aggregation.ring import unmask
from flocknode.aggregation.step import model_root, server_step
from flocknode.crypto.errors import CapsuleError, KeyMaterialError
from flocknode.crypto.hashing import seed_commitment
from flocknode.crypto.merkle import TreeKind, tree_root
from flocknode.crypto.sealing import SUITE_X25519, SealingKey, seal
from flocknode.messages.limits import INLINE_VECTOR_MAX
from flocknode.model.stages import MaskedDelta, MaskSum, ModelDelta, QuantisedDelta
from flocknode.model.words import model_words, ring_words, words_bytes
from flocknode.ports import BlobStore
from flocknode.primitives import Digest
from flocknode.privacy.clipping import clip_l2
from flocknode.privacy.masking import mask, sum_masks
from flocknode.privacy.quantisation import dither_stream, quantise
from flocknode.protocol.effects import (
    ComputeAggregate,
    MaskDelta,
    OpenCapsule,
    Reseal,
    ServeMaskSum,
    SumMasks,
)
from flocknode.protocol.events import (
    AggregateComputed,
    CapsuleOpened,
    DeltaMasked,
    MasksSummed,
    Resealed,
    SealingKeyMade,
)

Entropy = Callable[[int], bytes]


@dataclass(slots=True)
class _AttemptSecrets:
    sealing_key: SealingKey | None = None
    seeds: dict[Digest, bytes] = field(default_factory=dict, repr=False)
    """Seed of this seat's column, by header digest."""
    sums: dict[Digest, bytes] = field(default_factory=dict, repr=False)
    """Mask sums by root, until they may be served."""


class Vault:
    """One node's secrets. ``entropy`` is the operating system's, except in simulations."""

    def __init__(
        self,
        blobs: BlobStore,
        *,
        entropy: Entropy = os.urandom,
        rounding: Callable[[int], bytes] | None = None,
    ) -> None:
        """Take the 32-byte dither secret of a round from ``rounding``, or from ``entropy``."""
        self._blobs = blobs
        self._entropy = entropy
        self._rounding = rounding
        self._attempts: dict[Digest, _AttemptSecrets] = {}
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
        return self._trained is not None and self._trained[0] == round_

    def make_sealing_key(self, ctx: Digest) -> SealingKeyMade:
        key = SealingKey.generate()
        self._secrets(ctx).sealing_key = key
        return SealingKeyMade(ctx, SUITE_X25519, key.public)

    def mask_delta(self, effect: MaskDelta) -> DeltaMasked:
        """Mask with fresh seeds; a retry of the round masks the same quantised delta."""
        seating = effect.seating
        terms = seating.terms
        quantised = self._quantise(effect)
        seeds = [self._entropy(32) for _ in range(terms.columns)]
        masked = mask(quantised, seeds, terms.integers.width)
        data = bytes(words_bytes(masked.words))
        root = tree_root(TreeKind.MASKED_VECTOR, data)
        self._blobs.put(root, data)
        trainer = seating.roster.entries[effect.index].trainer
        commitments = tuple(
            seed_commitment(seating.ctx, trainer, column, seed) for column, seed in enumerate(seeds)
        )
        capsules = tuple(
            _seal(suite, key, seeds[seating.column_of(seat)])
            for seat, (suite, key) in enumerate(effect.sealing_keys)
        )
        return DeltaMasked(seating.ctx, root, commitments, capsules, _inline(data))

    def open_capsule(self, effect: OpenCapsule) -> CapsuleOpened:
        """Open a capsule and check its seed against the header's commitment."""
        seating = effect.seating
        secrets = self._secrets(seating.ctx)
        trainer = seating.roster.entries[effect.index].trainer
        column = seating.column_of(effect.seat)
        try:
            seed = secrets.sealing_key.open(effect.capsule) if secrets.sealing_key else b""
        except CapsuleError:
            seed = b""
        valid = (
            len(seed) == 32
            and seed_commitment(seating.ctx, trainer, column, seed) == effect.commitment
        )
        if valid:
            secrets.seeds[effect.header] = seed
        return CapsuleOpened(seating.ctx, effect.header, valid)

    def reseal(self, effect: Reseal) -> Resealed:
        """Seal a seed of the own column to a mate; the core asks only for seeds that opened."""
        ctx = effect.seating.ctx
        seed = self._secrets(ctx).seeds[effect.header]
        capsule = _seal(effect.suite, effect.key, seed)
        return Resealed(ctx, effect.header, effect.seat, capsule)

    def sum_masks(self, effect: SumMasks) -> MasksSummed:
        """Sum the keystreams of the set; the core asks only for headers whose seed opened."""
        integers = effect.seating.terms.integers
        seeds = self._secrets(effect.seating.ctx).seeds
        total = sum_masks(
            [seeds[header] for header in effect.headers], integers.words, integers.width
        )
        data = bytes(words_bytes(total.words))
        root = tree_root(TreeKind.MASK_SUM, data)
        self._secrets(effect.seating.ctx).sums[root] = data
        return MasksSummed(effect.seating.ctx, effect.inclusion_root, root, _inline(data))

    def serve_mask_sum(self, effect: ServeMaskSum) -> None:
        """Hand a sum to the blob store, from which every peer may pull it."""
        self._blobs.put(effect.root, self._secrets(effect.ctx).sums[effect.root])

    def compute_aggregate(self, effect: ComputeAggregate) -> AggregateComputed:
        """Sum, unmask and step, from held bytes only."""
        integers = effect.seating.terms.integers

        def ring(root: Digest) -> bytes:
            data = self._blobs.get(root)
            assert data is not None
            return data

        words, width = integers.words, integers.width
        aggregate = unmask(
            (MaskedDelta(ring_words(ring(root), words, width)) for root in effect.vectors),
            (MaskSum(ring_words(ring(root), words, width)) for root in effect.mask_roots),
        )
        sum_bytes = bytes(words_bytes(aggregate.words))
        aggregate_root = tree_root(TreeKind.AGGREGATE, sum_bytes)
        self._blobs.put(aggregate_root, sum_bytes)
        before = model_words(ring(effect.seating.drawn.model_root), words)
        after = server_step(before, aggregate, effect.weight, integers)
        root, model = model_root(after), bytes(words_bytes(after))
        self._blobs.put(root, model)
        ctx = effect.seating.ctx
        return AggregateComputed(ctx, effect.mask_roots, aggregate_root, root, _inline(model))

    def destroy(self, ctx: Digest) -> None:
        self._attempts.pop(ctx, None)

    def _secrets(self, ctx: Digest) -> _AttemptSecrets:
        return self._attempts.setdefault(ctx, _AttemptSecrets())

    def _quantise(self, effect: MaskDelta) -> QuantisedDelta:
        if self._quantised and self._quantised[0] == effect.round:
            return self._quantised[1]
        assert self._trained is not None
        assert self._trained[0] == effect.round
        integers = effect.seating.terms.integers
        weight = effect.seating.roster.entries[effect.index].weight
        secret = self._rounding(effect.round) if self._rounding else self._entropy(32)
        clipped = clip_l2(self._trained[1], 2.0**integers.clip_norm_log2)
        quantised = quantise(clipped, weight, integers, dither_stream(secret, integers.words))
        self._quantised = (effect.round, quantised)
        return quantised


def _seal(suite: int, key: bytes, seed: bytes) -> bytes:
    """Return the capsule, or an empty one for an absent seat or a key that is none."""
    if suite != SUITE_X25519:
        return b""
    try:
        return seal(key, seed)
    except KeyMaterialError:
        return b""


def _inline(data: bytes) -> bytes:
    return data if len(data) <= INLINE_VECTOR_MAX else b""
