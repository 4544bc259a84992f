"""CommitRevealBeacon: a seed from hash onions that nobody can choose and few can withhold."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from flocknode.crypto.hashing import keccak256
from flocknode.primitives import ZERO_DIGEST, Digest
from flocknode.protocol.ledger import (
    BeaconClockStarted,
    BeaconRequested,
    BeaconRevealed,
)
from flocknode.sim.abi import bits, keccak_words, require
from flocknode.sim.stakes import (
    give_coins,
    organisation_of,
    owner_of,
    signer_of,
    validator_of,
    weight_of,
)
from flocknode.sim.state import BeaconRequest, Member, Transaction

DUTIES_MAX: Final = 16
"""Members on duty for one request."""
STALL_SECONDS: Final = 86_400
"""How long a request waits for half of the answers."""
TIP_BYTES: Final = 26
CLOSE_WITH_REQUEST: Final = 4
"""Older requests that a new one closes, so that its cost is bounded."""
ENTROPY_BITS: Final = 160
GWEI: Final = 10**9


@dataclass(frozen=True, slots=True)
class Seed:
    ready: bool
    failed: bool
    value: Digest


def commit(tx: Transaction, validator: int, tip: Digest, value: int) -> None:
    """Join the beacon with a bond, or replace the onion while no answer is due."""
    require(tx.sender == signer_of(tx, validator), "CommitRevealBeaconNotSigner")
    member = tx.state.members.get(validator)
    is_bonded = member is not None or validator in tx.state.dismissed
    require(value == (0 if is_bonded else tx.rules.bond), "CommitRevealBeaconWrongBond")
    if member is None:
        member = _join(tx, validator)
    else:
        _refuse_on_duty(tx, validator, member)
    answered = len(tx.state.requests)
    tx.state.members[validator] = replace(member, tip=tip[:TIP_BYTES], answered=answered)


def leave(tx: Transaction, validator: int) -> None:
    """Return a member's bond to its owner, unless an answer is due, or that of a dismissed one."""
    require(tx.sender == owner_of(tx.state, validator), "CommitRevealBeaconNotOwner")
    if member := tx.state.members.get(validator):
        _refuse_on_duty(tx, validator, member)
        _remove(tx, validator)
    else:
        require(validator in tx.state.dismissed, "CommitRevealBeaconNotMember")
        tx.state.dismissed -= {validator}
    give_coins(tx, tx.sender, tx.rules.bond)


def request(tx: Transaction, context: Digest, value: int = 0) -> int:
    """Name entropy that does not exist yet; ``value`` is shared by those who answer."""
    _close(tx, CLOSE_WITH_REQUEST)
    require(duties(tx) >= tx.rules.members_min, "CommitRevealBeaconTooFewMembers")
    number = len(tx.state.requests) + 1
    members = _on_duty(tx, number)
    fee = min(value // len(members) // GWEI, (1 << 32) - 1) * GWEI
    tx.state.treasury_due += value - fee * len(members)
    deadline = tx.now + STALL_SECONDS
    entropy = int.from_bytes(context, "big") % (1 << ENTROPY_BITS)
    tx.state.requests[number] = BeaconRequest(members, deadline, entropy, fee)
    tx.emit(BeaconRequested(number, members, deadline))
    return number


def reveal(tx: Transaction, number: int, validator: int, preimage: Digest) -> None:
    """Peel one layer of a member's onion, in the order of requests; anyone may relay it."""
    require(number in tx.state.requests, "CommitRevealBeaconUnknownRequest")
    asked = tx.state.requests[number]
    require(tx.now < asked.deadline, "CommitRevealBeaconClosed")
    require(validator in asked.members, "CommitRevealBeaconNotOnDuty")
    member = tx.state.members.get(validator)
    # A member that is gone owes nothing any more, and adds nothing.
    in_order = member is not None and number > member.answered
    require(in_order, "CommitRevealBeaconOutOfOrder")
    assert member is not None
    tip = keccak256(preimage)[:TIP_BYTES]
    require(tip == member.tip, "CommitRevealBeaconWrongPreimage")
    peeled = replace(member, tip=preimage[:TIP_BYTES], answered=number)
    tx.state.members[validator] = peeled
    share = int.from_bytes(keccak_words(validator, preimage), "big") % (1 << ENTROPY_BITS)
    answered = replace(
        asked,
        entropy=asked.entropy ^ share,
        revealed=asked.revealed | 1 << asked.members.index(validator),
    )
    tx.emit(BeaconRevealed(number, validator))
    if 2 * answered.revealed.bit_count() in {len(asked.members), len(asked.members) + 1}:
        # The others have as long as after a request that everybody saw at once.
        answered = replace(answered, deadline=tx.now + tx.rules.reveal_seconds)
        tx.emit(BeaconClockStarted(number, answered.deadline))
    tx.state.requests[number] = answered


def reveal_as_signer(tx: Transaction, number: int, preimage: Digest) -> None:
    """Reveal for the validator whose signing key sends the call."""
    reveal(tx, number, validator_of(tx.state, tx.sender), preimage)


def seed(tx: Transaction, number: int) -> Seed:
    """Return the value of a request once all have answered; a withheld answer fails it.

    Were it to stand without that answer, the last member would choose between two known values.
    """
    require(number in tx.state.requests, "CommitRevealBeaconUnknownRequest")
    asked = tx.state.requests[number]
    if asked.revealed.bit_count() == len(asked.members):
        value = keccak_words(tx.rules.chain_id, tx.rules.beacon, number, asked.entropy)
        return Seed(ready=True, failed=False, value=value)
    return Seed(ready=False, failed=tx.now >= asked.deadline, value=ZERO_DIGEST)


def close(tx: Transaction, limit: int) -> None:
    """Close the oldest requests that are over.

    The silent lose their membership and, unless they are the most, their bonds.
    """
    require(_close(tx, limit) > 0, "CommitRevealBeaconNothingDue")


def claim_reveals(tx: Transaction, validator: int, numbers: Sequence[int]) -> None:
    """Pay a member's share of the requests it answered to the validator's owner."""
    amount = sum(_take_fee(tx, validator, number) for number in numbers)
    require(amount > 0, "CommitRevealBeaconNothingDue")
    give_coins(tx, owner_of(tx.state, validator), amount)


def pay_treasury(tx: Transaction) -> None:
    """Pay forfeited bonds and unearned fees to the treasury."""
    require(tx.state.treasury_due > 0, "CommitRevealBeaconNothingDue")
    give_coins(tx, tx.rules.treasury, tx.state.treasury_due)
    tx.state.treasury_due = 0


def duties(tx: Transaction) -> int:
    """Return how many paid answers the next request would ask for."""
    return min(len(tx.state.member_order), DUTIES_MAX)


def _join(tx: Transaction, validator: int) -> Member:
    """Admit one member for each organisation, with weight in the draw."""
    require(weight_of(tx.state, validator) > 0, "CommitRevealBeaconNoWeight")
    organisation = organisation_of(tx.state, validator)
    present = {organisation_of(tx.state, member) for member in tx.state.members}
    require(organisation not in present, "CommitRevealBeaconOrganisationPresent")
    tx.state.member_order = (*tx.state.member_order, validator)
    tx.state.dismissed -= {validator}
    return Member(tip=b"", answered=0, joined=len(tx.state.requests) + 1)


def _remove(tx: Transaction, validator: int) -> None:
    """End a membership; the last member takes its place in the order of duties."""
    order = list(tx.state.member_order)
    order[order.index(validator)] = order[-1]
    tx.state.member_order = tuple(order[:-1])
    del tx.state.members[validator]


def _on_duty(tx: Transaction, number: int) -> tuple[int, ...]:
    """Choose who answers: everybody, or sixteen in turn from one that the request names."""
    order = tx.state.member_order
    start = number * DUTIES_MAX % len(order) if len(order) > DUTIES_MAX else 0
    return (order[start:] + order[:start])[:DUTIES_MAX]


def _close(tx: Transaction, limit: int) -> int:
    """Look at the oldest requests; one that still waits holds up none behind it."""
    closed = 0
    leads = True
    first = tx.state.first_open
    for number in range(first, min(first + limit, len(tx.state.requests) + 1)):
        asked = tx.state.requests[number]
        if not _is_over(asked, tx.now):
            leads = False
            continue
        ended = _end(tx, number, asked)
        tx.state.first_open += leads
        closed += leads or ended
    return closed


def _is_over(asked: BeaconRequest, now: int) -> bool:
    return asked.revealed.bit_count() == len(asked.members) or now >= asked.deadline


def _end(tx: Transaction, number: int, asked: BeaconRequest) -> bool:
    """End a request, once, that some did not answer; tell whether this did it."""
    missing = ~(asked.revealed | asked.paid) & ((1 << len(asked.members)) - 1)
    if not missing:
        return False
    tx.state.requests[number] = replace(asked, paid=asked.paid | missing)
    tx.state.treasury_due += missing.bit_count() * asked.fee
    stalled = 2 * missing.bit_count() > len(asked.members)
    for place in bits(missing):
        _dismiss(tx, number, asked.members[place], stalled=stalled)
    return True


def _dismiss(tx: Transaction, number: int, validator: int, *, stalled: bool) -> None:
    """End the membership that was asked, if it lasts; where most were silent the bond is safe."""
    member = tx.state.members.get(validator)
    if member is None or member.joined > number:
        return
    _remove(tx, validator)
    if stalled:
        tx.state.dismissed |= {validator}
    else:
        tx.state.treasury_due += tx.rules.bond


def _take_fee(tx: Transaction, validator: int, number: int) -> int:
    asked = tx.state.requests.get(number)
    require(asked is not None and validator in asked.members, "CommitRevealBeaconNothingDue")
    assert asked is not None
    place = asked.members.index(validator)
    is_due = asked.revealed >> place & 1 and not asked.paid >> place & 1
    require(bool(is_due), "CommitRevealBeaconNothingDue")
    tx.state.requests[number] = replace(asked, paid=asked.paid | 1 << place)
    return asked.fee


def _refuse_on_duty(tx: Transaction, validator: int, member: Member) -> None:
    """Entropy is fixed before it is asked for: no change while an answer is due."""
    first = max(tx.state.first_open, member.joined)
    for number in range(first, len(tx.state.requests) + 1):
        asked = tx.state.requests[number]
        if validator in asked.members:
            answered = asked.revealed >> asked.members.index(validator) & 1
            require(bool(answered), "CommitRevealBeaconOnDuty")
