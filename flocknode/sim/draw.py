"""The draw as pure functions; anyone can check the chain's committee with them."""

from bisect import bisect_right
from collections.abc import Collection, Sequence
from itertools import accumulate

from flocknode.primitives import Digest
from flocknode.sim.abi import keccak_labelled, keccak_words, require

DRAWS_PER_SEAT = 8
"""After so many draws a seat, the rest is filled in index order: a whale cannot stall the draw."""


def draw_committee(
    seed: Digest,
    weights: Sequence[int],
    organisations: Sequence[Digest],
    seats: int,
    excluded: Collection[int] = (),
    ejected: Collection[int] = (),
) -> tuple[int, ...]:
    """Draw ``seats`` validators of distinct organisations, by weight and without replacement.

    ``weights`` and ``organisations`` are indexed by validator. An excluded validator excludes its
    organisation, an ejected one sits only if nobody else is left. Raises ``CallReverted``
    (StakeRegistryTooFewOrganisations).
    """
    closed = {organisations[i] for i in excluded}
    in_order = [i for i in _in_index_order(seed, len(weights)) if weights[i] > 0]
    candidates = [i for i in (*_by_weight(seed, weights, seats), *in_order) if i not in ejected]
    last = [i for i in in_order if i in ejected]
    committee: list[int] = []
    for candidate in (*candidates, *last):
        if len(committee) < seats and organisations[candidate] not in closed:
            committee.append(candidate)
            closed.add(organisations[candidate])
    require(len(committee) == seats, "StakeRegistryTooFewOrganisations")
    return tuple(committee)


def permute(seed: Digest, seats: Sequence[int]) -> tuple[int, ...]:
    """Shuffle a committee by Fisher and Yates: from the last seat down, swap with one not above."""
    shuffled = list(seats)
    for i in range(len(shuffled) - 1, 0, -1):
        j = _uniform(keccak_words(seed, i), i + 1)
        shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
    return tuple(shuffled)


def _by_weight(seed: Digest, weights: Sequence[int], seats: int) -> list[int]:
    """Return the validators whose weight interval, in index order, holds each drawn number."""
    ends = list(accumulate(weights))
    if not any(weights):
        return []
    draws = (_uniform(keccak_words(seed, i), ends[-1]) for i in range(DRAWS_PER_SEAT * seats))
    return [bisect_right(ends, x) for x in draws]


def _in_index_order(seed: Digest, count: int) -> list[int]:
    """Return all validators in index order, from one that the seed chooses."""
    start = _uniform(keccak_labelled(seed, "fill"), max(count, 1))
    return [(start + j) % count for j in range(count)]


def _uniform(digest: Digest, bound: int) -> int:
    """Reduce a digest modulo ``bound``; the bias is below bound * 2^-256."""
    return int.from_bytes(digest, "big") % bound
