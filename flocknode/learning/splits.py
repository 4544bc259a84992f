"""Divide one data set as institutions would hold it: unequal in size and in labels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flocknode.errors import UsageError

Rows = NDArray[np.intp]


def stratified(
    labels: NDArray[Any], share: float, generator: np.random.Generator
) -> tuple[Rows, Rows]:
    """Return row numbers (rest, ``share`` of each label), both shuffled within a label."""
    rest, taken = [], []
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        count = round(share * len(rows))
        taken.append(rows[:count])
        rest.append(rows[count:])
    return np.concatenate(rest), np.concatenate(taken)


def dirichlet(
    labels: NDArray[Any], parts: int, alpha: float, rows_min: int, generator: np.random.Generator
) -> list[Rows]:
    """Deal rows to ``parts`` so that each label's shares are Dirichlet(``alpha``).

    Whoever has the most rows gives some up until everyone has ``rows_min``. Raises ``UsageError``
    when there are too few. Hsu et al. 2019, arXiv:1909.06335.
    """
    parts_max = len(labels) // rows_min
    if not 1 <= parts <= parts_max:
        raise UsageError(
            f"{len(labels)} rows are not enough for {parts} trainers",
            f"choose at most {parts_max} trainers: each needs {rows_min} rows",
        )
    hands: list[list[np.intp]] = [[] for _ in range(parts)]
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        shares = generator.dirichlet([alpha] * parts)
        cuts = (np.cumsum(shares)[:-1] * len(rows)).astype(np.intp)
        for hand, dealt in zip(hands, np.split(rows, cuts), strict=True):
            hand.extend(dealt)
    while len(poorest := min(hands, key=len)) < rows_min:
        richest = max(hands, key=len)
        poorest.append(richest.pop(int(generator.integers(len(richest)))))
    return [np.array(hand) for hand in hands]
