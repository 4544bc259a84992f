"""The members' data directories: keys first, configuration once the chain knows them."""

import os
from dataclasses import dataclass
from pathlib import Path

from flocknode.chain.deployment import Deployment
from flocknode.chain.keystore import create_key, write_secret
from flocknode.chain.onion import Onion, create_onion
from flocknode.cli import node_config
from flocknode.cli.node_config import LISTENS_ON_NOTHING, NodeConfig
from flocknode.cli.task_file import TaskFile
from flocknode.crypto.peer_id import peer_of, peer_text
from flocknode.crypto.signing import SigningKey
from flocknode.errors import UnavailableError
from flocknode.primitives import PeerId


@dataclass(frozen=True, slots=True)
class Member:
    """One node to be: its directory, its port and its public names."""

    directory: Path
    port: int | None
    """A trainer listens on none."""
    peer: PeerId
    key: SigningKey

    @property
    def listen(self) -> str:
        return LISTENS_ON_NOTHING if self.port is None else f"/ip4/127.0.0.1/tcp/{self.port}"

    @property
    def address(self) -> str:
        return f"{self.listen}/p2p/{peer_text(self.peer)}"


@dataclass(frozen=True, slots=True)
class ValidatorMember:
    member: Member
    owner: SigningKey
    onion: Onion | None
    """One validator of each organisation answers beacon requests."""


def create_trainer(directory: Path) -> Member:
    return _create_member(directory, None)


def create_validator(
    directory: Path, port: int, owner: SigningKey | None, onion_layers: int
) -> ValidatorMember:
    """Make the first validator of an organisation, or another one of the owner's."""
    member = _create_member(directory, port)
    if owner:
        return ValidatorMember(member, owner, None)
    owner = create_key(directory / node_config.OWNER_KEY)
    return ValidatorMember(member, owner, create_onion(directory / node_config.ONION, onion_layers))


def _create_member(directory: Path, port: int | None) -> Member:
    try:
        directory.mkdir(parents=True)
    except OSError as error:
        raise UnavailableError(
            f"cannot create {directory}: {error.strerror}", "name a directory that you may write"
        ) from error
    seed = os.urandom(32)
    write_secret(directory / node_config.NETWORK_KEY, seed.hex().encode() + b"\n")
    key = create_key(directory / node_config.SIGNING_KEY)
    return Member(directory, port, peer_of(seed), key)


@dataclass(frozen=True, slots=True)
class Common:
    """What every node of the network is given; all of it is public."""

    rpc: tuple[str, ...]
    deployment: Deployment
    task: int
    task_file: TaskFile
    initial_model: bytes
    poll_seconds: float
    seed: int


def configure(
    member: Member,
    common: Common,
    links: tuple[str, ...],
    neighbours: tuple[str, ...],
) -> None:
    """Write the public files of a member's directory; who listens lets watchers in."""
    common.deployment.save(member.directory / node_config.DEPLOYMENT)
    (member.directory / node_config.TASK).write_bytes(common.task_file.to_bytes())
    (member.directory / node_config.INITIAL_MODEL).write_bytes(common.initial_model)
    NodeConfig(
        listen=member.listen,
        rpc=common.rpc,
        task=common.task,
        links=tuple(link for link in links if link != member.address),
        neighbours=neighbours,
        poll_seconds=common.poll_seconds,
        watchers=member.port is not None,
        seed=common.seed,
    ).save(member.directory)


def choose_neighbours(
    trainers: list[Member], validators: list[Member]
) -> dict[PeerId, tuple[str, ...]]:
    """Return a ring of validators with chords, and one validator for each trainer.

    Gossip costs messages times edges; trainers have nothing to forward.
    """
    count = len(validators)
    chosen = {}
    for place, member in enumerate(validators):
        following = {(place + 1) % count}
        if place % 2 == 0:
            following.add((place + count // 2) % count)
        chosen[member.peer] = tuple(validators[i].address for i in following if i != place)
    for place, member in enumerate(trainers):
        chosen[member.peer] = (validators[place % count].address,)
    return chosen
