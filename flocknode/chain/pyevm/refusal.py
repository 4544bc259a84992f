"""How this chain says no."""

from flocknode.errors import FlockError

REVERTED = 3
INVALID_INPUT = -32000
INVALID_PARAMS = -32602
NO_METHOD = -32601


class Refusal(FlockError):
    """A JSON-RPC error."""

    def __init__(self, message: str, code: int = INVALID_INPUT, data: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.data = data
