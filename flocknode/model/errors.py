"""What may be wrong with vectors and terms that somebody else made."""

from flocknode.errors import FlockError


class ModelError(FlockError):
    """Root of this layer's errors."""


class LengthError(ModelError):
    """Bytes or words of another number than agreed. Fault: their sender."""

    def __init__(self, got: int, expected: int) -> None:
        super().__init__(f"{got} where {expected} were agreed")
        self.got = got
        self.expected = expected


class TermsError(ModelError):
    """Terms under which the integers would overflow or do nothing. Fault: the task's creator."""


class NonFiniteError(ModelError):
    """Training produced NaN or infinity. Fault: this node's recipe or data."""
