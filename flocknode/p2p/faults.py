"""What can go wrong between peers, in this project's words."""

from flocknode.errors import FlockError
from flocknode.primitives import Digest, PeerId


class NetworkError(FlockError):
    """The network or a remote peer failed; the node itself is well."""


class PeerUnreachableError(NetworkError):
    """No connection or stream to ``peer`` could be opened."""

    def __init__(self, peer: PeerId, reason: str) -> None:
        super().__init__(f"peer unreachable: {reason}")
        self.peer = peer


class StreamLostError(NetworkError):
    """An open stream to ``peer`` ended, was reset, or broke its protocol."""

    def __init__(self, peer: PeerId, reason: str) -> None:
        super().__init__(f"stream lost: {reason}")
        self.peer = peer


class OversizedError(NetworkError):
    """``size`` bytes are more than the ``limit`` that every peer enforces."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"{size} bytes exceed the limit of {limit}")
        self.size = size
        self.limit = limit


class BlobUnavailableError(NetworkError):
    """No holder served the blob of ``root``; ``reasons`` names one fault per attempt."""

    def __init__(self, root: Digest, reasons: tuple[str, ...]) -> None:
        super().__init__(f"blob {root.hex()[:16]} unavailable: {'; '.join(reasons) or 'no holder'}")
        self.root = root
        self.reasons = reasons
