"""StakeRegistry: organisations, stake and the weights of the draw."""

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from flocknode.crypto.errors import SignatureError
from flocknode.crypto.signing import recover
from flocknode.messages.statements import consent_digest
from flocknode.primitives import Address, Digest, PeerId
from flocknode.protocol.ledger import ValidatorKeysSet, ValidatorRegistered
from flocknode.sim.abi import CallReverted, require
from flocknode.sim.draw import draw_committee
from flocknode.sim.state import ZERO_ADDRESS, LedgerState, Transaction, Validator

WEIGHT_UNIT: Final = 10**18
"""Stake for one unit of weight."""
VALIDATORS_MAX: Final = 65_536
PEER_BYTES_MAX: Final = 64


def admit_organisation(tx: Transaction, organisation: Digest, owner: Address) -> None:
    """Let ``owner`` register validators of ``organisation``; the registrar decides who is one."""
    is_open = tx.rules.registrar == ZERO_ADDRESS
    require(is_open or tx.sender == tx.rules.registrar, "StakeRegistryNotRegistrar")
    require(any(organisation) and owner != ZERO_ADDRESS, "StakeRegistryZero")
    require(organisation not in tx.state.organisations, "StakeRegistryOrganisationKnown")
    tx.state.organisations[organisation] = owner


def register(
    tx: Transaction, organisation: Digest, signer: Address, peer: PeerId, consent: bytes
) -> int:
    """Register a validator; a signing key serves one validator for ever."""
    require_open(tx)
    admitted = tx.state.organisations.get(organisation)
    require(admitted == tx.sender, "StakeRegistryNotOrganisationOwner")
    validator = len(tx.state.validators)
    require(validator < VALIDATORS_MAX, "StakeRegistryFull")
    _require_new(tx, signer)
    tx.emit(ValidatorRegistered(validator, tx.sender, organisation))
    tx.state.validators[validator] = Validator(tx.sender, organisation, signer, peer)
    _announce_keys(tx, validator, signer, peer, consent)
    return validator


def rotate_keys(
    tx: Transaction, validator: int, signer: Address, peer: PeerId, consent: bytes
) -> None:
    """Replace signing key and peer id; statements of the past stay those of the old key."""
    entry = owned(tx, validator)
    if signer != entry.signer:
        require(entry.since <= tx.now, "StakeRegistryRotating")
        _require_new(tx, signer)
        # From the next second on: within this one it would be open whom a draw meant.
        since = tx.now + 1
        tenures = (*entry.tenures, (entry.signer, since))
        entry = replace(entry, signer=signer, since=since, tenures=tenures)
    tx.state.validators[validator] = replace(entry, peer=peer)
    _announce_keys(tx, validator, signer, peer, consent)


def pause_entries(tx: Transaction, paused: bool) -> None:
    """Refuse registrations, stake and delegations, or let them in again; nothing else stops."""
    require(tx.sender == tx.rules.guardian, "StakeRegistryNotGuardian")
    tx.state.entries_paused = paused


def refresh_weight(tx: Transaction, validator: int) -> None:
    """Bring a validator's weight up to its present stake; refused while a draw is pending."""
    require(validator in tx.state.validators, "StakeRegistryUnknownValidator")
    require(tx.state.freezes == 0, "StakeRegistryFrozen")
    stake_changed(tx, validator)


def draw(
    tx: Transaction, seed: Digest, seats: int, excluded: Collection[int] = ()
) -> tuple[int, ...]:
    """Draw seats from the frozen weights."""
    entries = [tx.state.validators[i] for i in range(len(tx.state.validators))]
    weights = [entry.weight for entry in entries]
    organisations = [entry.organisation for entry in entries]
    ejected = {validator for validator, entry in enumerate(entries) if entry.ejected}
    return draw_committee(seed, weights, organisations, seats, excluded, ejected)


def is_unfit(state: LedgerState, validator: int) -> bool:
    """Tell whether a draw would not give this validator a seat any more."""
    entry = state.validators[validator]
    return entry.ejected or entry.weight == 0


def eligible_organisations(state: LedgerState, excluded: Collection[int] = ()) -> int:
    """Count the organisations with a validator of positive weight, but those of the excluded."""
    closed = {organisation_of(state, validator) for validator in excluded}
    return len({e.organisation for e in state.validators.values() if e.weight > 0} - closed)


def validator_of(state: LedgerState, signer: Address) -> int:
    """Return the validator that a signing key serves or has ever served."""
    for validator, entry in state.validators.items():
        if signer in _signers(entry):
            return validator
    raise CallReverted("StakeRegistryUnknownSigner")


def signer_of(tx: Transaction, validator: int) -> Address:
    entry = tx.state.validators.get(validator)
    return entry.signer_at(tx.now) if entry else ZERO_ADDRESS


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


def owned(tx: Transaction, validator: int) -> Validator:
    """Return a validator that the sender owns."""
    require(owner_of(tx.state, validator) == tx.sender, "StakeRegistryNotOwner")
    return tx.state.validators[validator]


def require_open(tx: Transaction) -> None:
    require(not tx.state.entries_paused, "StakeRegistryEntriesPaused")


def stake_changed(tx: Transaction, validator: int) -> None:
    """Set the weight to the stake in whole units, at most what the organisation's cap leaves.

    Frozen weights wait for a refresh. Without stake of its own an owner risks its delegators'.
    """
    if tx.state.freezes:
        return
    entry = tx.state.validators[validator]
    mates = (e for e in tx.state.validators.values() if e.organisation == entry.organisation)
    others = sum(mate.weight for mate in mates) - entry.weight
    room = tx.rules.stake_cap // WEIGHT_UNIT - others
    has_own = entry.pool.value_of(entry.pool.own) >= tx.rules.stake_min
    units = entry.stake // WEIGHT_UNIT if has_own else 0
    tx.state.validators[validator] = replace(entry, weight=min(units, room), ejected=False)


def _require_new(tx: Transaction, signer: Address) -> None:
    """Refuse a key of any time: evidence that it signed must find one validator."""
    require(signer != ZERO_ADDRESS, "StakeRegistryZero")
    known = {key for entry in tx.state.validators.values() for key in _signers(entry)}
    require(signer not in known, "StakeRegistrySignerKnown")


def _signers(entry: Validator) -> set[Address]:
    return {entry.signer, *(signer for signer, _until in entry.tenures)}


def _announce_keys(
    tx: Transaction, validator: int, signer: Address, peer: PeerId, consent: bytes
) -> None:
    require(0 < len(peer) <= PEER_BYTES_MAX, "StakeRegistryPeerLength")
    organisation = tx.state.validators[validator].organisation
    digest = consent_digest(tx.rules.stake_domain, tx.sender, organisation, peer)
    require(_is_signed(digest, consent, signer), "StakeRegistryNoConsent")
    tx.emit(ValidatorKeysSet(validator, signer, peer))


def _is_signed(digest: Digest, signature: bytes, signer: Address) -> bool:
    try:
        return recover(digest, signature) == signer
    except SignatureError:
        return False
