"""A trainer's receipt: proof that its contributions are in the sums that the chain settled."""

import json
from dataclasses import dataclass
from typing import Any, Final

from flocknode.cli.audit.directory import FileFault, canonical_json
from flocknode.primitives import Address, Digest

RECEIPT_BYTES_MAX: Final = 64 << 20
_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


@dataclass(frozen=True, slots=True)
class Inclusion:
    """One contribution under its round's inclusion root."""

    round: int
    position: int
    """Rank among the included."""
    record: bytes
    path: tuple[Digest, ...]
    """Siblings in the inclusion tree, bottom up."""
    paid: int
    """What the trainer was paid for it, in the token's smallest unit; 0 before a claim."""

    def content(self) -> dict[str, Any]:
        return {
            "round": self.round,
            "position": self.position,
            "record": "0x" + self.record.hex(),
            "path": ["0x" + digest.hex() for digest in self.path],
            "paid": str(self.paid),
        }


@dataclass(frozen=True, slots=True)
class TrainerReceipt:
    trainer: Address
    inclusions: tuple[Inclusion, ...]
    """In the order of rounds."""

    def to_bytes(self) -> bytes:
        inclusions = [one.content() for one in self.inclusions]
        return canonical_json({"trainer": "0x" + self.trainer.hex(), "inclusions": inclusions})


def read_receipt(name: str, data: bytes) -> TrainerReceipt:
    """Read a receipt in its one encoding; raise ``FileFault``."""
    try:
        receipt = _parse(json.loads(data))
    except _UNREADABLE as error:
        raise FileFault(name, "is no receipt") from error
    if receipt.to_bytes() != data:
        raise FileFault(name, "is not in canonical form")
    return receipt


def _parse(content: dict[str, Any]) -> TrainerReceipt:
    inclusions = tuple(
        Inclusion(
            int(one["round"]),
            int(one["position"]),
            _bytes(one["record"]),
            tuple(Digest(_bytes(digest)) for digest in one["path"]),
            int(one["paid"]),
        )
        for one in content["inclusions"]
    )
    return TrainerReceipt(Address(_bytes(content["trainer"])), inclusions)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
