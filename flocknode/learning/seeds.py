"""One public seed fixes a whole run: every use derives its own from it.

Never for secrets: whoever knows the run's seed knows them all.
"""

import hashlib

import msgpack


def derive(seed: int, *path: int | str) -> int:
    """Return 63 bits for one use of ``seed``, such as ``derive(seed, "train", trainer, round)``."""
    packed: bytes = msgpack.packb(["flock/training-seed/v1", seed, *path], use_bin_type=True)
    return int.from_bytes(hashlib.sha256(packed).digest()[:8], "big") >> 1
