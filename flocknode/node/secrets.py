"""The secrets of one attempt and of one round, and the names under which they are stored."""

import json
from dataclasses import dataclass, field

from flocknode.crypto.suites import AnySealingKey, read_key, suite_of
from flocknode.primitives import Digest
from flocknode.protocol.seating import Seating


@dataclass(frozen=True, slots=True)
class Masking:
    """What a trainer drew in an attempt; with the round's delta it gives the same bytes again."""

    seeds: tuple[bytes, ...] = field(repr=False)
    capsules: tuple[bytes, ...]


@dataclass(slots=True)
class AttemptSecrets:
    """One node's secrets of one attempt."""

    sealing_key: AnySealingKey | None = None
    masking: Masking | None = None
    seeds: dict[Digest, bytes] = field(default_factory=dict, repr=False)
    """Seed of this seat's column, by header digest. Not stored: key and capsules give them."""
    sums: dict[Digest, bytes | memoryview] = field(default_factory=dict, repr=False)
    """Mask sums by root, until they may be served. Not stored: the seeds give them."""

    def to_bytes(self) -> bytes:
        content: dict[str, int | str | list[str]] = {}
        if self.sealing_key:
            content["suite"] = suite_of(self.sealing_key).number
            content["sealing_key"] = self.sealing_key.export_secret().hex()
        if self.masking:
            content["seeds"] = [seed.hex() for seed in self.masking.seeds]
            content["capsules"] = [capsule.hex() for capsule in self.masking.capsules]
        return json.dumps(content).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "AttemptSecrets":
        """Read back what ``to_bytes`` wrote; the store vouches for it."""
        content = json.loads(data)
        secrets = cls()
        if "sealing_key" in content:
            secret = bytes.fromhex(content["sealing_key"])
            secrets.sealing_key = read_key(content["suite"], secret)
        if "seeds" in content:
            seeds, capsules = (
                tuple(map(bytes.fromhex, content[name])) for name in ("seeds", "capsules")
            )
            secrets.masking = Masking(seeds, capsules)
        return secrets


def attempt_name(seating: Seating) -> str:
    drawn = seating.drawn
    return f"attempt-{drawn.round}-{drawn.attempt}-{drawn.ctx.hex()}"


def delta_name(round_: int) -> str:
    return f"delta-{round_}"


def is_over(name: str, round_: int, attempt: int) -> bool:
    """Tell whether a secret is of an earlier attempt, or the delta of an earlier round."""
    kind, *numbers = name.split("-")
    if kind == "delta":
        return int(numbers[0]) < round_
    return (int(numbers[0]), int(numbers[1])) < (round_, attempt)
