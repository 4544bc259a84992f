"""The trio shell: turns the world into events and effects into the world.

One task owns the machine. Short arithmetic runs on the loop, long arithmetic in a thread.
"""

import logging
import os
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol, TypeVar

import trio

from flocknode.crypto.eip712 import Domain
from flocknode.crypto.merkle import TreeKind
from flocknode.errors import FlockError
from flocknode.messages.codec import CodecError, decode, encode
from flocknode.messages.statements import Statement
from flocknode.messages.verdict import Verdict
from flocknode.messages.wire import Message
from flocknode.node.blobs import is_wanted
from flocknode.node.prover import Prover
from flocknode.node.recollection import Recollection
from flocknode.node.task import require_agreed
from flocknode.node.vault import BytesGone, Vault
from flocknode.ports import BlobStore, Consent, Heard, Journal, Ledger, Network, Signer, Trainer
from flocknode.primitives import Digest, PeerId, Seconds
from flocknode.protocol.chain_view import ChainFold
from flocknode.protocol.effects import (
    AskConsent,
    ComputeAggregate,
    DestroySecrets,
    Effect,
    Fetch,
    Hold,
    MakeSealingKey,
    MaskDelta,
    Offer,
    OpenCapsule,
    Penalise,
    Prepare,
    Publish,
    Recall,
    Remember,
    Reseal,
    Send,
    ServeMaskSum,
    Sign,
    Submit,
    SubmitAll,
    SumMasks,
    TakeSeed,
    Train,
)
from flocknode.protocol.events import (
    ChainAdvanced,
    ConsentGiven,
    Event,
    FetchFailed,
    MessageReceived,
    Signed,
    Tick,
    Trained,
    VectorHeld,
    VectorsLost,
)
from flocknode.protocol.gossip_rules import GossipIgnore, GossipReject
from flocknode.protocol.ledger import Call, TaskCreated

TICK_SECONDS = 0.25
INBOX_EVENTS_MAX = 1024
GOSSIP_DELAY_SECONDS = 0.5
"""A gossiped message costs a hundred direct ones, and whoever has a duty hears directly: the
duties go first."""

THREAD_WORDS_MIN = 1 << 16
"""Below this length a vector's arithmetic takes under a millisecond: no thread is worth it."""

_CORES = trio.CapacityLimiter(os.cpu_count() or 1)
"""Long arithmetic of all nodes of a process at a time: each holds several vectors more than it
needs in the end, and more threads than cores gain nothing."""

TOPIC = "flock/1"

log = logging.getLogger("flocknode.node")
Answer = TypeVar("Answer", bound=Event)
Kept = TypeVar("Kept")


class Machine(Protocol):
    """What the service drives: a ``RoundMachine``."""

    @property
    def agreed(self) -> TaskCreated: ...

    @property
    def trainers(self) -> frozenset[PeerId]:
        """Peers of the roster."""

    @property
    def contributions(self) -> int:
        """Number of trainers whose contribution this node's seat holds."""

    def handle(self, event: Event, now: Seconds) -> list[Effect]: ...

    def judge(self, message: Message) -> None: ...


class NodeService:
    """Runs one machine against its ports."""

    def __init__(
        self,
        machine: Machine,
        *,
        task: int,
        domain: Domain,
        network: Network,
        ledger: Ledger,
        signer: Signer,
        vault: Vault,
        blobs: BlobStore,
        journal: Journal,
        consent: Consent,
        recollection: Recollection,
        trainer: Trainer | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._machine = machine
        self._task = task
        self._fold = ChainFold(task)
        self._trainers = machine.trainers
        self._validators: frozenset[PeerId] = frozenset()
        self._seated: frozenset[PeerId] = frozenset()
        self._domain = domain
        self._network = network
        self._ledger = ledger
        self._signer = signer
        self._vault = vault
        self._prover = Prover(blobs, vault.seeds_of)
        self._blobs = blobs
        self._journal = journal
        self._consent = consent
        self._recollection = recollection
        self._heard, self._unwritten = trio.open_memory_channel[Heard](INBOX_EVENTS_MAX)
        self._disk = trio.CapacityLimiter(1)
        self._trainer = trainer
        self._pulling: set[Digest] = set()
        self._clock = clock
        self._inbox, self._events = trio.open_memory_channel[Event](INBOX_EVENTS_MAX)

    async def run(self) -> None:
        """Serve until cancelled. The machine is touched by this task alone."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen)
            nursery.start_soon(self._follow)
            nursery.start_soon(self._tick)
            nursery.start_soon(self._remember)
            async for event in self._events:
                await self._handle(event, nursery)

    def judge(self, sender: PeerId, payload: bytes) -> Verdict:
        """Say whether gossip may be delivered and forwarded. Never raises."""
        try:
            self._machine.judge(decode(payload))
        except GossipIgnore:
            return Verdict.IGNORE
        except (GossipReject, CodecError) as rejection:
            log.info("gossip of %s refused: %s", sender.hex()[-8:], rejection)
            return Verdict.REJECT
        return Verdict.ACCEPT

    async def _handle(self, event: Event, nursery: trio.Nursery) -> None:
        """Apply an event and everything that follows from it at once."""
        todo = deque([event])
        while todo:
            for effect in self._machine.handle(todo.popleft(), Seconds(self._clock())):
                answer = await self._perform(effect, nursery)
                if answer:
                    todo.append(answer)

    async def _perform(self, effect: Effect, nursery: trio.Nursery) -> Event | None:
        """Carry out an effect; return its answer if it is quick, else send it to the inbox."""
        match effect:
            case Publish(message):
                nursery.start_soon(self._publish, encode(message))
            case Send(peers, message):
                payload = encode(message)
                for peer in peers:
                    self._network.send(peer, payload)
            case Penalise(peer, reason):
                self._network.penalise(peer, reason)
            case Sign(statement):
                return await self._sign(statement)
            case Submit(call):
                nursery.start_soon(self._submit, (call,))
            case SubmitAll(calls):
                nursery.start_soon(self._submit, calls)
            case Prepare():
                nursery.start_soon(self._compute_in_thread, self._prover.prepare, effect)
            case Fetch():
                nursery.start_soon(self._fetch, effect)
            case Hold(root, data, is_model):
                self._blobs.put(root, data, sync=is_model)
            case Offer(root, peers):
                self._network.offer(root, peers)
            case MakeSealingKey(seating):
                return await self._on_disk(self._vault.make_sealing_key, seating)
            case Train(round_, model_root):
                nursery.start_soon(self._train, round_, model_root)
            case AskConsent(round_, pause):
                nursery.start_soon(self._ask_consent, round_, pause)
            case OpenCapsule():
                return self._vault.open_capsule(effect)
            case TakeSeed():
                return self._vault.take_seed(effect)
            case Reseal():
                return self._vault.reseal(effect)
            case MaskDelta():
                nursery.start_soon(self._compute_in_thread, self._vault.mask_delta, effect)
            case SumMasks():
                return await self._compute(self._vault.sum_masks, effect, nursery)
            case ServeMaskSum():
                self._vault.serve_mask_sum(effect)
            case ComputeAggregate():
                return await self._compute(self._vault.compute_aggregate, effect, nursery)
            case Remember(seating, sender, message):
                attempt = (seating.drawn.round, seating.drawn.attempt)
                await self._heard.send(Heard(attempt, seating.ctx, sender, encode(message)))
            case Recall(ctx):
                nursery.start_soon(self._recall, ctx)
            case DestroySecrets(round_, attempt):
                nursery.start_soon(self._destroy_before, round_, attempt)
        return None

    async def _on_disk(self, function: Callable[..., Kept], *arguments: object) -> Kept | None:
        """Wait for the disk without stopping the loop; None if it refused."""
        try:
            return await trio.to_thread.run_sync(function, *arguments, limiter=self._disk)
        except FlockError as error:
            log.warning("disk: %s", error)
            return None

    async def _remember(self) -> None:
        """Keep what was heard, together as it comes: each trip to a thread costs milliseconds."""
        async for first in self._unwritten:
            heard = [first]
            with suppress(trio.WouldBlock):
                while True:
                    heard.append(self._unwritten.receive_nowait())
            await self._on_disk(self._journal.remember, heard)

    async def _recall(self, ctx: Digest) -> None:
        for sender, payload in await self._on_disk(self._journal.recall, ctx) or ():
            try:
                await self._inbox.send(MessageReceived(sender, decode(payload)))
            except CodecError as error:
                # Another release wrote it; peers say it again.
                log.warning("journal: %s", error)

    async def _destroy_before(self, round_: int, attempt: int) -> None:
        await self._on_disk(self._vault.destroy_before, round_, attempt)
        await self._on_disk(self._journal.forget_before, (round_, attempt))

    async def _sign(self, statement: Statement) -> Signed | None:
        try:
            signature = await self._signer.sign(statement)
        except FlockError as error:
            log.warning("signing %s: %s", type(statement).__name__, error)
            return None
        return Signed(statement, signature) if signature else None

    async def _compute(
        self,
        function: Callable[[Effect], Answer] | Callable[..., Answer],
        effect: SumMasks | ComputeAggregate,
        nursery: trio.Nursery,
    ) -> Answer | None:
        if effect.seating.terms.integers.words >= THREAD_WORDS_MIN:
            nursery.start_soon(self._compute_in_thread, function, effect)
            return None
        try:
            return function(effect)
        except BytesGone as error:
            await self._inbox.send(VectorsLost(error.roots))
        except FlockError as error:
            log.warning("%s: %s", type(effect).__name__, error)
        return None

    async def _compute_in_thread(self, function: Callable[..., Answer], effect: Effect) -> None:
        try:
            answer = await trio.to_thread.run_sync(function, effect, limiter=_CORES)
        except BytesGone as error:
            await self._inbox.send(VectorsLost(error.roots))
            return
        except FlockError as error:
            log.warning("%s: %s", type(effect).__name__, error)
            return
        await self._inbox.send(answer)

    async def _listen(self) -> None:
        async for frame in self._network.incoming:
            try:
                message = decode(frame.payload)
            except CodecError as error:
                self._network.penalise(frame.peer, str(error))
                continue
            await self._inbox.send(MessageReceived(frame.peer, message))

    async def _follow(self) -> None:
        """Follow the chain; raises ForgottenStatement or AnotherTask where it is not ours."""
        async for progress in self._ledger.progress(self._task):
            self._recollection.check(progress)
            self._fold.advance(progress)
            require_agreed(self._fold.final.created, self._machine.agreed)
            self._know_validators()
            await self._inbox.send(ChainAdvanced(self._fold.tip, self._fold.final))

    def _know_validators(self) -> None:
        """Open the door to the validators on the chain, and hold streams with the seated first."""
        views = (self._fold.tip, self._fold.final)
        validators = frozenset(keys.peer for view in views for keys in view.validators.values())
        seated = frozenset(peer for view in views for peer in view.seated)
        if validators != self._validators:
            self._network.admit(self._trainers | validators)
        if (validators, seated) != (self._validators, self._seated):
            self._validators, self._seated = validators, seated
            self._network.keep(validators, later=validators - seated)

    async def _tick(self) -> None:
        while True:
            await trio.sleep(TICK_SECONDS)
            await self._inbox.send(Tick())

    async def _publish(self, payload: bytes) -> None:
        await trio.sleep(GOSSIP_DELAY_SECONDS)
        try:
            await self._network.publish(TOPIC, payload)
        except FlockError as error:
            # Whoever missed it asks a seat.
            log.info("gossip: %s", error)

    async def _submit(self, calls: tuple[Call, ...]) -> None:
        for call in calls:
            log.info("sends %s", type(call).__name__)
            try:
                await self._ledger.submit(call)
            except FlockError as error:
                # Calls are idempotent, their duties come round again; the chain tells the outcome.
                log.info("%s: %s", type(call).__name__, error)
                return

    async def _fetch(self, effect: Fetch) -> None:
        root, kind = effect.root, TreeKind(effect.kind)
        is_here = await self._on_disk(is_wanted, self._blobs, effect)
        if is_here is not None:
            await self._inbox.send(VectorHeld(root, kind) if is_here else FetchFailed(root))
            return
        if root in self._pulling:
            return
        self._pulling.add(root)
        try:
            draft = self._blobs.draft(root, effect.length)
            await self._network.fetch(
                root, kind, effect.length, effect.holders, draft, effect.leaf_bytes
            )
            finish = partial(self._blobs.finish, root, draft, sync=kind is TreeKind.MODEL)
            await self._on_disk(finish)
        except FlockError as error:
            log.info("pull of %s: %s", root.hex()[:8], error)
            await self._inbox.send(FetchFailed(root))
            return
        finally:
            self._pulling.discard(root)
        await self._inbox.send(VectorHeld(root, kind))

    async def _train(self, round_: int, model_root: Digest) -> None:
        if not self._vault.holds_delta(round_):
            model = await self._on_disk(self._blobs.get, model_root)
            assert self._trainer is not None
            if model is None:
                await self._inbox.send(VectorsLost((model_root,)))
                return
            try:
                delta = await self._trainer.train(round_, bytes(model))
            except FlockError as error:
                log.warning("training for round %d failed: %s", round_, error)
                return
            self._vault.keep_delta(round_, delta)
        await self._inbox.send(Trained(round_, model_root))

    async def _ask_consent(self, round_: int, pause: int) -> None:
        if await self._on_disk(self._consent.given, round_, pause):
            await self._inbox.send(ConsentGiven(round_, pause))
        else:
            # Rounds count from 1 where people read.
            log.warning("round %d goes on after pause %d: consent needed", round_ + 1, pause)
