"""Worlds of whole rounds, and the claims that hold in every one of them."""

from collections import defaultdict

import numpy as np
import pytest

from flocknode.aggregation.step import error_bound
from flocknode.crypto.suites import X25519
from flocknode.messages.slots import slot_of
from flocknode.messages.statements import MaskRoot, statement_digest
from flocknode.model.terms import MODEL_SCALE_BITS
from flocknode.privacy.clipping import clip_l2
from flocknode.protocol.ledger import ProposalAccepted, RoundSettled, SetAccepted
from flocknode.sim.world import TASK, World
from tests.builders import integer_terms, patient_windows, task_terms

LIMIT_SECONDS = 400.0
"""Three attempts with every deadline let pass."""
BEYOND_SECONDS = 3.0
"""Time for everyone to hear of the last settlement and to fetch its model."""


def terms_of(columns, seats_per_column, **changes):
    # tau = Q: no word is clamped, so the error bound holds.
    values = {
        "integers": integer_terms(tau=2047),
        "windows": patient_windows(),
        "rounds": 1,
        "columns": columns,
        "seats_per_column": seats_per_column,
    }
    return task_terms(**{**values, **changes})


def calm_world(seed=0, columns=3, seats_per_column=3, validators=10, **changes):
    faults = changes.pop("faults", None)
    identities = changes.pop("identities", None)
    finality_depth = changes.pop("finality_depth", 2)
    suite = changes.pop("suite", X25519)
    terms = terms_of(columns, seats_per_column, **changes)
    return World(
        seed=seed,
        terms=terms,
        validators=validators,
        faults=faults,
        identities=identities,
        finality_depth=finality_depth,
        suite=suite,
    )


def until_phase(world, phase):
    """Run until the chain's attempt is in ``phase``."""
    for _ in range(2_000):
        if world.ledger.round_of(TASK).phase is phase:
            return
        world.run(seconds=0.05)
    pytest.fail(f"never reached {phase}")


def settle(world):
    world.run(seconds=LIMIT_SECONDS, beyond=BEYOND_SECONDS)
    assert_all_rounds_settled(world)


def all_of(world, kind):
    return [event for event in world.events if isinstance(event, kind)]


def settled_rounds(world):
    """Return (accepted set, proposal) of every settled round."""
    sets = {(e.round, e.attempt): e for e in all_of(world, SetAccepted)}
    proposals = {(e.round, e.attempt): e for e in all_of(world, ProposalAccepted)}
    names = [(e.round, e.attempt) for e in all_of(world, RoundSettled)]
    return [(sets[name], proposals[name]) for name in names]


def blob(world, root):
    return next(data for node in world.nodes if (data := node.blobs.get(root)))


def model(world, root):
    return np.frombuffer(blob(world, root), "<i4") * 2.0**-MODEL_SCALE_BITS


def step_errors(world):
    """Return, by round, the settled step minus float FedAvg of the same clipped deltas."""
    before, errors = world.initial_root, []
    norm = 2.0**world.terms.integers.clip_norm_log2
    for accepted, proposal in settled_rounds(world):
        members = [e for e in world.roster.entries if accepted.trainers >> e.index & 1]
        clipped = [clip_l2(world.deltas[accepted.round, e.index], norm).values for e in members]
        mean = np.average(clipped, axis=0, weights=[e.weight for e in members])
        errors.append(model(world, proposal.model_root) - model(world, before) - mean)
        before = proposal.model_root
    return errors


# Claims about every world.


def assert_all_rounds_settled(world):
    settled = [event.round for event in all_of(world, RoundSettled)]
    assert settled == list(range(world.terms.rounds))


def assert_models_are_fedavg(world):
    for (accepted, _), error in zip(settled_rounds(world), step_errors(world), strict=True):
        count = accepted.trainers.bit_count()
        assert np.abs(error).max() <= error_bound(world.terms.integers, count, accepted.weight).max


def assert_no_slot_is_signed_twice(world):
    for node in world.nodes:
        slots = defaultdict(set)
        for statement in node.statements:
            slots[slot_of(statement)].add(statement_digest(world.domain, statement))
        slots.pop(None, None)
        assert all(len(digests) == 1 for digests in slots.values())


def assert_nobody_is_penalised(world):
    assert [(n.name, reason) for n in world.nodes for _, reason in n.penalties] == []


def assert_one_set_per_attempt(world):
    sets = defaultdict(set)
    for event in all_of(world, SetAccepted):
        sets[event.round, event.attempt].add(event.inclusion_root)
    assert all(len(roots) == 1 for roots in sets.values())
    accepted = {event.inclusion_root for event in all_of(world, SetAccepted)}
    opened = [s for node in world.nodes for s in node.statements if isinstance(s, MaskRoot)]
    assert {statement.inclusion_root for statement in opened} <= accepted


def assert_columns_agree(world):
    roots = defaultdict(set)
    for node in world.nodes:
        for statement in node.statements:
            if isinstance(statement, MaskRoot):
                roots[statement.ctx, statement.column].add(statement.root)
    assert all(len(found) == 1 for found in roots.values())


def assert_models_agree(world):
    last = all_of(world, RoundSettled)[-1].model_root
    for node in world.nodes:
        if not node.crashed:
            assert node.fold.final.model_root == last
            assert node.blobs.get(last), f"node {node.name} lacks the model"


CLAIMS = (
    assert_all_rounds_settled,
    assert_models_are_fedavg,
    assert_no_slot_is_signed_twice,
    assert_nobody_is_penalised,
    assert_one_set_per_attempt,
    assert_columns_agree,
    assert_models_agree,
)
