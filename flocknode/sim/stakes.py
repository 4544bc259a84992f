"""StakeRegistry: organisations, stake and the weights of the draw."""

from collections.abc import Collection
from dataclasses import replace

from flocknode.primitives import Address, Digest, PeerId
from flocknode.protocol.ledger import ValidatorKeysSet, ValidatorRegistered
from flocknode.sim.abi import require
from flocknode.sim.draw import draw_committee
from flocknode.sim.state import ZERO_ADDRESS, LedgerState, Transaction, Validator


def admit_organisation(tx: Transaction, organisation: Digest, owner: Address) -> None:
    """Let ``owner`` register validators of ``organisation``; the registrar decides who is one."""
    require(tx.sender == tx.rules.registrar, "StakeRegistryNotRegistrar")
    require(any(organisation) and owner != ZERO_ADDRESS, "StakeRegistryZeroValue")
    tx.state.organisations[organisation] = owner


def register(tx: Transaction, organisation: Digest, signer: Address, peer: PeerId) -> int:
    """Register a validator under its owner; a signing key serves one validator for ever."""
    require(tx.state.organisations.get(organisation) == tx.sender, "StakeRegistryNotAdmitted")
    require(signer != ZERO_ADDRESS, "StakeRegistryZeroValue")
    require(validator_of(tx.state, signer) is None, "StakeRegistrySignerTaken")
    validator = len(tx.state.validators)
    tx.state.validators[validator] = Validator(tx.sender, organisation, signer, peer)
    tx.emit(ValidatorRegistered(validator, tx.sender, organisation))
    tx.emit(ValidatorKeysSet(validator, signer, peer))
    return validator


def stake(tx: Transaction, validator: int, amount: int) -> None:
    """Add to a validator's stake; it counts in draws once its weight is refreshed."""
    entry = _owned(tx, validator)
    require(amount > 0, "StakeRegistryZeroValue")
    take_tokens(tx, tx.sender, amount)
    tx.state.validators[validator] = replace(entry, stake=entry.stake + amount)
    _refresh_unless_frozen(tx, validator)


def request_unstake(tx: Transaction, validator: int, amount: int) -> None:
    """Move stake to unbonding, from where it can be withdrawn after the unbonding period."""
    entry = _owned(tx, validator)
    require(0 < amount <= entry.stake, "StakeRegistryInsufficientStake")
    tx.state.validators[validator] = replace(
        entry,
        stake=entry.stake - amount,
        unbonding=entry.unbonding + amount,
        release_at=tx.now + tx.rules.unbonding_seconds,
    )
    _refresh_unless_frozen(tx, validator)


def withdraw(tx: Transaction, validator: int) -> int:
    """Pay out what has finished unbonding."""
    entry = _owned(tx, validator)
    require(entry.unbonding > 0, "StakeRegistryNothingToWithdraw")
    require(tx.now >= entry.release_at, "StakeRegistryUnbondingNotElapsed")
    tx.state.validators[validator] = replace(entry, unbonding=0, release_at=0)
    give_tokens(tx, tx.sender, entry.unbonding)
    return entry.unbonding


def refresh_weight(tx: Transaction, validator: int) -> None:
    """Bring a validator's weight up to its present stake; refused while a draw is pending."""
    require(validator in tx.state.validators, "StakeRegistryUnknownValidator")
    require(tx.state.freezes == 0, "StakeRegistryWeightsFrozen")
    _refresh_unless_frozen(tx, validator)


def draw(tx: Transaction, seed: Digest, seats: int, excluded: Collection[int]) -> tuple[int, ...]:
    """Draw seats from the frozen weights."""
    entries = [tx.state.validators[i] for i in range(len(tx.state.validators))]
    weights = [entry.weight for entry in entries]
    return draw_committee(seed, weights, [e.organisation for e in entries], seats, excluded)


def eligible_organisations(state: LedgerState, excluded: Collection[int] = ()) -> int:
    """Count the organisations with a validator of positive weight."""
    closed = {state.validators[i].organisation for i in excluded}
    return len({e.organisation for e in state.validators.values() if e.weight > 0} - closed)


def validator_of(state: LedgerState, signer: Address) -> int | None:
    """Return the validator that a signing key belongs to."""
    return next((i for i, e in state.validators.items() if e.signer == signer), None)


def take_tokens(tx: Transaction, owner: Address, amount: int) -> None:
    """Move tokens from an account into the contracts."""
    balance = tx.state.tokens.get(owner, 0)
    require(balance >= amount, "ERC20InsufficientBalance")
    tx.state.tokens[owner] = balance - amount


def give_tokens(tx: Transaction, owner: Address, amount: int) -> None:
    """Move tokens from the contracts to an account."""
    tx.state.tokens[owner] = tx.state.tokens.get(owner, 0) + amount


def _owned(tx: Transaction, validator: int) -> Validator:
    require(validator in tx.state.validators, "StakeRegistryUnknownValidator")
    require(tx.state.validators[validator].owner == tx.sender, "StakeRegistryNotOwner")
    return tx.state.validators[validator]


def _refresh_unless_frozen(tx: Transaction, validator: int) -> None:
    """Weights are capped stake in whole units, and stay as they are from request to draw."""
    if tx.state.freezes:
        return
    entry = tx.state.validators[validator]
    weight = min(entry.stake // tx.rules.weight_unit, tx.rules.weight_cap)
    tx.state.validators[validator] = replace(entry, weight=weight)
