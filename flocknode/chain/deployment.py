"""Where the contracts of a network live, and whether they are the ones that this release knows."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flocknode.chain.abi import load_artifact, read_address
from flocknode.chain.client import ChainClient, Json
from flocknode.chain.errors import WrongContract
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

    def save(self, path: Path) -> None:
        content = {
            "chain_id": self.chain_id,
            "block": self.block,
            "contracts": {
                name: {"address": "0x" + address.hex(), "code": "0x" + self.codes[name].hex()}
                for name, address in self.addresses.items()
            },
        }
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def load_deployment(path: Path) -> Deployment:
    """Read a network's file; raises ConfigurationError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        contracts = content["contracts"]
        return Deployment(
            chain_id=int(content["chain_id"]),
            block=int(content["block"]),
            addresses={name: read_address(contracts[name]["address"]) for name in CONTRACTS},
            codes={name: _digest(contracts[name]["code"]) for name in CONTRACTS},
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{path} describes no deployment: {error}", "fetch the network's deployment file again"
        ) from error


async def describe(
    client: ChainClient, chain_id: int, block: int, addresses: Mapping[str, Address]
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
    chain_id = int(await client.call("eth_chainId"), 16)
    if chain_id != deployment.chain_id:
        raise ConfigurationError(
            f"{client.name} serves chain {chain_id}, not {deployment.chain_id}",
            "correct chain.url or the deployment file",
        )
    for name, code in (await _codes(client, deployment.addresses)).items():
        is_known = load_artifact(name).is_runtime(code)
        if not is_known or keccak256(code) != deployment.codes[name]:
            raise WrongContract(name, "0x" + deployment.addresses[name].hex())


async def _codes(client: ChainClient, addresses: Mapping[str, Address]) -> dict[str, bytes]:
    asked = [("eth_getCode", ("0x" + address.hex(), "latest")) for address in addresses.values()]
    answers: list[Json] = await client.batch(asked)
    codes = (bytes.fromhex(answer[2:]) for answer in answers)
    return dict(zip(addresses, codes, strict=True))


def _digest(text: str) -> Digest:
    return Digest(bytes.fromhex(text.removeprefix("0x")))
