"""What one validator's owner and delegators hold together, in shares of one price (StakePool)."""

from dataclasses import dataclass, replace
from typing import Final, Self

ONE: Final = 10**28
"""The price of a share at the start. Only a slash changes it, downwards."""
PRICE_MIN: Final = 10**21
"""Below it a pool takes no new stake."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Own, delegated and unbonding stake as shares; ``assets`` cover the value of all of them."""

    assets: int = 0
    price: int = ONE
    bonded: int = 0
    """Shares, the owner's included."""
    unbonding: int = 0
    own: int = 0
    """The owner's bonded shares."""
    release_at: int = 0
    accrued: int = 0
    """Reward for each delegated share so far, in units of 1 / ONE."""

    def value_of(self, shares: int) -> int:
        return shares * self.price // ONE

    def shares_in(self, amount: int) -> int:
        """Return the shares that ``amount`` buys: worth less than one unit less."""
        return amount * ONE // self.price

    def shares_out(self, amount: int, held: int) -> int:
        """Return the shares to give up for ``amount``; for all that is held no dust stays."""
        return held if amount == self.value_of(held) else -(-amount * ONE // self.price)

    def entered(self, amount: int, *, own: bool) -> Self:
        shares = self.shares_in(amount)
        return replace(
            self,
            assets=self.assets + amount,
            bonded=self.bonded + shares,
            own=self.own + shares * own,
        )

    def requested(self, shares: int, release_at: int, *, own: bool) -> Self:
        return replace(
            self,
            bonded=self.bonded - shares,
            own=self.own - shares * own,
            unbonding=self.unbonding + shares,
            release_at=release_at,
        )

    def left(self, shares: int) -> Self:
        return replace(
            self,
            assets=self.assets - self.value_of(shares),
            unbonding=self.unbonding - shares,
        )

    def slashed(self, amount: int) -> Self:
        """Take ``amount`` out of everybody's shares alike."""
        if not amount:
            return self
        rest = self.assets - amount
        return replace(self, assets=rest, price=self.price * rest // self.assets)

    def rewarded(self, rest: int) -> Self:
        """Credit ``rest`` to the delegated shares, of which there must be some."""
        delegated = self.bonded - self.own
        return replace(self, accrued=self.accrued + rest * ONE // delegated)
