"""Transactions that wait for a block, by sender and nonce."""

from collections.abc import Callable, Iterator

from eth.abc import SignedTransactionAPI

from flocknode.chain.pyevm.refusal import Refusal
from flocknode.primitives import Address, Digest

POOL_MAX = 4096
AHEAD_MAX = 256
"""How far a nonce may run ahead of its account."""
BUMP_DIVISOR = 10
"""A replacement offers a tenth more, as geth demands."""


class Pool:
    """Gives transactions in the order of their arrival, those of one sender in that of nonces."""

    def __init__(self) -> None:
        self._waiting: dict[Address, dict[int, SignedTransactionAPI]] = {}
        self._known: set[Digest] = set()

    def __len__(self) -> int:
        return len(self._known)

    def add(self, transaction: SignedTransactionAPI, nonce: int) -> None:
        """Take a transaction of an account that stands at ``nonce``; raises Refusal."""
        if transaction.hash in self._known:
            raise Refusal("already known")
        if transaction.nonce < nonce:
            raise Refusal(f"nonce too low: next nonce {nonce}, tx nonce {transaction.nonce}")
        if transaction.nonce > nonce + AHEAD_MAX or len(self) >= POOL_MAX:
            raise Refusal("the pool is full")
        queue = self._waiting.setdefault(Address(transaction.sender), {})
        before = queue.get(transaction.nonce)
        if before is not None:
            if not _is_raised(before, transaction):
                raise Refusal("replacement transaction underpriced")
            self._known.discard(Digest(before.hash))
        queue[transaction.nonce] = transaction
        self._known.add(Digest(transaction.hash))

    def next_nonce(self, account: Address, nonce: int) -> int:
        """Return the nonce behind those that wait without a gap from ``nonce`` on."""
        queue = self._waiting.get(account, {})
        while nonce in queue:
            nonce += 1
        return nonce

    def offers(
        self, base_fee: int, nonce_of: Callable[[Address], int]
    ) -> Iterator[SignedTransactionAPI]:
        """Give what a block with this fee can take, one sender after the other."""
        for sender, queue in self._waiting.items():
            nonce = nonce_of(sender)
            while nonce in queue and queue[nonce].max_fee_per_gas >= base_fee:
                yield queue[nonce]
                nonce += 1

    def drop(self, sender: Address, nonce: int) -> None:
        """Forget what waited at or below ``nonce``."""
        queue = self._waiting.get(sender, {})
        for past in [one for one in queue if one <= nonce]:
            self._known.discard(Digest(queue.pop(past).hash))
        if not queue:
            self._waiting.pop(sender, None)


def _is_raised(before: SignedTransactionAPI, after: SignedTransactionAPI) -> bool:
    return all(
        new >= old + old // BUMP_DIVISOR
        for old, new in (
            (before.max_fee_per_gas, after.max_fee_per_gas),
            (before.max_priority_fee_per_gas, after.max_priority_fee_per_gas),
        )
    )
