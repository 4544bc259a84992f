"""A torch module as a flat vector: the one way in and out of its parameters."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from flocknode.model.layout import LayoutError, ModelLayout

_FLOATS = (torch.float32, torch.float64)


def layout_of(module: nn.Module) -> ModelLayout:
    """Describe the parameters of ``module``; tied ones count once. Raises ``LayoutError``.

    Buffers that are no part of the saved state are constants and may hold floats.
    """
    for name, parameter in module.named_parameters():
        if parameter.dtype not in _FLOATS:
            raise LayoutError(f"the parameter '{name}' is {parameter.dtype}, not float32 or 64")
    saved = module.state_dict()
    return ModelLayout.describe(
        {name: tuple(parameter.shape) for name, parameter in module.named_parameters()},
        [(name, _dtype(buffer)) for name, buffer in module.named_buffers() if name in saved],
    )


def read_parameters(module: nn.Module) -> NDArray[np.float64]:
    """Return the parameters flat in float64, which holds float32 exactly."""
    arrays = {name: parameter.detach().numpy() for name, parameter in module.named_parameters()}
    return layout_of(module).flatten(arrays)


def write_parameters(module: nn.Module, flat: NDArray[np.float64]) -> None:
    """Set the parameters from a flat vector; float32 ones are rounded to nearest.

    A word of 24 bits or fewer, |x| < 16, stays exact in float32. Raises ``LengthError``.
    """
    arrays = layout_of(module).unflatten(flat)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(torch.from_numpy(arrays[name]))


def _dtype(tensor: torch.Tensor) -> np.dtype[np.generic]:
    """Return the numpy type of a buffer; a kind that numpy lacks counts as float."""
    whole = not (tensor.is_floating_point() or tensor.is_complex())
    return np.dtype(np.int64 if whole else np.float32)
