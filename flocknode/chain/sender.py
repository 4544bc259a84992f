"""Sends one key's transactions: nonces in order, fees that follow the chain, receipts checked."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter

import trio

from flocknode.chain.abi import Artifact, read_revert
from flocknode.chain.client import Json, Rpc
from flocknode.chain.client import Request as RpcRequest
from flocknode.chain.errors import (
    CallReverted,
    EndpointUnreachable,
    RpcFailed,
    TransactionLost,
    TransactionRefused,
    reading,
)
from flocknode.chain.heads import Header, Heads
from flocknode.chain.transaction import SignedTransaction, Transaction, read_transaction, sign
from flocknode.crypto.eip712 import Domain
from flocknode.crypto.signing import SigningKey
from flocknode.errors import FlockError
from flocknode.messages.statements import consent_digest
from flocknode.ports import Outbox
from flocknode.primitives import Address, Digest, PeerId, Wei

NOTHING = Wei(0)
TIP = Wei(10**9)
FEE_MAX = Wei(500 * 10**9)
"""Ceiling per gas; a base fee above it makes the node wait rather than pay."""
CONFIRM_SECONDS_MAX = 300.0
BUMP_AFTER_BLOCKS = 5
BUMPS_MAX = 8

log = logging.getLogger("flocknode.chain")


@dataclass(frozen=True, slots=True)
class Receipt:
    """A transaction that succeeded."""

    transaction: Digest
    block: int
    gas_used: int
    logs: tuple[Json, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Request:
    """What a transaction does, without nonce and fees; ``to`` None creates a contract."""

    to: Address | None
    data: bytes
    gas: int
    value: Wei = NOTHING


@dataclass(slots=True)
class Pending:
    """A transaction on its way; its attempts differ in their fees only."""

    transaction: Transaction
    attempts: list[SignedTransaction]
    seen: Header
    """The newest block that cannot hold it."""
    bumped: int
    """Number of the newest block when it was offered last."""


@dataclass(slots=True)
class Resumed:
    """A transaction of an earlier process, for whoever asks for the same again."""

    pending: Pending
    decided: trio.Event = field(default_factory=trio.Event)
    outcome: Receipt | FlockError | None = None


class Sender:
    """The only sender of its key, since nonces are counted here.

    With an outbox a transaction is on disk before any endpoint sees it, and the next process takes
    it up where this one ended: a nonce is never signed for something else while it is on its way.
    """

    def __init__(
        self,
        client: Rpc,
        heads: Heads,
        key: SigningKey,
        chain_id: int,
        artifacts: Sequence[Artifact] = (),
        outbox: Outbox | None = None,
    ) -> None:
        self._client = client
        self._heads = heads
        self._key = key
        self._chain_id = chain_id
        self._artifacts = artifacts
        self._outbox = outbox
        self._lock = trio.Lock()
        self._underway: set[int] = set()
        """Nonces of what is not confirmed yet."""
        self._resumed: dict[Request, Resumed] = {}
        self._included: dict[int, int] = {}
        """Blocks by nonce, of what the outbox holds and a block holds too."""

    @property
    def address(self) -> Address:
        return self._key.address

    def consent(self, domain: Domain, owner: Address, organisation: Digest, peer: PeerId) -> bytes:
        """Sign that this key serves ``owner``'s validator under a peer id."""
        return self._key.sign_digest(consent_digest(domain, owner, organisation, peer))

    async def transact(self, request: Request) -> Receipt:
        """Send and wait for the block.

        What an earlier process sent is waited for, not sent again. Raises CallReverted,
        TransactionRefused, TransactionLost or EndpointUnreachable.
        """
        resumed = self._resumed.get(request)
        if resumed is None:
            return await self.confirm(await self.send(request))
        await resumed.decided.wait()
        assert resumed.outcome is not None
        if isinstance(resumed.outcome, FlockError):
            raise resumed.outcome
        return resumed.outcome

    async def resume(
        self,
        task_status: "trio.TaskStatus[None]" = trio.TASK_STATUS_IGNORED,  # type: ignore[name-defined]
    ) -> None:
        """Send again what an earlier process left on its way, and see it through.

        Has started once everything is with the endpoint; nothing else may be sent before.
        """
        if self._outbox is not None:
            kept = await trio.to_thread.run_sync(self._outbox.kept)
            async with self._lock:
                await self._take_up(kept)
        task_status.started()
        async with trio.open_nursery() as nursery:
            for request, resumed in list(self._resumed.items()):
                nursery.start_soon(self._see_through, request, resumed)

    async def send(self, request: Request) -> Pending:
        """Broadcast in the order of the calls; every ``Pending`` must then be confirmed."""
        async with self._lock:
            newest, nonce = self._heads.newest, await self.next_nonce()
            transaction = self._fill(request, nonce, newest)
            pending = Pending(transaction, [], newest, newest.number)
            await self._broadcast(pending)
            self._underway.add(nonce)
            return pending

    async def confirm(self, pending: Pending) -> Receipt:
        """Wait until a block holds the transaction; fees rise while none does."""
        try:
            with trio.fail_after(CONFIRM_SECONDS_MAX):
                receipt = await self._receipt(pending)
        except trio.TooSlowError as error:
            raise TransactionLost("no block took it in time") from error
        finally:
            self._underway.discard(pending.transaction.nonce)
        with reading("a receipt"):
            succeeded = int(receipt["status"], 16) == 1
            found = Receipt(
                transaction=Digest(bytes.fromhex(receipt["transactionHash"][2:])),
                block=int(receipt["blockNumber"], 16),
                gas_used=int(receipt["gasUsed"], 16),
                logs=tuple(receipt["logs"]),
            )
        if self._outbox is not None:
            self._included[pending.transaction.nonce] = found.block
        if not succeeded:
            raise await self._reason(pending.transaction, found.block)
        return found

    async def next_nonce(self) -> int:
        """Return the first nonce that neither the endpoint knows of nor a transaction underway has.

        Whatever a reorganisation undid leaves a gap, which holds up all that is above it.
        """
        nonce = await self._count("pending")
        while nonce in self._underway:
            nonce += 1
        return nonce

    async def _count(self, block: str) -> int:
        address = "0x" + self.address.hex()
        answer = await self._client.call("eth_getTransactionCount", address, block)
        with reading("a nonce"):
            return int(answer, 16)

    def _fill(self, request: Request, nonce: int, newest: Header) -> Transaction:
        return Transaction(
            chain_id=self._chain_id,
            nonce=nonce,
            tip=TIP,
            fee_max=Wei(min(2 * newest.base_fee + TIP, FEE_MAX)),
            gas=request.gas,
            to=request.to,
            value=request.value,
            data=request.data,
        )

    async def _broadcast(self, pending: Pending) -> None:
        signed = sign(pending.transaction, self._key)
        if self._outbox is not None:
            await trio.to_thread.run_sync(self._keep, pending.transaction.nonce, signed.raw)
        await self._offer(signed)
        pending.attempts.append(signed)

    async def _offer(self, signed: SignedTransaction) -> None:
        try:
            await self._client.call("eth_sendRawTransaction", "0x" + signed.raw.hex())
        except RpcFailed as error:
            if not _is_known(error):
                raise TransactionRefused(error.message) from error
        except EndpointUnreachable as error:
            # It may have been taken: its nonce must not be given to another one.
            log.warning("transaction %s: %s", signed.digest.hex()[:8], error)

    async def _take_up(self, kept: Sequence[tuple[int, bytes]]) -> None:
        """Offer kept transactions again, up to the first one that has become pointless.

        The duties behind it and what follows it come round again, and may have their nonces.
        """
        for nonce, attempts in groupby(kept, key=itemgetter(0)):
            pending = self._read_kept([raw for _, raw in attempts])
            if pending.transaction.chain_id != self._chain_id:
                continue
            receipts = await self._client.batch(_receipt_requests(pending))
            if found := [receipt for receipt in receipts if receipt is not None]:
                with reading("a receipt"):
                    self._included[nonce] = int(found[0]["blockNumber"], 16)
                continue
            if nonce < await self._count("latest"):
                continue  # Another one took the nonce, and was this key's own choice.
            try:
                await self._client.call("eth_call", self._as_call(pending.transaction), "latest")
                await self._offer(pending.attempts[-1])
            except (RpcFailed, TransactionRefused) as refusal:
                log.info("kept transaction %d is not sent again: %s", nonce, refusal)
                return
            self._resumed[_request_of(pending.transaction)] = Resumed(pending)
            self._underway.add(nonce)

    def _read_kept(self, raws: Sequence[bytes]) -> Pending:
        with reading("a kept transaction"):
            read = [read_transaction(raw) for raw in raws]
        newest = self._heads.newest
        transaction = read[-1][0]
        return Pending(transaction, [signed for _, signed in read], newest, newest.number)

    async def _see_through(self, request: Request, resumed: Resumed) -> None:
        try:
            resumed.outcome = await self.confirm(resumed.pending)
        except FlockError as error:
            log.info("kept transaction %d: %s", resumed.pending.transaction.nonce, error)
            resumed.outcome = error
        del self._resumed[request]
        resumed.decided.set()

    def _keep(self, nonce: int, raw: bytes) -> None:
        """Keep an attempt, and drop what is final with everything before it."""
        assert self._outbox is not None
        final = [one for one, block in self._included.items() if block <= self._heads.final.number]
        if final:
            self._outbox.forget_to(max(final))
            self._included = {n: b for n, b in self._included.items() if n > max(final)}
        self._outbox.keep(nonce, raw)

    async def _receipt(self, pending: Pending) -> Json:
        while True:
            pending.seen = await self._heads.beyond(pending.seen.digest)
            try:
                answers = await self._client.batch(_receipt_requests(pending))
                found = [answer for answer in answers if answer is not None]
                if found:
                    return found[0]
                if pending.seen.number < pending.bumped + BUMP_AFTER_BLOCKS:
                    continue
                counted = await self._count("pending")
            except (EndpointUnreachable, RpcFailed):
                continue  # The transaction is on its way; only time can say that it is lost.
            if counted < min(self._underway, default=0):
                raise TransactionLost("the chain forgot what came before it")
            await self._bump(pending)

    async def _bump(self, pending: Pending) -> None:
        """Offer it again for more: it was too cheap, or left the pool with an undone block."""
        pending.bumped = pending.seen.number
        if len(pending.attempts) > BUMPS_MAX:
            return
        before = pending.transaction
        fee_max = max(_raised(before.fee_max), 2 * pending.seen.base_fee + _raised(before.tip))
        if fee_max > FEE_MAX:
            return
        pending.transaction = replace(before, tip=Wei(_raised(before.tip)), fee_max=Wei(fee_max))
        try:
            await self._broadcast(pending)
        except TransactionRefused:
            # A block took an earlier attempt just now, or another transaction took the nonce.
            if await self._count("latest") <= before.nonce:
                raise
            await self._check_ours(pending)

    async def _check_ours(self, pending: Pending) -> None:
        answers = await self._client.batch(_receipt_requests(pending))
        if all(answer is None for answer in answers):
            raise TransactionLost("another transaction took its nonce")

    async def _reason(self, transaction: Transaction, block: int) -> CallReverted:
        """Replay a failed transaction for its error: after its block, else before it."""
        call = self._as_call(transaction)
        for number in (block, block - 1):
            try:
                await self._client.call("eth_call", call, hex(number))
            except RpcFailed as error:
                if isinstance(error.data, str) and len(error.data) >= 10:
                    return read_revert(bytes.fromhex(error.data[2:]), self._artifacts)
                return CallReverted(error.message)
        return CallReverted("a reason that its replay does not show")

    def _as_call(self, transaction: Transaction) -> Json:
        return {
            "from": "0x" + self.address.hex(),
            "to": None if transaction.to is None else "0x" + transaction.to.hex(),
            "data": "0x" + transaction.data.hex(),
            "value": hex(transaction.value),
            "gas": hex(transaction.gas),
        }


def _request_of(transaction: Transaction) -> Request:
    return Request(transaction.to, transaction.data, transaction.gas, transaction.value)


def _receipt_requests(pending: Pending) -> list[RpcRequest]:
    hashes = ["0x" + attempt.digest.hex() for attempt in pending.attempts]
    return [("eth_getTransactionReceipt", (one,)) for one in hashes]


def _raised(fee: int) -> int:
    """Raise by an eighth: geth refuses replacements below a tenth, others below an eighth."""
    return fee + fee // 8 + 1


def _is_known(error: RpcFailed) -> bool:
    return "already known" in error.message or "already imported" in error.message
