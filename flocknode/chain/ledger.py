"""The node's ledger on a real chain."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial

import trio

from flocknode.chain.agreement import AgreedProgress, Agreement
from flocknode.chain.bindings import Bindings
from flocknode.chain.client import ChainClient, Rpc
from flocknode.chain.deployment import Deployment, verify
from flocknode.chain.drand_rounds import RoundProver, RoundSource
from flocknode.chain.endpoints import Endpoints
from flocknode.chain.follower import Follower
from flocknode.chain.heads import POLL_SECONDS, Heads, followed
from flocknode.chain.onion import Onion
from flocknode.chain.reader import Reader
from flocknode.chain.sender import Receipt, Sender
from flocknode.crypto.signing import SigningKey
from flocknode.errors import ConfigurationError
from flocknode.ports import Outbox
from flocknode.primitives import Wei
from flocknode.protocol.ledger import Call, ChainProgress, Reveal
from flocknode.protocol.proofs import Accuse, AskTree, DemandSeed, OpenChallenge

SHARED_CALL_SECONDS_MAX = 3.0
"""Deadline of a call that another endpoint can answer instead."""


class ChainLedger:
    """What happens on the chain, as blocks; and the calls of one key, as transactions."""

    def __init__(
        self,
        client: Rpc,
        heads: Heads,
        deployment: Deployment,
        key: SigningKey,
        onion: Onion | None = None,
        outbox: Outbox | None = None,
    ) -> None:
        self._client = client
        self._heads = heads
        self._bindings = Bindings(deployment)
        self._reader = Reader(client, deployment)
        self._onion = onion
        self._reveal = trio.Lock()
        self._validator: int | None = None
        self._bonds: dict[str, Wei] = {}
        self.sender = Sender(
            client, heads, key, deployment.chain_id, self._bindings.artifacts, outbox
        )

    def progress(self, task: int) -> AsyncIterator[ChainProgress]:
        """Return an endless iterator from the deployment's first block.

        With several endpoints, final draws of ``task`` are doubted until they agree on them.
        """
        deployment = self._bindings.deployment
        follower = Follower(
            self._client,
            self._heads,
            list(deployment.addresses.values()),
            self._bindings.decode,
            deployment.block,
        )
        if not isinstance(self._client, Endpoints):
            return follower
        return AgreedProgress(follower, Agreement(self._client, self._bindings), task)

    def prover(self, task: int, sources: Sequence[RoundSource]) -> RoundProver:
        """Return who brings drand's rounds to the chain for this key."""
        return RoundProver(self._reader, self._heads, self._bindings, self.sender, task, sources)

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
    urls: Sequence[str],
    deployment: Deployment,
    key: SigningKey,
    onion: Onion | None = None,
    poll_seconds: float = POLL_SECONDS,
    outbox: Outbox | None = None,
) -> AsyncIterator[ChainLedger]:
    """Connect, check the contracts and follow the head until the block ends."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(_reached(urls, deployment))
        heads = await stack.enter_async_context(followed(client, poll_seconds))
        ledger = ChainLedger(client, heads, deployment, key, onion, outbox)
        nursery = await stack.enter_async_context(trio.open_nursery())
        await nursery.start(ledger.sender.resume)
        yield ledger
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def _reached(urls: Sequence[str], deployment: Deployment) -> AsyncIterator[Rpc]:
    """Reach one endpoint, or several that stand in for one another."""
    if len(urls) == 1:
        async with ChainClient(urls[0]) as client:
            await verify(client, deployment)
            yield client
        return
    clients = [ChainClient(url, 1, SHARED_CALL_SECONDS_MAX) for url in urls]
    try:
        if len({client.name for client in clients}) < len(clients):
            raise ConfigurationError(
                "two endpoints in rpc are of one host: they cannot vouch for each other",
                "name endpoints of different hosts",
            )
        endpoints = Endpoints(clients, partial(verify, deployment=deployment))
        await endpoints.open()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(endpoints.run)
            yield endpoints
            nursery.cancel_scope.cancel()
    finally:
        for client in clients:
            client.close()
