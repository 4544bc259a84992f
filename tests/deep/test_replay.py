"""The model's traces on real machines: what the rules prevent there they prevent here.

Each row plays the adversary of a trace that breaks the model without one rule. Real machines with
all rules come to the end that the model has with all rules; without the rule, here too, they come
to the end that the model has without it.
"""

from dataclasses import replace

import pytest

from flocknode.crypto.hashing import (
    capsules_hash,
    headers_hash,
    mask_commitment,
    mask_roots_hash,
    seeds_hash,
    sha256,
)
from flocknode.crypto.merkle import TreeKind, tree_root
from flocknode.messages.codec import decode
from flocknode.messages.statements import Propose
from flocknode.messages.wire import (
    AttestationMessage,
    Contribution,
    IncludeVote,
    MaskRootMessage,
    WantContributions,
)
from flocknode.protocol import attempt
from flocknode.protocol.attestation import Attester
from flocknode.protocol.contribution import Contributor
from flocknode.protocol.effects import Train
from flocknode.protocol.gossip_rules import check_header
from flocknode.protocol.inclusion import Includer
from flocknode.protocol.ledger import AttemptAborted, ProposalAccepted, SetAccepted
from flocknode.protocol.resealing import Resealer
from flocknode.protocol.seating import Seating
from flocknode.protocol.unmasking import Unmasker
from flocknode.sim.state import Phase
from flocknode.sim.world import TASK
from tests.deep.model.explore import explore
from tests.deep.test_model import BREAKS, LIAR_AND_TRAINER
from tests.simulation.round_world import all_of, calm_world, settle, until_phase
from tests.simulation.test_rounds_adversaries import resigned
from tests.simulation.test_rounds_hold import signed_by, until


def committee_world(rotate, **changes):
    """Return a drawn 2x3 world whose proposer of view v is seat (v + rotate) mod 6."""
    for seed in range(100):
        world = calm_world(seed, **{"columns": 2, "validators": 7, "trainers": 3, **changes})
        until_phase(world, Phase.COLLECTING)
        if int.from_bytes(world.ledger.round_of(TASK).seed, "big") % 6 == rotate:
            return world
    raise AssertionError


def moment_of(world, view):
    """Return when to act in ``view``: after its offer; -1 is the end of attesting."""
    windows, drawn_at = world.terms.windows, world.ledger.round_of(TASK).drawn_at
    if view < 0:
        return drawn_at + windows.collect - 0.15
    return drawn_at + windows.collect + windows.settle + view * windows.view + 1


def play_liar_and_trainer(world, trace):
    """Let seat 0 and trainer 2 do what they do in the trace, view by view.

    Seat 4 has no seed of the trainer, and its questions reach nobody until attesting is over: what
    a seat gets later than that it attests no more, as in the model.
    """
    trainer, liar = world.trainers[2], world.committee[0]
    gives = {world.committee[seat].peer for seat in LIAR_AND_TRAINER["gives"]}
    hidden, whole = set(), []

    def serve_some(peer, message):
        if not isinstance(message, Contribution):
            return [message]
        capsules = list(decode(message.header).capsules)
        capsules[4] = bytes(80)
        message = resigned(world, trainer, message, capsules=tuple(capsules))
        hidden.add(trainer_digest(message))
        return [message] if peer in gives else []

    def ask_late(_, message):
        is_early = world.now < moment_of(world, -1) + 1
        return [] if is_early and isinstance(message, WantContributions) else [message]

    def keep_it_back(_, message):
        if isinstance(message, IncludeVote):
            return []
        if not isinstance(message, AttestationMessage):
            return [message]
        whole.append(message)
        headers = tuple(h for h in message.headers if h not in hidden)
        return [attested(world, liar, replace(message, headers=headers))]

    trainer.twist, liar.twist = serve_some, keep_it_back
    world.committee[4].twist = ask_late
    view = -1
    for words in trace:
        if words.startswith("view "):
            view = int(words.split()[1])
        elif words.startswith("seat 0 shows seat "):
            world.run(seconds=max(0, moment_of(world, view) - world.now))
            peer = world.committee[int(words.split()[4])].peer
            world._send(liar, (peer,), whole[-1])


def trainer_digest(contribution):
    header = decode(contribution.header)
    statement = header.statement(seeds_hash(header.commitments), capsules_hash(header.capsules))
    return sha256(statement.record(header.signature))


def attested(world, node, message):
    return signed_by(world, node, message, headers_hash(message.headers))


def nothing(*_, **__):
    return []


def first_end(world):
    """Name the end of the first attempt as the model does, which has a view less."""
    until(world, lambda: all_of(world, SetAccepted) or all_of(world, AttemptAborted))
    accepted = all_of(world, SetAccepted)
    return "included" if accepted and accepted[0].view < world.terms.views - 1 else "no set"


def no_relay(patch):
    patch.setattr(Attester, "_forward", nothing)
    patch.setattr(Includer, "_refuse", nothing)


def no_reseal(patch):
    patch.setattr(Resealer, "answer", nothing)


@pytest.mark.parametrize(("rule", "drop"), [("relay", no_relay), ("reseal", no_reseal)])
def test_liar_and_bad_trainer_stop_no_inclusion(rule, drop, monkeypatch):
    machine, _ = BREAKS[rule]
    trace = explore(machine).broken["no set"]

    def end():
        world = committee_world(LIAR_AND_TRAINER["rotate"], trainers_min=2)
        play_liar_and_trainer(world, trace)
        return first_end(world)

    assert end() == "included"
    drop(monkeypatch)
    assert end() == "no set"


def test_proposer_that_omits_is_refused(monkeypatch):
    def included():
        """Let seat 0, which proposes first, offer all but trainer 0."""
        world = committee_world(0, trainers_min=2)
        liar = world.committee[0]
        until(world, lambda: liar.machine.attempt)
        attestations = liar.machine.attempt.seat.attester.attestations
        honestly, attester = attestations.attested, liar.machine.attempt.seat.attester

        def omitting(before=None):
            known = attester.contributions_of(honestly(before))
            return tuple(c.digest for c in known if c.header.index != 0)

        attestations.attested = omitting
        settle(world)
        return all_of(world, SetAccepted)[0].trainers

    assert included() == 0b111
    monkeypatch.setattr(Attester, "omitted", nothing)
    assert included() == 0b110


def test_after_a_spent_attempt_another_trainer_stops_no_set(monkeypatch):
    def trainers_of_sets():
        """Spend an attempt over two trainers; then the third speaks, and may not."""
        world = committee_world(0, trainers_min=2)
        late = world.trainers[2]
        late.crashed = True
        until_phase(world, Phase.INCLUDED)
        away = world.committee[::2]
        for node in away:
            world.crash(node)
        until(world, lambda: all_of(world, AttemptAborted))
        for node in (*away, late):
            world.join(node, after=0)
        until(
            world, lambda: len(all_of(world, SetAccepted)) + len(all_of(world, AttemptAborted)) > 2
        )
        return [accepted.trainers for accepted in all_of(world, SetAccepted)]

    begin = Contributor.begin

    def speak_anyway(self):
        drawn = self._seating.drawn
        return begin(self) or [Train(drawn.round, drawn.model_root)]

    monkeypatch.setattr(Contributor, "begin", speak_anyway)
    assert trainers_of_sets() == [0b011, 0b011]
    monkeypatch.setattr(attempt, "check_header", header_of_anybody)
    assert trainers_of_sets() == [0b011]


def header_of_anybody(header, seating):
    everybody = replace(seating, drawn=replace(seating.drawn, frozen_trainers=0))
    return check_header(header, everybody)


def test_seats_that_keep_their_roots_back_stop_no_proposal(monkeypatch):
    def attempts():
        """Seats 0 and 2 of column 0 sign INCLUDE and say nothing after it."""
        world = committee_world(1)
        until_phase(world, Phase.COLLECTING)
        for seat in (0, 2):
            world.committee[seat].twist = without_roots
        until(world, lambda: all_of(world, ProposalAccepted) or all_of(world, AttemptAborted))
        return len(all_of(world, ProposalAccepted))

    assert attempts() == 1
    choose = Unmasker.choose

    def choose_with_majorities(self, accepted, timestamp):
        spoken = {s for c in range(2) for r in self._signers(c, accepted).values() for s in r}
        ready = self._seating.has_column_majorities(spoken)
        return choose(self, accepted, timestamp) if ready else None

    monkeypatch.setattr(Unmasker, "choose", choose_with_majorities)
    monkeypatch.setattr(Unmasker, "may_count", lambda self, _, __, *now: self.choose(*now))
    assert attempts() == 0


def without_roots(_, message):
    return [] if isinstance(message, MaskRootMessage) else [message]


def lying_sum(world, liar):
    """Let ``liar`` commit to and sign another sum than its column's, and give it to everybody."""
    junk = bytes(world.terms.integers.words * world.terms.integers.width // 8)
    root = tree_root(TreeKind.MASK_SUM, junk)
    seat = world.committee.index(liar)

    def twist(_, message):
        if isinstance(message, IncludeVote):
            commitment = mask_commitment(message.ctx, seat, root)
            return [signed_by(world, liar, replace(message, commitment=commitment))]
        if isinstance(message, MaskRootMessage):
            lie = replace(message, root=root, vector=junk)
            return [signed_by(world, liar, lie, seat % world.terms.columns)]
        return [message]

    liar.twist = twist
    return root


def test_one_liar_does_not_speak_for_a_column_whose_roots_are_late(monkeypatch):
    def named():
        """Tell whether the accepted proposal names the liar's sum; its mates are slow."""
        world = calm_world(7, trainers=3)
        until_phase(world, Phase.COLLECTING)
        root = lying_sum(world, world.committee[0])
        for seat in (3, 6):
            world.committee[seat].twist = late_roots(world)
        until(world, lambda: all_of(world, ProposalAccepted))
        return root in all_of(world, ProposalAccepted)[0].mask_roots

    assert not named()
    monkeypatch.setattr(Seating, "root_deadline", Seating.demand_end)
    assert named()


def late_roots(world):
    """Keep mask roots back for three seconds after the set."""

    def twist(_, message):
        is_root = isinstance(message, MaskRootMessage)
        accepted = world.ledger.round_of(TASK).accepted
        return [] if is_root and world.now < accepted.accepted_at + 4 else [message]

    return twist


def test_honest_seat_signs_no_other_root_than_its_own_for_its_column(monkeypatch):
    def signed_against_its_own():
        """Seats 0 and 3 of column 0 agree on a lie; seat 6 knows better."""
        world = next(w for w in map(drawn_world, range(50)) if first_proposer(w) % 3)
        lies = {lying_sum(world, world.committee[seat]) for seat in (0, 3)}
        until(world, lambda: all_of(world, ProposalAccepted))
        accepted = all_of(world, ProposalAccepted)[0]
        assert lies.intersection(accepted.mask_roots)
        named = mask_roots_hash(accepted.mask_roots)
        said = (s for s in world.committee[6].statements if isinstance(s, Propose))
        return any(statement.mask_roots_hash == named for statement in said)

    assert not signed_against_its_own()
    monkeypatch.setattr(Unmasker, "own_root", own_root_unless_asked_for())
    assert signed_against_its_own()


def drawn_world(seed):
    world = calm_world(seed, trainers=3)
    until_phase(world, Phase.COLLECTING)
    return world


def first_proposer(world):
    return int.from_bytes(world.ledger.round_of(TASK).seed, "big") % 9


def own_root_unless_asked_for():
    """Return an own root that equals any other one, but is one."""

    class Any(bytes):
        def __ne__(self, _):
            return False

        __hash__ = bytes.__hash__

    def own(self):
        return Any(self._opening.root) if self._opening else None

    return property(own)
