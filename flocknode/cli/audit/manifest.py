"""The manifest: of which chain, contracts and task a directory tells, and where it is anchored."""

import json
from dataclasses import dataclass
from typing import Any, Final

from flocknode.chain.deployment import Deployment
from flocknode.cli.audit.directory import MANIFEST, FileFault, RunDirectory, canonical_json
from flocknode.crypto.hashing import sha256
from flocknode.primitives import Digest

FORMAT: Final = "flocknode run 1"
MANIFEST_BYTES_MAX: Final = 1 << 16
BLOCKS_MAX: Final = 1 << 20
_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


@dataclass(frozen=True, slots=True)
class Manifest:
    """``anchor`` is the hash of the last block, from which everything else follows."""

    deployment: Deployment
    task: int
    rounds: int
    """Rounds that had settled in the last block."""
    last: int
    anchor: Digest

    @property
    def blocks(self) -> range:
        return range(self.deployment.block, self.last + 1)

    def to_bytes(self) -> bytes:
        content = self._content()
        # It protects against nothing but damage: who lies can compute it anew.
        return canonical_json({**content, "digest": sha256(canonical_json(content)).hex()})

    def _content(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "deployment": self.deployment.content(),
            "task": self.task,
            "rounds": self.rounds,
            "last_block": self.last,
            "anchor": "0x" + self.anchor.hex(),
        }


def load_manifest(run: RunDirectory) -> Manifest:
    """Read a run's manifest; raise ``FileFault`` unless every byte of it is in its place."""
    data = run.read(MANIFEST, MANIFEST_BYTES_MAX)
    try:
        manifest = _parse(json.loads(data))
    except _UNREADABLE as error:
        raise FileFault(MANIFEST, "is no manifest of a run") from error
    if manifest.to_bytes() != data:
        raise FileFault(MANIFEST, "was changed: its digest is not that of its content")
    if not 0 < len(manifest.blocks) <= BLOCKS_MAX:
        raise FileFault(MANIFEST, f"names {len(manifest.blocks)} blocks")
    return manifest


def _parse(content: dict[str, Any]) -> Manifest:
    return Manifest(
        Deployment.parse(content["deployment"]),
        int(content["task"]),
        int(content["rounds"]),
        int(content["last_block"]),
        Digest(bytes.fromhex(content["anchor"].removeprefix("0x"))),
    )
