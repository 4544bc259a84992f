"""Signatures of an attempt that were found good: what is said again costs no curve arithmetic."""

from typing import Final

from flocknode.primitives import Address, Digest

SIGNATURES_MAX: Final = 4096
"""Above what a full committee and roster sign in an attempt; about 250 bytes each."""


class SignatureMemory:
    """Remembers who signed what, the newest first to stay."""

    def __init__(self) -> None:
        self._good: dict[tuple[Digest, bytes, Address], None] = {}

    def knows(self, digest: Digest, signature: bytes, signer: Address) -> bool:
        return (digest, signature, signer) in self._good

    def remember(self, digest: Digest, signature: bytes, signer: Address) -> None:
        self._good[digest, signature, signer] = None
        if len(self._good) > SIGNATURES_MAX:
            del self._good[next(iter(self._good))]
