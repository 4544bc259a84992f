"""Which parameters a flat model holds, in which order: what the words of a root mean."""

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import msgpack
import numpy as np
from numpy.typing import NDArray

from flocknode.model.errors import LengthError, ModelError
from flocknode.primitives import Digest

WORDS_MAX: Final = (1 << 32) - 1
"""The contract stores a model's length as a uint32."""
_TAG: Final = "flock/layout/v1"


class LayoutError(ModelError):
    """A model that cannot be trained together as it is. Fault: the author of the task."""


@dataclass(frozen=True, slots=True)
class ModelLayout:
    """The float parameters of a model as (name, shape), in the order in which they lie flat."""

    parameters: tuple[tuple[str, tuple[int, ...]], ...]

    @classmethod
    def describe(
        cls,
        parameters: Mapping[str, tuple[int, ...]],
        buffers: Iterable[tuple[str, np.dtype[Any]]] = (),
    ) -> Self:
        """Lay out ``parameters`` in their own order; integer ``buffers`` are left out.

        Raises ``LayoutError`` for a float buffer, for a model without parameters and for one
        beyond ``WORDS_MAX``.
        """
        for name, dtype in buffers:
            if not (np.issubdtype(dtype, np.integer) or np.issubdtype(dtype, np.bool_)):
                raise LayoutError(
                    f"the buffer '{name}' holds floats that training changes outside the"
                    " parameters; use GroupNorm or LayerNorm in place of BatchNorm"
                )
        layout = cls(tuple((name, tuple(shape)) for name, shape in parameters.items()))
        if not 0 < layout.words <= WORDS_MAX:
            raise LayoutError(f"a model has 1 to {WORDS_MAX} words, not {layout.words}")
        return layout

    @property
    def words(self) -> int:
        """Length of the flat vector."""
        return sum(math.prod(shape) for _, shape in self.parameters)

    @property
    def digest(self) -> Digest:
        """SHA-256 of the msgpack array [tag, [[name, [sizes...]]...]]."""
        listed = [[name, list(shape)] for name, shape in self.parameters]
        packed: bytes = msgpack.packb([_TAG, listed], use_bin_type=True)
        return Digest(hashlib.sha256(packed).digest())

    def flatten(self, arrays: Mapping[str, NDArray[np.floating[Any]]]) -> NDArray[np.float64]:
        """Return one float64 vector of all parameters; exact for float32 and float64.

        Raises ``LayoutError`` unless ``arrays`` has exactly these names and shapes.
        """
        shapes = {name: array.shape for name, array in arrays.items()}
        if shapes != dict(self.parameters):
            odd = min(set(shapes.items()) ^ set(self.parameters))[0]
            raise LayoutError(f"the parameter '{odd}' is not in both, or has another shape")
        return np.concatenate(
            [np.ravel(arrays[name]).astype(np.float64) for name, _ in self.parameters]
        )

    def unflatten(self, flat: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Return views of ``flat`` by name and shape. Raises ``LengthError``."""
        if flat.shape != (self.words,):
            raise LengthError(flat.size, self.words)
        arrays, start = {}, 0
        for name, shape in self.parameters:
            end = start + math.prod(shape)
            arrays[name] = flat[start:end].reshape(shape)
            start = end
        return arrays
