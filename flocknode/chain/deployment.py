"""Where the contracts of a network live, and whether they are the ones that this release knows."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from flocknode.chain.abi import load_artifact
from flocknode.chain.client import ChainClient, Json, Rpc
from flocknode.chain.errors import WrongContract, reading
from flocknode.crypto.eip712 import Domain
from flocknode.crypto.hashing import keccak256
from flocknode.errors import ConfigurationError
from flocknode.primitives import Address, Digest

CONTRACTS = (
    "FlockToken",
    "TaskRegistry",
    "StakeRegistry",
    "CommitRevealBeacon",
    "RoundManager",
    "SlashingManager",
    "DutyManager",
    "RoundPay",
)
"""In the order of their creation (contracts/README.md, "Deployment")."""
BEACONS = ("CommitRevealBeacon", "DrandBeacon")
"""A network has one of them, always in the first one's place."""


def contract_names(beacon: str) -> tuple[str, ...]:
    """Return the contracts of a network with this beacon, in the order of their creation."""
    return tuple(beacon if name in BEACONS else name for name in CONTRACTS)


@dataclass(frozen=True, slots=True)
class Deployment:
    """The contracts of one network; ``block`` is the first that may hold an event of theirs."""

    chain_id: int
    block: int
    addresses: Mapping[str, Address]
    codes: Mapping[str, Digest]
    """Keccak-256 of each contract's code, its constructor's arguments included."""

    @property
    def domain(self) -> Domain:
        """What every signed statement binds."""
        return Domain(self.chain_id, self.addresses["RoundManager"])

    @property
    def beacon(self) -> str:
        """The name of the network's beacon contract."""
        return next(name for name in BEACONS if name in self.addresses)

    @property
    def stake_domain(self) -> Domain:
        """What a signing key's consent to a registration binds."""
        return Domain(self.chain_id, self.addresses["StakeRegistry"])

    def content(self) -> dict[str, Json]:
        """Return what the network's file says, as JSON values."""
        return {
            "chain_id": self.chain_id,
            "block": self.block,
            "contracts": {
                name: {"address": "0x" + address.hex(), "code": "0x" + self.codes[name].hex()}
                for name, address in self.addresses.items()
            },
        }

    @classmethod
    def parse(cls, content: Json) -> Self:
        """Read what ``content`` gave; raises ValueError."""
        try:
            contracts = content["contracts"]
            names = contract_names(next((one for one in BEACONS if one in contracts), BEACONS[0]))
            return cls(
                chain_id=int(content["chain_id"]),
                block=int(content["block"]),
                addresses={name: Address(_bytes(contracts[name]["address"], 20)) for name in names},
                codes={name: Digest(_bytes(contracts[name]["code"], 32)) for name in names},
            )
        except (LookupError, TypeError, AttributeError, ArithmeticError) as error:
            raise ValueError(f"it lacks what a deployment has: {error}") from error

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(self.content(), indent=2) + "\n", encoding="utf-8")


def load_deployment(path: Path) -> Deployment:
    """Read a network's file; raises ConfigurationError."""
    try:
        return Deployment.parse(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"{path} describes no deployment: {error}", "fetch the network's deployment file again"
        ) from error


async def describe(
    client: Rpc, chain_id: int, block: int, addresses: Mapping[str, Address]
) -> Deployment:
    """Describe freshly created contracts; raises WrongContract if their code is another."""
    codes = await _codes(client, addresses)
    for name, code in codes.items():
        if not load_artifact(name).is_runtime(code):
            raise WrongContract(name, "0x" + addresses[name].hex())
    hashes = {name: keccak256(code) for name, code in codes.items()}
    return Deployment(chain_id, block, dict(addresses), hashes)


async def verify(client: ChainClient, deployment: Deployment) -> None:
    """Refuse an endpoint of another chain and contracts that are not the deployment's.

    The code must be this release's up to immutables, and the deployment's with them.
    """
    answer = await client.call("eth_chainId")
    with reading("a chain id"):
        chain_id = int(answer, 16)
    if chain_id != deployment.chain_id:
        raise ConfigurationError(
            f"{client.name} serves chain {chain_id}, not {deployment.chain_id}",
            "correct rpc in the node's file, or the deployment file",
        )
    for name, code in (await _codes(client, deployment.addresses)).items():
        is_known = load_artifact(name).is_runtime(code)
        if not is_known or keccak256(code) != deployment.codes[name]:
            raise WrongContract(name, "0x" + deployment.addresses[name].hex())


async def _codes(client: Rpc, addresses: Mapping[str, Address]) -> dict[str, bytes]:
    asked = [("eth_getCode", ("0x" + address.hex(), "latest")) for address in addresses.values()]
    answers: list[Json] = await client.batch(asked)
    with reading("a contract's code"):
        codes = [bytes.fromhex(answer[2:]) for answer in answers]
    return dict(zip(addresses, codes, strict=True))


def _bytes(text: str, length: int) -> bytes:
    data = bytes.fromhex(text.removeprefix("0x"))
    if len(data) != length:
        raise ValueError(f"{len(data)} bytes stand where {length} belong")
    return data
