"""The hash onion behind a validator's beacon reveals: tip = keccak256^layers(secret)."""

import json
import os
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from flocknode.chain.keystore import read_secret, write_secret
from flocknode.crypto.hashing import keccak256
from flocknode.errors import ConfigurationError
from flocknode.primitives import Digest

TIP_BYTES = 26
"""The beacon keeps this much of a tip (CommitRevealBeacon, Member)."""
LAYERS = 2048
"""Each answers one beacon request. Peeling 2048 takes 0.1 s: make onions before the loop runs."""


class Onion:
    """Knows every layer; the chain's present tip says which one comes next."""

    def __init__(self, secret: bytes, layers: int) -> None:
        chain = [Digest(secret)]
        for _ in range(layers):
            chain.append(keccak256(chain[-1]))
        self._inside = {after[:TIP_BYTES]: before for before, after in pairwise(chain)}
        self.tip = chain[-1]
        """What a validator commits to first."""

    def choose(self, tips: Sequence[bytes]) -> bytes:
        """Return which of the tips that were reported to believe; there is at least one.

        What most say. Else the outermost: a layer too deep would give away what draws to come rest
        on, one that is too far out only what is known.
        """
        known = [tip[:TIP_BYTES] for tip in tips]
        ((most, votes),) = Counter(known).most_common(1)
        if 2 * votes > len(known):
            return most
        return next((tip for tip in reversed(self._inside) if tip in known), most)

    def preimage(self, tip: bytes) -> Digest | None:
        """Return what lies under ``tip``, or None if this onion has no such layer."""
        return self._inside.get(tip[:TIP_BYTES])


def create_onion(path: Path, layers: int = LAYERS) -> Onion:
    """Draw a secret from the operating system and keep it in ``path``."""
    secret = os.urandom(32)
    write_secret(path, json.dumps({"secret": secret.hex(), "layers": layers}).encode() + b"\n")
    return Onion(secret, layers)


def load_onion(path: Path) -> Onion:
    try:
        content = json.loads(read_secret(path))
        return Onion(bytes.fromhex(content["secret"]), int(content["layers"]))
    except (ValueError, KeyError, TypeError):
        raise ConfigurationError(f"{path} holds no onion", "restore it from a backup") from None
