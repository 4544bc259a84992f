"""Contract ABIs: calls and their results, logs and custom errors, as plain Python values."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError

from flocknode.chain.client import Json
from flocknode.chain.errors import CallReverted
from flocknode.crypto.hashing import keccak256
from flocknode.primitives import Address

_ERROR = keccak256(b"Error(string)")[:4]
_PANIC = keccak256(b"Panic(uint256)")[:4]


@dataclass(frozen=True, slots=True)
class Function:
    selector: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Event:
    name: str
    topics: tuple[tuple[str, str], ...]
    """Name and type of each indexed argument."""
    data: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Artifact:
    """One compiled contract."""

    name: str
    creation: bytes
    runtime: bytes
    immutables: tuple[tuple[int, int], ...]
    """Start and length of each place in ``runtime`` that the constructor fills in."""
    constructor: tuple[str, ...]
    functions: Mapping[str, Function] = field(repr=False)
    events: Mapping[bytes, Event] = field(repr=False)
    errors: Mapping[bytes, tuple[str, tuple[str, ...]]] = field(repr=False)

    def creation_data(self, arguments: Sequence[object] = ()) -> bytes:
        return self.creation + encode(self.constructor, arguments)

    def call_data(self, function: str, arguments: Sequence[object] = ()) -> bytes:
        entry = self.functions[function]
        return entry.selector + encode(entry.inputs, arguments)

    def results(self, function: str, data: bytes) -> tuple[Json, ...]:
        return tuple(decode(self.functions[function].outputs, data))

    def read_log(self, log: Json) -> tuple[str, dict[str, Json]] | None:
        """Return an event's name and arguments, or None for an event that the ABI lacks.

        Indexed arguments must be value types: of others a log holds only the hash.
        """
        event = self.events.get(_bytes(log["topics"][0])) if log["topics"] else None
        if event is None:
            return None
        topics = zip(event.topics, log["topics"][1:], strict=True)
        arguments = {name: decode([kind], _bytes(topic))[0] for (name, kind), topic in topics}
        values = decode([kind for _, kind in event.data], _bytes(log["data"]))
        arguments.update(zip((name for name, _ in event.data), values, strict=True))
        return event.name, arguments

    def is_runtime(self, code: bytes) -> bool:
        """Whether ``code`` is this contract's, whatever its constructor was given."""
        return len(code) == len(self.runtime) and self._masked(code) == self._masked(self.runtime)

    def _masked(self, code: bytes) -> bytes:
        masked = bytearray(code)
        for start, length in self.immutables:
            masked[start : start + length] = bytes(length)
        return bytes(masked)


def read_revert(data: bytes, artifacts: Sequence[Artifact]) -> CallReverted:
    """Name the error behind a revert's data; one contract may pass on another's error."""
    selector, body = data[:4], data[4:]
    known: dict[bytes, tuple[str, tuple[str, ...]]] = {
        _ERROR: ("Error", ("string",)),
        _PANIC: ("Panic", ("uint256",)),
    }
    for artifact in artifacts:
        known.update(artifact.errors)
    name, kinds = known.get(selector, ("0x" + selector.hex(), ()))
    try:
        return CallReverted(name, tuple(decode(kinds, body)))
    except DecodingError:
        return CallReverted(name)


@lru_cache(maxsize=32)
def load_artifact(name: str) -> Artifact:
    """Read a compiled contract that this package ships."""
    path = files("flocknode.chain").joinpath("artifacts", f"{name}.json")
    return read_artifact(json.loads(path.read_text("utf-8")))


def read_artifact(content: Json) -> Artifact:
    entries = content["abi"]
    functions = {
        entry["name"]: Function(
            keccak256(_signature(entry).encode())[:4],
            _kinds(entry["inputs"]),
            _kinds(entry["outputs"]),
        )
        for entry in entries
        if entry["type"] == "function"
    }
    events = {
        bytes(keccak256(_signature(entry).encode())): _event(entry)
        for entry in entries
        if entry["type"] == "event"
    }
    errors = {
        keccak256(_signature(entry).encode())[:4]: (entry["name"], _kinds(entry["inputs"]))
        for entry in entries
        if entry["type"] == "error"
    }
    constructors = [entry["inputs"] for entry in entries if entry["type"] == "constructor"]
    places = [place for group in content["immutableReferences"].values() for place in group]
    return Artifact(
        name=content["contractName"],
        creation=_bytes(content["bytecode"]),
        runtime=_bytes(content["deployedBytecode"]),
        immutables=tuple((place["start"], place["length"]) for place in places),
        constructor=_kinds(constructors[0]) if constructors else (),
        functions=functions,
        events=events,
        errors=errors,
    )


def read_address(text: str) -> Address:
    return Address(_bytes(text))


def _event(entry: Json) -> Event:
    indexed = [one for one in entry["inputs"] if one["indexed"]]
    plain = [one for one in entry["inputs"] if not one["indexed"]]
    return Event(
        entry["name"],
        tuple((one["name"], _kind(one)) for one in indexed),
        tuple((one["name"], _kind(one)) for one in plain),
    )


def _signature(entry: Json) -> str:
    return f"{entry['name']}({','.join(_kinds(entry['inputs']))})"


def _kinds(parameters: Json) -> tuple[str, ...]:
    return tuple(_kind(parameter) for parameter in parameters)


def _kind(parameter: Json) -> str:
    """Return the canonical type: a struct is the tuple of its members' types."""
    kind: str = parameter["type"]
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(_kinds(parameter['components']))}){kind.removeprefix('tuple')}"


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
