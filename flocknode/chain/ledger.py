"""The node's ledger on a real chain."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import trio

from flocknode.chain.bindings import Bindings
from flocknode.chain.client import ChainClient
from flocknode.chain.deployment import Deployment, verify
from flocknode.chain.follower import Follower
from flocknode.chain.heads import POLL_SECONDS, Heads, connected
from flocknode.chain.onion import Onion
from flocknode.chain.reader import Reader
from flocknode.chain.sender import Receipt, Sender
from flocknode.crypto.signing import SigningKey
from flocknode.errors import ConfigurationError
from flocknode.primitives import Wei
from flocknode.protocol.ledger import Call, Reveal
from flocknode.protocol.proofs import Accuse, AskTree, DemandSeed, OpenChallenge


class ChainLedger:
    """What happens on the chain, as blocks; and the calls of one key, as transactions."""

    def __init__(
        self,
        client: ChainClient,
        heads: Heads,
        deployment: Deployment,
        key: SigningKey,
        onion: Onion | None = None,
    ) -> None:
        self._client = client
        self._heads = heads
        self._bindings = Bindings(deployment)
        self._reader = Reader(client, deployment)
        self._onion = onion
        self._reveal = trio.Lock()
        self._validator: int | None = None
        self._bonds: dict[str, Wei] = {}
        self.sender = Sender(client, heads, key, deployment.chain_id, self._bindings.artifacts)

    def progress(self, start: int | None = None) -> Follower:
        """Return an endless iterator from block ``start``, by default the deployment's first."""
        deployment = self._bindings.deployment
        return Follower(
            self._client,
            self._heads,
            list(deployment.addresses.values()),
            self._bindings.decode,
            deployment.block if start is None else start,
        )

    async def submit(self, call: Call) -> None:
        """Send a call and wait for its block; raises as ``transact`` does."""
        await self.transact(call)

    async def transact(self, call: Call) -> Receipt:
        """Send a call and return what it cost.

        Raises CallReverted, TransactionRefused, TransactionLost or EndpointUnreachable.
        """
        if isinstance(call, Reveal):
            return await self._answer(call)
        if isinstance(call, OpenChallenge | DemandSeed | Accuse | AskTree):
            call = replace(call, bond=await self._bond_of(call))
        return await self.sender.transact(self._bindings.encode(call))

    async def _bond_of(self, call: OpenChallenge | DemandSeed | Accuse | AskTree) -> Wei:
        """Ask the contract once what such a call must bring."""
        contract = "SlashingManager" if isinstance(call, OpenChallenge) else "DutyManager"
        if contract not in self._bonds:
            (bond,) = await self._reader.view(contract, "bond")
            self._bonds[contract] = Wei(bond)
        return self._bonds[contract]

    async def _answer(self, call: Reveal) -> Receipt:
        """Reveal the layer under the present tip, one request after the other."""
        async with self._reveal:
            validator = self._validator
            if validator is None:
                validator = await self._reader.validator_of(self.sender.address)
                self._validator = validator
            tip = await self._reader.onion_tip(validator)
            preimage = None if self._onion is None else self._onion.preimage(tip)
            if preimage is None:
                raise ConfigurationError(
                    f"validator {validator} has no onion under the tip that it committed to",
                    "restore the onion's file, or commit to a new one",
                )
            return await self.sender.transact(self._bindings.encode(call, validator, preimage))


@asynccontextmanager
async def open_ledger(
    url: str,
    deployment: Deployment,
    key: SigningKey,
    onion: Onion | None = None,
    poll_seconds: float = POLL_SECONDS,
) -> AsyncIterator[ChainLedger]:
    """Connect, check the contracts and follow the head until the block ends."""
    async with connected(url, poll_seconds) as (client, heads):
        await verify(client, deployment)
        yield ChainLedger(client, heads, deployment, key, onion)
