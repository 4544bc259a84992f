"""The node's ledger on a real chain."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import trio

from flocknode.chain.agreement import AgreedProgress, Agreement
from flocknode.chain.client import Rpc
from flocknode.chain.connection import Connection
from flocknode.chain.drand_rounds import RoundProver, RoundSource
from flocknode.chain.endpoints import Endpoints
from flocknode.chain.onion import Onion
from flocknode.chain.reader import Reader
from flocknode.chain.sender import Receipt, Sender
from flocknode.chain.witnesses import WitnessedProgress, Witnesses
from flocknode.crypto.signing import SigningKey
from flocknode.errors import ConfigurationError
from flocknode.ports import Outbox
from flocknode.primitives import Digest, Wei
from flocknode.protocol.ledger import Call, ChainProgress, Reveal
from flocknode.protocol.proofs import Accuse, AskTree, DemandSeed, OpenChallenge


class ChainLedger:
    """What happens on the chain, as blocks; and the calls of one key, as transactions."""

    def __init__(
        self,
        connection: Connection,
        key: SigningKey,
        onion: Onion | None = None,
        outbox: Outbox | None = None,
    ) -> None:
        self._connection = connection
        self._bindings = connection.bindings
        deployment = self._bindings.deployment
        self._reader = Reader(connection.client, deployment)
        self._onion = onion
        self._reveal = trio.Lock()
        self._validator: int | None = None
        self._bonds: dict[str, Wei] = {}
        self.sender = Sender(
            connection.client,
            connection.heads,
            key,
            deployment.chain_id,
            self._bindings.artifacts,
            outbox,
        )

    def progress(self, task: int) -> AsyncIterator[ChainProgress]:
        """Return an endless iterator from the deployment's first block.

        With several endpoints, nothing is final that one contradicts and none outvotes, and final
        draws of ``task`` are doubted until they agree on them.
        """
        follower, client = self._connection.follow(), self._connection.client
        if not isinstance(client, Endpoints):
            return follower
        witnessed = WitnessedProgress(
            follower, Witnesses(client, self._bindings), self._bindings.deployment.block
        )
        return AgreedProgress(witnessed, Agreement(client, self._bindings), task)

    def prover(self, task: int, sources: Sequence[RoundSource]) -> RoundProver:
        """Return who brings drand's rounds to the chain for this key."""
        heads = self._connection.heads
        return RoundProver(self._reader, heads, self._bindings, self.sender, task, sources)

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
            preimage = await self._next_layer(validator)
            if preimage is None:
                raise ConfigurationError(
                    f"validator {validator} has no onion under the tip that it committed to",
                    "restore the onion's file, or commit to a new one",
                )
            # Only now: an endpoint that is behind, or lies, names another.
            self._validator = validator
            return await self.sender.transact(self._bindings.encode(call, validator, preimage))

    async def _next_layer(self, validator: int) -> Digest | None:
        """Return what lies under the onion's present tip, for which every endpoint is asked."""
        if self._onion is None:
            return None
        client, deployment = self._connection.client, self._bindings.deployment

        async def report(one: Rpc) -> bytes:
            return await Reader(one, deployment).onion_tip(validator)

        if not isinstance(client, Endpoints):
            return self._onion.preimage(await report(client))
        tips = await client.ask_each(report)
        if not tips:
            # Whoever is asked alone raises what failed.
            return self._onion.preimage(await report(client))
        return self._onion.preimage(self._onion.choose(list(tips.values())))


@asynccontextmanager
async def open_ledger(
    connection: Connection,
    key: SigningKey,
    onion: Onion | None = None,
    outbox: Outbox | None = None,
) -> AsyncIterator[ChainLedger]:
    """Go on with the transactions that were on their way, until the block ends."""
    ledger = ChainLedger(connection, key, onion, outbox)
    async with trio.open_nursery() as nursery:
        await nursery.start(ledger.sender.resume)
        yield ledger
        nursery.cancel_scope.cancel()
