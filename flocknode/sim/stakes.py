"""StakeRegistry: organisations, stake and the weights of the draw."""

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from flocknode.primitives import Address, Digest, PeerId
from flocknode.protocol.ledger import ValidatorKeysSet, ValidatorRegistered
from flocknode.sim.abi import CallReverted, require
from flocknode.sim.draw import draw_committee
from flocknode.sim.state import ZERO_ADDRESS, LedgerState, Transaction, Validator

WEIGHT_UNIT: Final = 10**18
"""Stake for one unit of weight."""
FINDER_PARTS: Final = 10
"""A finder gets one of so many parts."""
VALIDATORS_MAX: Final = 65_536
PEER_BYTES_MAX: Final = 64
STAKED_MAX: Final = (1 << 96) - 1
"""Largest amount of one call."""


def admit_organisation(tx: Transaction, organisation: Digest, owner: Address) -> None:
    """Let ``owner`` register validators of ``organisation``; the registrar decides who is one."""
    is_open = tx.rules.registrar == ZERO_ADDRESS
    require(is_open or tx.sender == tx.rules.registrar, "StakeRegistryNotRegistrar")
    require(any(organisation) and owner != ZERO_ADDRESS, "StakeRegistryZero")
    require(organisation not in tx.state.organisations, "StakeRegistryOrganisationKnown")
    tx.state.organisations[organisation] = owner


def register(tx: Transaction, organisation: Digest, signer: Address, peer: PeerId) -> int:
    """Register a validator; a signing key serves one validator for ever."""
    admitted = tx.state.organisations.get(organisation)
    require(admitted == tx.sender, "StakeRegistryNotOrganisationOwner")
    require(signer != ZERO_ADDRESS, "StakeRegistryZero")
    require(0 < len(peer) <= PEER_BYTES_MAX, "StakeRegistryPeerLength")
    known = {entry.signer for entry in tx.state.validators.values()}
    require(signer not in known, "StakeRegistrySignerKnown")
    validator = len(tx.state.validators)
    require(validator < VALIDATORS_MAX, "StakeRegistryFull")
    tx.state.validators[validator] = Validator(tx.sender, organisation, signer, peer)
    tx.emit(ValidatorRegistered(validator, tx.sender, organisation))
    tx.emit(ValidatorKeysSet(validator, signer, peer))
    return validator


def stake(tx: Transaction, validator: int, amount: int) -> None:
    """Add to a validator's stake; while a draw is pending its weight waits for a refresh."""
    entry = _owned(tx, validator)
    require(0 < amount <= STAKED_MAX, "StakeRegistryAmount")
    take_tokens(tx, tx.sender, amount)
    tx.state.validators[validator] = replace(entry, stake=entry.stake + amount)
    _set_weight_unless_frozen(tx, validator)


def request_unstake(tx: Transaction, validator: int, amount: int) -> None:
    """Start to unbond; a request while another one runs joins it and starts the delay anew."""
    entry = _owned(tx, validator)
    require(0 < amount <= entry.stake, "StakeRegistryAmount")
    tx.state.validators[validator] = replace(
        entry,
        stake=entry.stake - amount,
        unbonding=entry.unbonding + amount,
        release_at=tx.now + tx.rules.unbonding_seconds,
    )
    _set_weight_unless_frozen(tx, validator)


def withdraw(tx: Transaction, validator: int) -> int:
    """Pay out what has finished unbonding."""
    entry = _owned(tx, validator)
    require(entry.unbonding > 0, "StakeRegistryAmount")
    require(tx.now >= entry.release_at, "StakeRegistryUnbondingNotElapsed")
    tx.state.validators[validator] = replace(entry, unbonding=0)
    give_tokens(tx, tx.sender, entry.unbonding)
    return entry.unbonding


def refresh_weight(tx: Transaction, validator: int) -> None:
    """Bring a validator's weight up to its present stake; refused while a draw is pending."""
    require(validator in tx.state.validators, "StakeRegistryUnknownValidator")
    require(tx.state.freezes == 0, "StakeRegistryFrozen")
    _set_weight_unless_frozen(tx, validator)


def slash(tx: Transaction, validator: int, amount: int, finder: Address) -> int:
    """Take stake, bonded before unbonding: a tenth to the finder, the rest to the treasury."""
    entry = tx.state.validators[validator]
    taken = min(amount, entry.stake + entry.unbonding)
    bonded = min(taken, entry.stake)
    tx.state.validators[validator] = replace(
        entry, stake=entry.stake - bonded, unbonding=entry.unbonding - (taken - bonded)
    )
    _set_weight_unless_frozen(tx, validator)
    give_tokens(tx, finder, taken // FINDER_PARTS)
    give_tokens(tx, tx.rules.treasury, taken - taken // FINDER_PARTS)
    return taken


def draw(
    tx: Transaction, seed: Digest, seats: int, excluded: Collection[int] = ()
) -> tuple[int, ...]:
    """Draw seats from the frozen weights."""
    entries = [tx.state.validators[i] for i in range(len(tx.state.validators))]
    weights = [entry.weight for entry in entries]
    organisations = [entry.organisation for entry in entries]
    return draw_committee(seed, weights, organisations, seats, excluded)


def eligible_organisations(state: LedgerState, excluded: Collection[int] = ()) -> int:
    """Count the organisations with a validator of positive weight, but those of the excluded."""
    closed = {organisation_of(state, validator) for validator in excluded}
    return len({e.organisation for e in state.validators.values() if e.weight > 0} - closed)


def validator_of(state: LedgerState, signer: Address) -> int:
    """Return the validator that a signing key belongs to."""
    for validator, entry in state.validators.items():
        if entry.signer == signer:
            return validator
    raise CallReverted("StakeRegistryUnknownSigner")


def signer_of(state: LedgerState, validator: int) -> Address:
    entry = state.validators.get(validator)
    return entry.signer if entry else ZERO_ADDRESS


def owner_of(state: LedgerState, validator: int) -> Address:
    entry = state.validators.get(validator)
    return entry.owner if entry else ZERO_ADDRESS


def weight_of(state: LedgerState, validator: int) -> int:
    return state.validators[validator].weight


def organisation_of(state: LedgerState, validator: int) -> Digest:
    return state.validators[validator].organisation


def take_tokens(tx: Transaction, account: Address, amount: int) -> None:
    """Move tokens from an account into the contracts."""
    balance = tx.state.tokens.get(account, 0)
    require(balance >= amount, "ERC20InsufficientBalance")
    tx.state.tokens[account] = balance - amount


def give_tokens(tx: Transaction, account: Address, amount: int) -> None:
    """Move tokens from the contracts to an account."""
    tx.state.tokens[account] = tx.state.tokens.get(account, 0) + amount


def give_coins(tx: Transaction, account: Address, amount: int) -> None:
    """Move native coin from the contracts to an account."""
    tx.state.coins[account] = tx.state.coins.get(account, 0) + amount


def _owned(tx: Transaction, validator: int) -> Validator:
    require(owner_of(tx.state, validator) == tx.sender, "StakeRegistryNotOwner")
    return tx.state.validators[validator]


def _set_weight_unless_frozen(tx: Transaction, validator: int) -> None:
    """Set the weight to the stake in whole units, at most what the organisation's cap leaves."""
    if tx.state.freezes:
        return
    entry = tx.state.validators[validator]
    mates = (e for e in tx.state.validators.values() if e.organisation == entry.organisation)
    others = sum(mate.weight for mate in mates) - entry.weight
    room = tx.rules.stake_cap // WEIGHT_UNIT - others
    units = entry.stake // WEIGHT_UNIT if entry.stake >= tx.rules.stake_min else 0
    tx.state.validators[validator] = replace(entry, weight=min(units, room))
