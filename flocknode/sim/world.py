"""A deterministic world: one heap of timed events, one seeded random source, real machines.

Nothing here touches the operating system: time, loss, order and crashes come from the seed.
"""

import hashlib
import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from flocknode.crypto.eip712 import Domain
from flocknode.crypto.merkle import TreeKind, tree_root
from flocknode.crypto.suites import X25519, Suite
from flocknode.messages.codec import decode, encode
from flocknode.messages.wire import Message
from flocknode.model.stages import ModelDelta
from flocknode.model.terms import TaskTerms
from flocknode.node.blobs import is_wanted
from flocknode.ports import Heard
from flocknode.primitives import Digest, PeerId, Seconds, Wei
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
    Tick,
    Trained,
    VectorHeld,
)
from flocknode.protocol.gossip_rules import GossipIgnore, GossipReject
from flocknode.protocol.ledger import Call, LedgerEvent, OpenRound, Reveal
from flocknode.protocol.proofs import Accuse, AskTree, DemandSeed, OpenChallenge
from flocknode.sim.abi import CallReverted
from flocknode.sim.happenings import (
    AfterEffect,
    Agenda,
    Crash,
    Faults,
    Gossiped,
    Happening,
    Join,
    NewBlock,
    Restart,
    Scheduled,
)
from flocknode.sim.ledger import SimulatedLedger
from flocknode.sim.liars import Plot
from flocknode.sim.setting import CREATOR, agree, enrol, publish_task, roster_of
from flocknode.sim.simulated_node import TASK, SimulatedNode

TICK_SECONDS = 0.25


class World:
    """Drives ``RoundMachine`` objects against ``SimulatedLedger`` and a faulty network."""

    def __init__(
        self,
        *,
        seed: int,
        terms: TaskTerms,
        validators: int,
        faults: Faults | None = None,
        block_seconds: float = 0.2,
        identities: int | None = None,
        finality_depth: int = 2,
        suite: Suite = X25519,
        plot: Callable[[Domain], Plot] | None = None,
    ) -> None:
        """Draw keys, onions, deltas and rounding from ``identities``, all else from ``seed``."""
        self.random = random.Random(seed)
        self.identities = random.Random(seed if identities is None else identities)
        self.terms = terms
        self.suite = suite
        self.faults = faults or Faults()
        self.block_seconds = block_seconds
        self.now = 1_000.0
        self.ledger = SimulatedLedger(genesis=int(self.now), finality_depth=finality_depth)
        self.domain = self.ledger.rules.domain
        self.trainers = [SimulatedNode(self, i) for i in range(terms.trainers)]
        self.validators = [SimulatedNode(self, 1000 + i) for i in range(validators)]
        self.nodes = self.trainers + self.validators
        self._by_peer = {node.peer: node for node in self.nodes}
        self._agenda = Agenda()
        self._trace = hashlib.sha256()
        self.models: dict[int, Digest] = {}
        self.reverts: Counter[str] = Counter()
        self.deltas: dict[tuple[int, int], ModelDelta] = {}
        self.after_effect: AfterEffect | None = None
        self.plot = plot(self.domain) if plot else None
        self._set_up()

    @property
    def trace_digest(self) -> str:
        """Hex digest of everything that happened so far, in order."""
        return self._trace.hexdigest()

    def run(self, *, seconds: float, beyond: float = 0.0) -> None:
        """Run for that much simulated time, or until ``beyond`` the end of the task."""
        until = self.now + seconds
        is_over = False
        while due := self._agenda.next(until):
            self.now = due.at
            if due.event is None:
                if self._mine() and not is_over:
                    is_over, until = True, min(until, self.now + beyond)
            elif due.node and self._reaches(due, due.node):
                self._happen(due.node, due.event)
        self.now = until

    def crash(self, node: SimulatedNode, *, after: float = 0.0) -> None:
        """Let a node vanish in ``after`` seconds."""
        self._schedule(after, node, Crash())

    def join(self, node: SimulatedNode, *, after: float) -> None:
        """Let a node that is away come in ``after`` seconds."""
        self._schedule(after, node, Join())

    def restart(self, node: SimulatedNode, *, after: float) -> None:
        """Kill a node's process now and start it again in ``after`` seconds."""
        node.crashed = True
        node.storage.close()
        self._schedule(after, node, Restart())

    def replace_blocks(self, depth: int) -> None:
        """Replace the newest blocks by nothing: what they held must be sent again."""
        self.ledger.undo(depth, int(self.now))
        self._note("replaced", str(depth))

    def resume(self) -> None:
        """Let the creator give a paused task another series of attempts."""
        self.ledger.resume(TASK, sender=CREATOR)

    @property
    def committee(self) -> tuple[SimulatedNode, ...]:
        """The nodes of the drawn committee by seat; empty before the first draw."""
        return tuple(self.validators[v] for v in self.ledger.round_of(TASK).committee)

    @property
    def events(self) -> tuple[LedgerEvent, ...]:
        """Everything that the chain says so far."""
        blocks = self.ledger.progress().blocks
        return tuple(event for block in blocks for event in block.events)

    def _set_up(self) -> None:
        enrol(self.ledger, self.validators)
        self.roster = roster_of(self.trainers, self.terms.integers.weight_max)
        self.initial_model = bytes(np.zeros(self.terms.integers.words, "<i4"))
        self.initial_root = tree_root(TreeKind.MODEL, self.initial_model)
        self.agreed = agree(self.terms, self.initial_root, self.roster)
        publish_task(self.ledger, self.agreed)
        for _ in range(1 + self.ledger.finality_depth):
            self.ledger.mine(int(self.now))
        self.ledger.apply(OpenRound(TASK), CREATOR)
        for node in self.nodes:
            node.start()
            self._schedule(self.random.uniform(0, TICK_SECONDS), node, Tick())
        for node in self.random.sample(self.trainers, self.faults.crashed_trainers):
            # Some vanish before they speak, some after.
            self._schedule(self.random.uniform(0, 4.0), node, Crash())
        self._schedule(self.block_seconds, None, None)

    def _mine(self) -> bool:
        """Seal a block, tell everybody; tell whether the task is done."""
        self.ledger.mine(int(self.now))
        self._note("block", str(self.ledger.head.number))
        for node in self.nodes:
            self._schedule(self.random.uniform(0, self.block_seconds), node, NewBlock())
        self._schedule(self.block_seconds, None, None)
        settled = self.ledger.round_of(TASK).round
        return len(self.models) >= self.terms.rounds or settled > self.terms.rounds

    def _reaches(self, due: Scheduled, node: SimulatedNode) -> bool:
        if isinstance(due.event, Join | Restart):
            return True
        return not node.crashed and due.life == node.life

    def _happen(self, node: SimulatedNode, happening: Happening) -> None:
        match happening:
            case Crash():
                node.crashed = True
            case Join():
                node.crashed = False
                self._schedule(0, node, Tick())
            case Restart():
                node.crashed = False
                node.start()
                self._schedule(0, node, Tick())
            case Gossiped(author, message):
                self._judge(node, author, message)
            case NewBlock():
                self._handle(node, self._follow(node))
            case Tick():
                self._schedule(TICK_SECONDS, node, happening)
                self._handle(node, happening)
            case _:
                self._handle(node, happening)

    def _handle(self, node: SimulatedNode, event: Event) -> None:
        todo = deque(node.told.handle(event, Seconds(self.now)))
        while todo:
            effect = todo.popleft()
            answers = self._perform(node, effect)
            if self.after_effect and self.after_effect(node, effect):
                return
            for answer in answers:
                todo.extend(node.told.handle(answer, Seconds(self.now)))

    def _follow(self, node: SimulatedNode) -> ChainAdvanced:
        progress = self.ledger.progress(node.seen)
        node.fold.advance(progress)
        node.seen = self.ledger.head.digest
        tip = node.fold.tip
        if tip.settled:
            known = self.models.setdefault(tip.settled.round, tip.settled.model_root)
            assert known == tip.settled.model_root
        return ChainAdvanced(tip, node.fold.final)

    def _perform(self, node: SimulatedNode, effect: Effect) -> list[Event]:
        self._note(str(node.name), type(effect).__name__)
        match effect:
            case Publish(message):
                gossiped = Gossiped(node.peer, decode(encode(message)))
                for other in self.nodes:
                    if other is not node:
                        self._deliver(other, gossiped)
            case Send(peers, message):
                if node.twist is None:
                    self._send(node, peers, message)
                    return []
                for peer in peers:
                    for lie in node.twist(peer, message):
                        self._send(node, (peer,), lie)
            case Penalise(peer, reason):
                node.penalties.append((peer, reason))
            case Sign(statement):
                return [*node.sign(statement)]
            case Submit(call):
                self._submit(node, call)
            case SubmitAll(calls):
                all(self._submit(node, call) for call in calls)
            case Prepare():
                return [node.prover.prepare(effect)]
            case Fetch():
                self._fetch(node, effect)
            case Hold(root, data, _):
                node.blobs.put(root, data)
            case Offer(root, peers):
                node.offers.setdefault(root, set()).update(peers)
            case MakeSealingKey(seating):
                return [node.vault.make_sealing_key(seating)]
            case Train(round_, model_root):
                self._train(node, round_, model_root)
            case MaskDelta():
                return [node.vault.mask_delta(effect)]
            case AskConsent(round_, pause):
                return [ConsentGiven(round_, pause)] if node.consent.given(round_, pause) else []
            case OpenCapsule():
                return [node.vault.open_capsule(effect)]
            case TakeSeed():
                return [node.vault.take_seed(effect)]
            case Reseal():
                return [node.vault.reseal(effect)]
            case SumMasks():
                return [node.vault.sum_masks(effect)]
            case ServeMaskSum():
                node.vault.serve_mask_sum(effect)
            case ComputeAggregate():
                return [node.vault.compute_aggregate(effect)]
            case Remember(seating, sender, message):
                attempt = (seating.drawn.round, seating.drawn.attempt)
                heard = Heard(attempt, seating.ctx, sender, encode(message))
                node.storage.journal.remember([heard])
            case Recall(ctx):
                for sender, payload in node.storage.journal.recall(ctx):
                    self._schedule(0, node, MessageReceived(sender, decode(payload)))
            case DestroySecrets(round_, attempt):
                node.vault.destroy_before(round_, attempt)
                node.storage.journal.forget_before((round_, attempt))
        return []

    def _judge(self, node: SimulatedNode, author: PeerId, message: Message) -> None:
        try:
            node.machine.judge(message)
        except GossipIgnore:
            return
        except GossipReject as rejection:
            node.penalties.append((author, str(rejection)))
            return
        self._handle(node, MessageReceived(author, message))

    def _send(self, node: SimulatedNode, peers: Sequence[PeerId], message: Message) -> None:
        received = MessageReceived(node.peer, decode(encode(message)))
        for peer in peers:
            self._deliver(self._by_peer[peer], received)

    def _deliver(self, receiver: SimulatedNode, event: MessageReceived | Gossiped) -> None:
        if receiver.crashed or self.random.random() < self.faults.loss:
            return
        copies = 1 + (self.random.random() < self.faults.duplicate)
        for _ in range(copies):
            self._schedule(self.random.uniform(*self.faults.delay_seconds), receiver, event)

    def _fetch(self, node: SimulatedNode, effect: Fetch) -> None:
        root, kind = effect.root, TreeKind(effect.kind)
        is_here = is_wanted(node.blobs, effect)
        if is_here is not None:
            return self._schedule(0, node, VectorHeld(root, kind) if is_here else FetchFailed(root))
        for peer in effect.holders:
            holder = self._by_peer[peer]
            data = None if holder.crashed else holder.give(root, node.peer)
            is_whole = data is not None and len(data) == effect.length
            if data and is_whole and tree_root(kind, data, effect.leaf_bytes) == root:
                node.blobs.put(root, bytes(data))
                return self._schedule(0.05, node, VectorHeld(root, kind))
        return self._schedule(0.5, node, FetchFailed(root))

    def _train(self, node: SimulatedNode, round_: int, model_root: Digest) -> None:
        """Give the delta that this trainer has for this model, whenever it is asked."""
        digest = hashlib.sha256(bytes(node.peer) + model_root).digest()
        rng = np.random.default_rng(int.from_bytes(digest, "big"))
        delta = ModelDelta(rng.normal(0, 0.05, self.terms.integers.words))
        if not node.vault.holds_delta(round_):
            node.vault.keep_delta(round_, delta)
        self.deltas[round_, node.name] = delta
        self._schedule(self.random.uniform(0.02, 0.4), node, Trained(round_, model_root))

    def _submit(self, node: SimulatedNode, call: Call) -> bool:
        """Tell whether the chain took the call."""
        preimage = None
        if isinstance(call, Reveal):
            tip = self.ledger.state.members[self.validators.index(node)].tip
            layer = next(i for i, d in enumerate(node.onion) if d.startswith(tip))
            preimage = node.onion[layer - 1]
        if isinstance(call, OpenChallenge | DemandSeed | Accuse | AskTree):
            call = replace(call, bond=Wei(self.ledger.rules.challenge_bond))
        try:
            self.ledger.apply(call, node.key.address, preimage)
        except CallReverted as reverted:
            self.reverts[str(reverted)] += 1
            return False
        return True

    def _schedule(self, delay: float, node: SimulatedNode | None, event: Happening | None) -> None:
        self._agenda.add(self.now + delay, node, event)

    def _note(self, who: str, what: str) -> None:
        self._trace.update(f"{self.now:.6f} {who} {what}\n".encode())
