"""What must stand before a simulated round: validators with stake, a roster, a funded task."""

from collections.abc import Sequence

from flocknode.crypto.hashing import keccak256
from flocknode.model.terms import TaskTerms
from flocknode.primitives import Address, Digest
from flocknode.protocol.ledger import TaskCreated
from flocknode.protocol.roster import Roster, RosterEntry
from flocknode.sim.ledger import SimulatedLedger
from flocknode.sim.simulated_node import TASK, SimulatedNode
from flocknode.sim.state import TaskSpecification

CREATOR = Address(b"\xcc" * 20)


def enrol(ledger: SimulatedLedger, validators: Sequence[SimulatedNode]) -> None:
    """Give every validator an organisation of its own, stake and an onion; stakes are unequal."""
    for number, node in enumerate(validators):
        organisation = keccak256(number.to_bytes(4, "big"))
        me = node.key.address
        ledger.mint(me, 10**24)
        ledger.admit_organisation(organisation, me, sender=ledger.rules.registrar)
        validator = ledger.register(organisation, node.key, node.peer, sender=me)
        ledger.stake(validator, (1 + number) * 10**20, sender=me)
        ledger.refresh_weight(validator, sender=me)
        ledger.commit(validator, node.onion[-1], ledger.rules.bond, sender=me)


def roster_of(trainers: Sequence[SimulatedNode], weight_max: int) -> Roster:
    """Return the trainers' roster, with weights that differ."""
    return Roster(
        tuple(
            RosterEntry(i, node.key.address, 1 + i % weight_max, node.peer)
            for i, node in enumerate(trainers)
        )
    )


def agree(terms: TaskTerms, model_root: Digest, roster: Roster) -> TaskCreated:
    """Return the task as every participant's file has it."""
    return TaskCreated(TASK, terms, keccak256(b"configuration"), model_root, roster.root())


def publish_task(ledger: SimulatedLedger, agreed: TaskCreated) -> None:
    """Create and fund the task."""
    specification = TaskSpecification(
        terms=agreed.terms,
        configuration=agreed.configuration,
        model_root=agreed.model_root,
        roster_root=agreed.roster_root,
        reward_per_round=10**18,
        trainer_share_bps=5_000,
    )
    ledger.mint(CREATOR, 10**24)
    task = ledger.create_task(specification, sender=CREATOR)
    assert task == TASK
    ledger.fund(task, agreed.terms.rounds * 10**18, 10**20, sender=CREATOR)
