"""One operator's ``flocknode.toml``. Secrets are files beside it, never values in it."""

import json
import tomllib
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from flocknode.errors import ConfigurationError

FILE_NAME = "flocknode.toml"
LISTENS_ON_NOTHING = "none"
POLL_SECONDS_MAX = 60.0

NETWORK_KEY = "network.key"
SIGNING_KEY = "signing.key"
OWNER_KEY = "owner.key"
ONION = "onion.json"
DEPLOYMENT = "deployment.json"
TASK = "task.json"
INITIAL_MODEL = "initial.model"
SHARD = "shard.npz"


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """What a node needs besides its key files; paths are relative to the data directory."""

    listen: str
    """Multiaddr to listen on, or "none": then the node only dials, as a trainer may."""
    rpc: tuple[str, ...]
    """URLs of the chain's JSON-RPC endpoints, the preferred one first; two must agree on a draw."""
    task: int
    """The task's number on the chain."""
    links: tuple[str, ...]
    """Addresses to begin with, as /ip4/.../tcp/.../p2p/...; one leads to the others."""
    neighbours: tuple[str, ...]
    """Addresses of the peers to exchange gossip with; without any the node chooses some."""
    poll_seconds: float
    """How often to ask the chain for a new block: about one block's time."""
    announce: tuple[str, ...] = ()
    """Addresses at which others reach this node, as /ip4/.../tcp/..., if not where it listens."""
    watchers: bool = False
    """Lets in who is neither in the roster nor a validator: it may pull what is public."""
    mdns: bool = False
    """Looks for peers on the local network, and can be seen there."""
    drand: tuple[str, ...] = ()
    """Where a validator finds drand's rounds: URLs of drand's API, or directories of ROUND.json."""
    seed: int | None = None
    """Fixes training and rounding for a repeatable run; leave it out otherwise."""

    def save(self, directory: Path) -> None:
        lines = [
            f"{name} = {json.dumps(value)}\n"
            for name, value in asdict(self).items()
            if value is not None
        ]
        path = directory / FILE_NAME
        path.touch(mode=0o600)  # An endpoint's URL may carry a token.
        path.write_text("".join(lines), encoding="utf-8")


def load_node_config(directory: Path) -> NodeConfig:
    """Read a data directory's configuration; an unknown or missing key refuses to start."""
    path = directory / FILE_NAME
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"cannot read {path}: {error}", "write it, or name another directory"
        ) from error
    known = {field.name for field in fields(NodeConfig)}
    if unknown := sorted(content.keys() - known):
        raise ConfigurationError(
            f"{path}: unknown key {unknown[0]!r}", f"the keys are {', '.join(sorted(known))}"
        )
    required = {field.name for field in fields(NodeConfig) if field.default is MISSING}
    if missing := sorted(required - content.keys()):
        raise ConfigurationError(f"{path}: no {missing[0]!r}", "add it")
    return _checked(path, content)


def _checked(path: Path, content: dict[str, Any]) -> NodeConfig:
    shapes = {
        "listen": str,
        "rpc": list,
        "task": int,
        "links": list,
        "neighbours": list,
        "poll_seconds": float,
        "announce": list,
        "watchers": bool,
        "mdns": bool,
        "drand": list,
        "seed": int,
    }
    for name, value in content.items():
        if type(value) is not shapes[name]:
            kind = shapes[name].__name__
            raise ConfigurationError(f"{path}: {name!r} is not of type {kind}", "correct it")
    lists = {name: tuple(value) for name, value in content.items() if type(value) is list}
    for name, values in lists.items():
        if not all(type(one) is str for one in values):
            raise ConfigurationError(f"{path}: {name!r} is not a list of strings", "correct it")
    if not 0 < content["poll_seconds"] <= POLL_SECONDS_MAX:
        raise ConfigurationError(
            f"{path}: 'poll_seconds' is {content['poll_seconds']}",
            f"take about one block's time, at most {POLL_SECONDS_MAX:.0f}",
        )
    if not lists["rpc"]:
        raise ConfigurationError(f"{path}: 'rpc' names no endpoint", "name one, better three")
    return NodeConfig(**content | lists)
