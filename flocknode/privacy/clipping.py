"""Clipping: one trainer moves the sum by at most the clip norm, before it becomes integers."""

import numpy as np

from flocknode.model.errors import NonFiniteError
from flocknode.model.stages import ClippedDelta, ModelDelta


def clip_l2(delta: ModelDelta, clip_norm: float) -> ClippedDelta:
    """Scale a delta whose L2 norm exceeds ``clip_norm`` down to it.

    Raises ``NonFiniteError`` for NaN or infinity. Local to the trainer: nobody recomputes it, so
    the float sum of the norm need not be reproducible.
    """
    peak = float(np.max(np.abs(delta.values), initial=0.0))
    if not np.isfinite(peak):
        raise NonFiniteError("the trained delta holds NaN or infinity")
    if peak == 0.0:
        return ClippedDelta(delta.values)
    # Relative to the peak no square overflows or vanishes.
    relative = delta.values / peak
    norm = float(np.linalg.norm(relative))
    if peak * norm <= clip_norm:
        return ClippedDelta(delta.values)
    return ClippedDelta(relative * (clip_norm / norm))
