"""StakeRegistry: whose stake it is, what it earns, how it leaves and what a proof takes of it."""

from dataclasses import replace
from typing import Final

from flocknode.primitives import Address, Digest
from flocknode.sim.abi import require
from flocknode.sim.pools import ONE, PRICE_MIN
from flocknode.sim.stakes import (
    give_tokens,
    owned,
    owner_of,
    require_open,
    stake_changed,
    take_tokens,
)
from flocknode.sim.state import (
    ZERO_ADDRESS,
    Commission,
    Leaving,
    Position,
    SlashScope,
    Transaction,
)

STAKED_MAX: Final = (1 << 96) - 1
"""Largest amount of one call."""
UNBONDINGS_MAX: Final = 8
"""Requests to unbond of one holder on one validator."""
BPS: Final = 10_000


def stake(tx: Transaction, validator: int, amount: int) -> None:
    """Add to a validator's own stake."""
    owned(tx, validator)
    _enter(tx, validator, amount, own=True)


def delegate(tx: Transaction, validator: int, amount: int) -> None:
    """Stake on somebody else's validator: earn its pay less commission, be slashed with it."""
    require(validator in tx.state.validators, "StakeRegistryUnknownValidator")
    entry = tx.state.validators[validator]
    require(entry.owner != tx.sender, "StakeRegistryOwnStake")
    has_own = entry.pool.value_of(entry.pool.own) >= tx.rules.stake_min
    # A latecomer must not take the pay of a validator that has left.
    require(has_own, "StakeRegistryNotBacked")
    _credit_earned(tx, validator, tx.sender)
    _enter(tx, validator, amount, own=False)


def request_unstake(tx: Transaction, validator: int, amount: int) -> None:
    """Start to unbond some of the sender's stake; it stays liable until it is withdrawn."""
    entry = tx.state.validators.get(validator)
    held = _position(tx, validator, tx.sender).shares
    require(entry is not None and 0 < amount <= entry.pool.value_of(held), "StakeRegistryAmount")
    assert entry is not None
    is_own = tx.sender == entry.owner
    if not is_own:
        _credit_earned(tx, validator, tx.sender)
    shares = entry.pool.shares_out(amount, held)
    release_at = tx.now + tx.rules.unbonding_seconds
    position = _position(tx, validator, tx.sender)
    queue = position.leaving
    if len(queue) == UNBONDINGS_MAX:
        # A full queue never refuses an exit: the newest request takes the new one along.
        *rest, newest = queue
        queue = (*rest, Leaving(newest.shares + shares, release_at))
    else:
        queue = (*queue, Leaving(shares, release_at))
    tx.state.positions[validator, tx.sender] = replace(
        position, shares=held - shares, leaving=queue
    )
    pool = entry.pool.requested(shares, release_at, own=is_own)
    tx.state.validators[validator] = replace(entry, pool=pool)
    stake_changed(tx, validator)


def withdraw(tx: Transaction, validator: int) -> int:
    """Pay out what the sender's requests have released."""
    position = _position(tx, validator, tx.sender)
    require(len(position.leaving) > 0, "StakeRegistryAmount")
    released = [one for one in position.leaving if one.release_at <= tx.now]
    require(len(released) > 0, "StakeRegistryUnbondingNotElapsed")
    shares = sum(one.shares for one in released)
    waiting = position.leaving[len(released) :]
    tx.state.positions[validator, tx.sender] = replace(position, leaving=waiting)
    entry = tx.state.validators[validator]
    amount = entry.pool.value_of(shares)
    tx.state.validators[validator] = replace(entry, pool=entry.pool.left(shares))
    give_tokens(tx, tx.sender, amount)
    return amount


def set_commission(tx: Transaction, validator: int, bps: int) -> None:
    """Set the owner's share of what delegators earn; a raise waits, so that they can leave."""
    entry = owned(tx, validator)
    require(0 <= bps <= BPS, "StakeRegistryCommission")
    present = entry.commission.at(tx.now)
    wait = tx.rules.unbonding_seconds if bps > present else 0
    tx.state.validators[validator] = replace(
        entry, commission=Commission(min(present, bps), bps, tx.now + wait)
    )


def credit_reward(tx: Transaction, validator: int, amount: int) -> int:
    """Book a validator's pay for its delegators and return the owner's part."""
    entry = tx.state.validators[validator]
    pool = entry.pool
    delegated = pool.bonded - pool.own
    rest = amount * delegated // pool.bonded if delegated else 0
    rest -= rest * entry.commission.at(tx.now) // BPS
    if rest:
        tx.state.validators[validator] = replace(entry, pool=pool.rewarded(rest))
        tx.state.owed += rest
    return amount - rest


def claim_rewards(tx: Transaction, validator: int) -> int:
    """Pay the sender what it has earned as a delegator, and all else that it is owed."""
    _credit_earned(tx, validator, tx.sender)
    return pay_out(tx, tx.sender)


def pay_out(tx: Transaction, account: Address) -> int:
    """Pay what an account is owed; anyone may ask."""
    amount = tx.state.credits.pop(account, 0)
    require(amount > 0, "StakeRegistryAmount")
    tx.state.owed -= amount
    give_tokens(tx, account, amount)
    return amount


def slash(
    tx: Transaction, validator: int, amount: int, scope: Digest, finder: Address = ZERO_ADDRESS
) -> int:
    """Take up to ``amount`` for the slashing manager."""
    require(tx.sender == tx.rules.slashing_manager, "StakeRegistryNotSlashingManager")
    return take_stake(tx, validator, amount, scope, finder)


def take_stake(
    tx: Transaction, validator: int, amount: int, scope: Digest, finder: Address = ZERO_ADDRESS
) -> int:
    """Take up to ``amount`` pro rata and return what was taken; at most a tenth is the finder's."""
    require(validator in tx.state.validators, "StakeRegistryUnknownValidator")
    entry = tx.state.validators[validator]
    assets = entry.pool.assets
    limit = -(-assets * tx.rules.slash_cap_bps // BPS)
    known = tx.state.scopes.get((validator, scope))
    room = known if known and known.limit else SlashScope(limit, 0)
    taken = min(amount, room.limit - room.taken, assets)
    tx.state.scopes[validator, scope] = replace(room, taken=room.taken + taken)
    share = 0 if finder == ZERO_ADDRESS else taken // 10
    tx.state.owed += taken
    _credit(tx, finder, share)
    _credit(tx, tx.rules.treasury, taken - share)
    is_frozen = tx.state.freezes > 0
    tx.state.validators[validator] = replace(
        entry, pool=entry.pool.slashed(taken), ejected=entry.ejected or is_frozen
    )
    stake_changed(tx, validator)
    return taken


def earned(tx: Transaction, validator: int, holder: Address) -> int:
    """Return what a delegator has earned and not been credited."""
    if owner_of(tx.state, validator) in {ZERO_ADDRESS, holder}:
        return 0
    position = _position(tx, validator, holder)
    accrued = tx.state.validators[validator].pool.accrued - position.accrued
    return position.shares * accrued // ONE


def _enter(tx: Transaction, validator: int, amount: int, *, own: bool) -> None:
    require_open(tx)
    require(0 < amount <= STAKED_MAX, "StakeRegistryAmount")
    entry = tx.state.validators[validator]
    require(entry.pool.price >= PRICE_MIN, "StakeRegistryWornOut")
    take_tokens(tx, tx.sender, amount)
    position = _position(tx, validator, tx.sender)
    shares = position.shares + entry.pool.shares_in(amount)
    tx.state.positions[validator, tx.sender] = replace(position, shares=shares)
    pool = entry.pool.entered(amount, own=own)
    tx.state.validators[validator] = replace(entry, pool=pool)
    stake_changed(tx, validator)


def _credit_earned(tx: Transaction, validator: int, holder: Address) -> None:
    _credit(tx, holder, earned(tx, validator, holder))
    if validator in tx.state.validators:
        position = _position(tx, validator, holder)
        accrued = tx.state.validators[validator].pool.accrued
        tx.state.positions[validator, holder] = replace(position, accrued=accrued)


def _credit(tx: Transaction, account: Address, amount: int) -> None:
    if amount:
        tx.state.credits[account] = tx.state.credits.get(account, 0) + amount


def _position(tx: Transaction, validator: int, holder: Address) -> Position:
    return tx.state.positions.get((validator, holder), Position())
