"""The contracts as plain Python: the executable reference of contracts/README.md.

One module per contract: ``stakes``, ``beacon``, ``tasks``, and RoundManager in ``rounds`` with
``seating``, ``schedule``, ``quorums`` and ``pay``. Here they become a chain: calls enter a pending
block, blocks become final with depth, and the newest ones can be undone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from flocknode.crypto.hashing import sha256
from flocknode.primitives import ZERO_DIGEST, Address, Digest, PeerId
from flocknode.protocol.ledger import (
    AnswerRollCall,
    Block,
    Call,
    ChainProgress,
    Draw,
    IncludeSet,
    LedgerEvent,
    OpenRound,
    Poke,
    ProposeModel,
    Reveal,
    Settle,
)
from flocknode.sim import beacon, pay, rounds, stakes, tasks, verdicts
from flocknode.sim.state import (
    Deployment,
    LedgerState,
    Pool,
    Round,
    Settlement,
    TaskSpecification,
    Transaction,
    Validator,
)

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Mined:
    block: Block
    after: LedgerState


class SimulatedLedger:
    """The contracts' state, the chain of blocks that led to it, and a pending block.

    Calls take effect at ``now``, the pending block's timestamp; ``mine`` seals that block. A
    refused call raises ``CallReverted`` and changes nothing.
    """

    def __init__(
        self, rules: Deployment | None = None, *, genesis: int = 0, finality_depth: int = 8
    ) -> None:
        """Start with block 0, empty, at time ``genesis``; the next block opens then, too."""
        self.rules = rules or Deployment()
        self.finality_depth = finality_depth
        self._branch = 0
        self._state = LedgerState()
        self._events: list[LedgerEvent] = []
        first = Block(0, _digest(ZERO_DIGEST, 0, genesis, (), 0), ZERO_DIGEST, genesis, ())
        self._chain = [_Mined(first, self._state.copy())]
        self._known = {first.digest: first}
        self._final = 0
        self.now = genesis

    # Calls of a node.

    def apply(
        self, call: Call, sender: Address, preimage: Digest | None = None
    ) -> tuple[LedgerEvent, ...]:
        """Execute a call in the pending block and return its events, or raise ``CallReverted``.

        ``preimage`` is the sender's next onion layer and belongs to ``Reveal`` only.
        """
        before = len(self._events)
        self._transact(sender, lambda tx: _dispatch(tx, call, preimage))
        return tuple(self._events[before:])

    # Calls of owners, creators, members and claimants.

    def mint(self, account: Address, amount: int) -> None:
        """Give an account tokens, as the faucet does."""
        self._state.tokens[account] = self._state.tokens.get(account, 0) + amount

    def admit_organisation(self, organisation: Digest, owner: Address, *, sender: Address) -> None:
        self._transact(sender, lambda tx: stakes.admit_organisation(tx, organisation, owner))

    def register(
        self, organisation: Digest, signer: Address, peer: PeerId, *, sender: Address
    ) -> int:
        return self._transact(sender, lambda tx: stakes.register(tx, organisation, signer, peer))

    def stake(self, validator: int, amount: int, *, sender: Address) -> None:
        self._transact(sender, lambda tx: stakes.stake(tx, validator, amount))

    def request_unstake(self, validator: int, amount: int, *, sender: Address) -> None:
        self._transact(sender, lambda tx: stakes.request_unstake(tx, validator, amount))

    def withdraw(self, validator: int, *, sender: Address) -> int:
        return self._transact(sender, lambda tx: stakes.withdraw(tx, validator))

    def refresh_weight(self, validator: int, *, sender: Address) -> None:
        self._transact(sender, lambda tx: stakes.refresh_weight(tx, validator))

    def commit(self, validator: int, tip: Digest, value: int, *, sender: Address) -> None:
        self._transact(sender, lambda tx: beacon.commit(tx, validator, tip, value))

    def reveal(self, request: int, validator: int, preimage: Digest, *, sender: Address) -> None:
        self._transact(sender, lambda tx: beacon.reveal(tx, request, validator, preimage))

    def leave(self, validator: int, *, sender: Address) -> None:
        self._transact(sender, lambda tx: beacon.leave(tx, validator))

    def close_requests(self, limit: int, *, sender: Address) -> None:
        self._transact(sender, lambda tx: beacon.close(tx, limit))

    def claim_reveals(self, validator: int, requests: Sequence[int], *, sender: Address) -> None:
        self._transact(sender, lambda tx: beacon.claim_reveals(tx, validator, requests))

    def pay_treasury(self, *, sender: Address) -> None:
        self._transact(sender, beacon.pay_treasury)

    def create_task(self, specification: TaskSpecification, *, sender: Address) -> int:
        return self._transact(sender, lambda tx: tasks.create_task(tx, specification))

    def fund(self, task: int, rewards: int, gas: int, *, sender: Address) -> None:
        self._transact(sender, lambda tx: pay.fund(tx, task, rewards, gas))

    def withdraw_purse(self, task: int, *, sender: Address) -> None:
        self._transact(sender, lambda tx: pay.withdraw_purse(tx, task))

    def resume(self, task: int, *, sender: Address) -> None:
        self._transact(sender, lambda tx: rounds.resume(tx, task))

    def claim_trainer(
        self, task: int, claims: Sequence[pay.ContributionClaim], *, sender: Address
    ) -> None:
        self._transact(sender, lambda tx: pay.claim_trainer(tx, task, claims))

    def claim_seats(
        self, task: int, validator: int, rounds_settled: Sequence[int], *, sender: Address
    ) -> None:
        self._transact(sender, lambda tx: pay.claim_seats(tx, task, validator, rounds_settled))

    def withdraw_refund(self, *, sender: Address) -> int:
        return self._transact(sender, pay.withdraw_refund)

    # Views, at the pending block.

    @property
    def state(self) -> LedgerState:
        """A copy of everything the contracts remember."""
        return self._state.copy()

    def round_of(self, task: int) -> Round:
        return self._state.rounds[task]

    def validator(self, validator: int) -> Validator:
        return self._state.validators[validator]

    def pool_of(self, task: int) -> Pool:
        return self._state.pools[task]

    def settlement_of(self, task: int, round_: int) -> Settlement:
        return self._state.settlements[task, round_]

    def tokens_of(self, account: Address) -> int:
        return self._state.tokens.get(account, 0)

    def refund_of(self, relayer: Address) -> int:
        return self._state.refunds.get(relayer, 0)

    # The chain.

    @property
    def head(self) -> Block:
        return self._chain[-1].block

    @property
    def final(self) -> int:
        """Number of the newest final block; it never falls, also while blocks are replaced."""
        return self._final

    def mine(self, timestamp: int) -> Block:
        """Seal the pending block, stamped ``now``, and open the next one at ``timestamp``."""
        assert timestamp >= self.now
        parent, events = self.head, tuple(self._events)
        number = parent.number + 1
        digest = _digest(parent.digest, number, self.now, events, self._branch)
        block = Block(number, digest, parent.digest, self.now, events)
        self._chain.append(_Mined(block, self._state.copy()))
        self._known[digest] = block
        self._events.clear()
        self.now = timestamp
        self._final = max(self._final, number - self.finality_depth)
        return block

    def undo(self, blocks: int, timestamp: int | None = None) -> None:
        """Replace the newest ``blocks`` by an empty pending one; a final block cannot be undone.

        The pending block's calls are lost. It opens at ``timestamp``, or where the first undone
        block stood.
        """
        assert 0 < blocks <= self.head.number - self.final
        first = self._chain[-blocks].block
        del self._chain[-blocks:]
        self._state = self._chain[-1].after.copy()
        self._events.clear()
        self._branch += 1
        self.now = first.timestamp if timestamp is None else timestamp
        assert self.now >= self.head.timestamp

    def progress(self, seen: Digest | None = None) -> ChainProgress:
        """Return what a follower whose newest block is ``seen`` has missed."""
        if seen is None:
            return ChainProgress(None, tuple(m.block for m in self._chain), self.final)
        common = self._known[seen]
        while not self._is_canonical(common):
            common = self._known[common.parent]
        undone_to = None if common.digest == seen else common.number
        blocks = tuple(m.block for m in self._chain[common.number + 1 :])
        return ChainProgress(undone_to, blocks, self.final)

    def _is_canonical(self, block: Block) -> bool:
        return block.number < len(self._chain) and self._chain[block.number].block == block

    def _transact(self, sender: Address, rule: Callable[[Transaction], Result]) -> Result:
        """Run a rule on a copy of the state and keep the copy if the rule does not revert."""
        tx = Transaction(self.rules, self._state.copy(), sender, self.now)
        result = rule(tx)
        self._state = tx.state
        self._events.extend(tx.events)
        return result


def _dispatch(tx: Transaction, call: Call, preimage: Digest | None) -> None:
    match call:
        case OpenRound():
            rounds.open_round(tx, call.task)
        case Reveal():
            assert preimage is not None
            beacon.reveal_as_signer(tx, call.request, preimage)
        case Draw():
            rounds.draw(tx, call.task)
        case IncludeSet():
            rounds.include(tx, call)
        case AnswerRollCall():
            rounds.answer_roll_call(tx, call)
        case ProposeModel():
            rounds.propose(tx, call)
        case Settle():
            rounds.settle(tx, call.task)
        case Poke():
            rounds.poke(tx, call.task)
        case _:
            verdicts.apply(tx, call)


def _digest(
    parent: Digest, number: int, timestamp: int, events: tuple[LedgerEvent, ...], branch: int
) -> Digest:
    """Name a block; ``branch`` counts undos, so a replaced block never has its old name."""
    return sha256(repr((parent, number, timestamp, events, branch)).encode())
