"""CommitRevealBeacon: a seed from hash onions that nobody can choose and few can withhold."""

from dataclasses import dataclass, replace

from flocknode.crypto.hashing import keccak256
from flocknode.primitives import Digest
from flocknode.protocol.ledger import BeaconRequested, BeaconRevealed
from flocknode.sim import stakes
from flocknode.sim.abi import keccak_words, require
from flocknode.sim.state import BeaconRequest, LedgerState, Member, Transaction

MEMBERS_MAX = 16
"""Members on duty for one request."""


@dataclass(frozen=True, slots=True)
class Seed:
    ready: bool
    failed: bool
    value: Digest


def commit(tx: Transaction, validator: int, tip: Digest, value: int) -> None:
    """Join the beacon, or replace a used onion; the bond must be whole."""
    require(validator in tx.state.validators, "StakeRegistryUnknownValidator")
    entry = tx.state.validators[validator]
    require(entry.signer == tx.sender, "CommitRevealBeaconNotSigner")
    require(any(tip), "CommitRevealBeaconZeroTip")
    bond = value + (tx.state.members[validator].bond if validator in tx.state.members else 0)
    require(bond >= tx.rules.bond, "CommitRevealBeaconBondTooSmall")
    tx.state.members[validator] = Member(tip, bond)


def request(tx: Transaction, context: Digest) -> int:
    """Name entropy that does not exist yet: the next layers of the members on duty."""
    number = len(tx.state.requests) + 1
    members = _on_duty(tx, number)
    require(len(members) > 0, "CommitRevealBeaconNoMembers")
    deadline = tx.now + tx.rules.reveal_seconds
    tx.state.requests[number] = BeaconRequest(context, members, deadline)
    tx.emit(BeaconRequested(number, members, deadline))
    return number


def reveal(tx: Transaction, number: int, validator: int, preimage: Digest) -> None:
    """Peel one layer of a member's onion; the preimage authenticates itself."""
    require(number in tx.state.requests, "CommitRevealBeaconUnknownRequest")
    pending = tx.state.requests[number]
    require(tx.now < pending.deadline, "CommitRevealBeaconTooLate")
    require(validator in pending.members, "CommitRevealBeaconNotOnDuty")
    require(validator not in dict(pending.preimages), "CommitRevealBeaconAlreadyRevealed")
    member = tx.state.members[validator]
    require(keccak256(preimage) == member.tip, "CommitRevealBeaconWrongPreimage")
    tx.state.members[validator] = replace(member, tip=preimage)
    preimages = (*pending.preimages, (validator, preimage))
    tx.state.requests[number] = replace(pending, preimages=preimages)
    tx.emit(BeaconRevealed(number, validator))


def reveal_as_signer(tx: Transaction, number: int, preimage: Digest) -> None:
    """Reveal for the validator whose signing key sends the call."""
    validator = stakes.validator_of(tx.state, tx.sender)
    require(validator is not None, "CommitRevealBeaconNotOnDuty")
    assert validator is not None
    reveal(tx, number, validator, preimage)


def seed(tx: Transaction, number: int) -> Seed:
    """Return the value of a request once all, or at the deadline two thirds, have revealed."""
    pending = tx.state.requests[number]
    missing = len(pending.members) - len(pending.preimages)
    late = tx.now >= pending.deadline
    quorum = 3 * len(pending.preimages) >= 2 * len(pending.members)
    if missing and not (late and quorum):
        return Seed(ready=False, failed=late, value=Digest(bytes(32)))
    revealed = dict(pending.preimages)
    entropy = keccak256(b"".join(revealed.get(m, bytes(32)) for m in pending.members))
    rules = tx.rules
    value = keccak_words(rules.chain_id, rules.beacon, number, pending.context, entropy)
    return Seed(ready=True, failed=False, value=value)


def close(tx: Transaction, number: int) -> None:
    """Forfeit the bonds of the members that kept silent until the deadline."""
    pending = tx.state.requests[number]
    if pending.closed or tx.now < pending.deadline:
        return
    for validator in set(pending.members) - set(dict(pending.preimages)):
        member = tx.state.members[validator]
        tx.state.forfeited += member.bond
        tx.state.members[validator] = replace(member, bond=0)
    tx.state.requests[number] = replace(pending, closed=True)


def bonded(state: LedgerState, bond: int) -> list[int]:
    """Return the members with a whole bond and an onion, in index order."""
    return sorted(v for v, m in state.members.items() if m.bond >= bond)


def _on_duty(tx: Transaction, number: int) -> tuple[int, ...]:
    """Choose at most sixteen members, in turn from one that the request's number names."""
    members = bonded(tx.state, tx.rules.bond)
    start = number % max(len(members), 1)
    return tuple(sorted((members[start:] + members[:start])[:MEMBERS_MAX]))
