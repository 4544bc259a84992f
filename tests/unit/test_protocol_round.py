"""The machine around the duties: early words, undone draws, models, and what strangers may do."""

from dataclasses import replace
from types import MappingProxyType

import pytest

from flocknode.crypto.hashing import sha256
from flocknode.crypto.merkle import TreeKind, tree_root
from flocknode.messages.limits import INLINE_VECTOR_MAX
from flocknode.messages.wire import ModelWords, Outcome, WantContributions, WantKeys
from flocknode.primitives import PeerId
from flocknode.protocol.chain_view import AttemptView, ChainView, ValidatorKeys
from flocknode.protocol.effects import (
    DestroySecrets,
    Fetch,
    Hold,
    MakeSealingKey,
    Penalise,
    Recall,
    Remember,
    Send,
    Sign,
    Train,
)
from flocknode.protocol.events import (
    ChainAdvanced,
    MessageReceived,
    SealingKeyMade,
    Signed,
    Tick,
    Trained,
    VectorHeld,
    VectorsLost,
)
from flocknode.protocol.gossip_rules import GossipIgnore, GossipReject
from flocknode.protocol.ledger import RoundSettled, TaskCreated
from flocknode.protocol.round import (
    EARLY_MESSAGES_MAX,
    EARLY_PER_SENDER_MAX,
    OFFERED_MODELS_MAX,
    SEATINGS_MAX,
    RoundMachine,
)
from tests.consortium import DOMAIN, DRAWN_AT, MODEL_ROOT, consortium, draw

US = consortium()
SEAT = 4
TRAINER, STRANGER = PeerId(b"trainer 0"), PeerId(b"stranger")
PROPOSER = US.seating.peers[7]
CREATED = TaskCreated(1, US.terms, sha256(b"task"), MODEL_ROOT, US.seating.roster.root())
VALIDATORS = MappingProxyType(
    {100 + s: ValidatorKeys(key.address, US.seating.peers[s]) for s, key in enumerate(US.seats)}
)
EMPTY = ChainView(1, created=CREATED, validators=VALIDATORS, timestamp=DRAWN_AT)
NEXT_MODEL = b"\1\0\0\0" * US.terms.integers.words
NEXT_ROOT = tree_root(TreeKind.MODEL, NEXT_MODEL)


def machine(key=US.seats[SEAT], *, has_model=True, agreed=CREATED):
    node = RoundMachine(key.address, DOMAIN, agreed, US.seating.roster)
    if not has_model:
        node.handle(VectorsLost((MODEL_ROOT,)), DRAWN_AT)
    return node


def drawn_view(drawn=US.seating.drawn, **attempt):
    return replace(EMPTY, attempt=AttemptView(drawn=drawn, **attempt))


DRAWN = drawn_view()


def advance(node, tip, final=None, now=DRAWN_AT):
    return node.handle(ChainAdvanced(tip, final or tip), now)


def begun():
    node = machine()
    advance(node, DRAWN)
    return node


def hear(node, message, sender=TRAINER):
    return node.handle(MessageReceived(sender, message), DRAWN_AT)


def test_seat_begins_when_the_draw_is_final():
    node = machine()
    assert advance(node, DRAWN, final=EMPTY) == []
    assert node.attempt is None
    assert MakeSealingKey(US.seating) in advance(node, DRAWN)


def test_attempt_begins_once():
    assert MakeSealingKey(US.seating) not in advance(begun(), DRAWN)


def test_draw_that_we_do_not_recompute_begins_nothing():
    foreign = drawn_view(replace(US.seating.drawn, ctx=sha256(b"foreign")))
    assert advance(machine(), foreign) == []


@pytest.mark.parametrize(
    "other",
    [
        replace(CREATED, terms=replace(US.terms, attempts_max=1)),
        replace(CREATED, configuration=sha256(b"another recipe")),
    ],
)
def test_draw_of_a_task_that_nobody_here_agreed_to_begins_nothing(other):
    assert advance(machine(), replace(DRAWN, created=other)) == []


def test_next_draw_destroys_the_secrets_of_the_one_before():
    again = draw(US.terms, attempt=1)
    effects = advance(begun(), drawn_view(again))
    assert DestroySecrets(again.round, again.attempt) in effects
    (made,) = [effect for effect in effects if isinstance(effect, MakeSealingKey)]
    assert made.seating.ctx == again.ctx


def test_settlement_ends_the_secrets_of_the_round_even_for_a_node_that_saw_no_attempt():
    settled = RoundSettled(1, 3, 0, NEXT_ROOT, DRAWN_AT)
    node = machine()
    assert DestroySecrets(4, 0) in advance(node, replace(EMPTY, settled=settled))
    assert advance(node, replace(EMPTY, settled=settled)) == []


def test_seat_hears_again_what_it_was_given_before_a_restart():
    assert Recall(US.ctx) in advance(machine(), DRAWN)


def test_seat_remembers_a_contribution_once_before_it_opens_it():
    node, valid = begun(), US.valid(0)
    message = US.contribution(valid)
    first, *_ = hear(node, message)
    assert first == Remember(US.seating, TRAINER, replace(message, vector=b""))
    assert not [e for e in hear(node, message) if isinstance(e, Remember)]


def test_answer_for_an_attempt_that_is_over_is_dropped():
    node = begun()
    advance(node, drawn_view(draw(US.terms, attempt=1)))
    assert node.handle(SealingKeyMade(US.ctx, 1, bytes(32)), DRAWN_AT) == []


def test_trainer_trains_when_its_model_is_here():
    node = machine(US.trainers[0])
    assert Train(3, MODEL_ROOT) in advance(node, DRAWN)
    stale = machine(US.trainers[0], has_model=False)
    assert not [effect for effect in advance(stale, DRAWN) if isinstance(effect, Train)]
    settled = replace(DRAWN, settled=RoundSettled(1, 2, 0, MODEL_ROOT, DRAWN_AT))
    advance(stale, settled)
    assert Train(3, MODEL_ROOT) in stale.handle(VectorHeld(MODEL_ROOT, TreeKind.MODEL), DRAWN_AT)


def test_training_of_another_round_is_dropped():
    node = machine(US.trainers[0])
    advance(node, DRAWN)
    assert node.handle(Trained(2, MODEL_ROOT), DRAWN_AT) == []
    assert not node.attempt.contributor._trained
    node.handle(Trained(3, MODEL_ROOT), DRAWN_AT)
    assert node.attempt.contributor._trained


def test_early_message_is_heard_when_the_draw_is_final():
    node = machine()
    advance(node, EMPTY)
    assert hear(node, US.contribution(US.valid(0))) == []
    assert node.contributions == 0
    advance(node, DRAWN)
    assert node.contributions == 1


def test_early_message_of_a_draw_on_the_tip_is_kept():
    node = machine()
    advance(node, DRAWN, final=EMPTY)
    hear(node, US.contribution(US.valid(0)))
    advance(node, DRAWN)
    assert node.contributions == 1


def test_strangers_have_no_early_say():
    node = machine()
    advance(node, EMPTY)
    hear(node, US.contribution(US.valid(0)), STRANGER)
    assert len(node._early) == 0


def test_early_messages_are_bounded_by_sender_and_in_all():
    node = machine()
    advance(node, EMPTY)
    message = US.contribution(US.valid(0))
    for _ in range(2 * EARLY_PER_SENDER_MAX):
        hear(node, message, TRAINER)
    assert len(node._early) == EARLY_PER_SENDER_MAX
    crowd = {1000 + i: ValidatorKeys(US.seats[0].address, PeerId(b"%d" % i)) for i in range(50)}
    advance(node, replace(EMPTY, validators=MappingProxyType(crowd)))
    for keys in crowd.values():
        for _ in range(EARLY_PER_SENDER_MAX):
            hear(node, message, keys.peer)
    assert len(node._early) == EARLY_MESSAGES_MAX


def test_early_messages_of_attempts_that_never_came_do_not_stay():
    node = machine()
    advance(node, EMPTY)
    hear(node, WantKeys(sha256(b"never drawn")))
    advance(node, DRAWN)
    assert len(node._early) == 0


def test_message_of_an_attempt_that_is_over_is_not_kept():
    node = begun()
    advance(node, drawn_view(draw(US.terms, attempt=1)))
    hear(node, US.contribution(US.valid(0)))
    assert len(node._early) == 0


def test_rejected_message_costs_its_sender():
    bad = replace(US.contribution(US.valid(0)), vector=bytes(US.seating.vector_bytes))
    assert hear(begun(), bad) == [Penalise(TRAINER, "bytes of another root")]


def test_ignored_message_costs_nothing():
    node = machine()
    advance(node, drawn_view(US.frozen(0b1110).seating.drawn))
    assert hear(node, US.contribution(US.valid(0))) == []


def test_questions_of_strangers_get_no_answer():
    node = begun()
    hear(node, US.contribution(US.valid(0)))
    for seat in range(9):
        hear(node, US.seat_key(seat))
    question = WantContributions(US.ctx, (US.valid(0).digest,))
    assert hear(node, question, STRANGER) == []
    assert hear(node, WantKeys(US.ctx), STRANGER) == []
    assert len(hear(node, question, US.seating.peers[0])) == 1
    assert len(hear(node, WantKeys(US.ctx), TRAINER)) == 1


def test_undone_end_of_an_attempt_brings_it_back():
    node = begun()
    hear(node, US.contribution(US.valid(0)))
    advance(node, replace(EMPTY, attempt=AttemptView()), final=DRAWN)
    assert node.handle(Tick(), DRAWN_AT + 1) == []
    effects = advance(node, DRAWN, now=DRAWN_AT + 2)
    node.attempt.capsule_opened(opened(US.valid(0).digest), DRAWN_AT + 2)
    effects += node.handle(Tick(), DRAWN_AT + 2.5)
    assert any(isinstance(e, Sign) for e in effects)


def opened(header):
    from flocknode.protocol.events import CapsuleOpened

    return CapsuleOpened(US.ctx, header, True)


def test_seatings_are_bounded():
    node = machine()
    for attempt in range(2 * SEATINGS_MAX):
        advance(node, drawn_view(draw(US.terms, attempt=attempt)))
    assert len(node._seatings) == len(node._gossip) == SEATINGS_MAX


def test_gossip_is_keys_headers_and_outcomes_of_known_draws():
    node = begun()
    node.judge(US.bundle())
    node.judge(US.valid(0).header)
    with pytest.raises(GossipIgnore):
        node.judge(replace(US.bundle(), ctx=sha256(b"unknown")))
    with pytest.raises(GossipReject):
        node.judge(WantKeys(US.ctx))


def test_outcome_is_forwarded_as_the_chain_shows_it():
    node, chosen, proposal = begun(), US.set_of(0, 1, 2), US.proposal()
    outcome = Outcome(US.ctx, 3, chosen.root, proposal.aggregate_root, proposal.model_root)
    with pytest.raises(GossipIgnore):
        node.judge(outcome)
    advance(node, drawn_view(accepted=US.accepted(chosen), proposal=proposal))
    node.judge(outcome)


def proposed():
    proposal = replace(US.proposal(), model_root=NEXT_ROOT)
    return drawn_view(accepted=US.accepted(US.set_of(0, 1, 2)), proposal=proposal)


def test_pushed_model_is_kept_once_the_chain_names_it():
    node = machine(US.trainers[0])
    advance(node, DRAWN)
    assert hear(node, ModelWords(NEXT_ROOT, NEXT_MODEL), PROPOSER) == []
    assert Hold(NEXT_ROOT, NEXT_MODEL, is_model=True) in advance(node, proposed())


def test_model_of_a_stranger_is_ignored():
    node = machine(US.trainers[0])
    advance(node, DRAWN)
    hear(node, ModelWords(NEXT_ROOT, NEXT_MODEL), STRANGER)
    assert not any(isinstance(effect, Hold) for effect in advance(node, proposed()))


def test_pushed_models_are_bounded_and_checked():
    node = machine(US.trainers[0])
    advance(node, DRAWN)
    for number in range(3 * OFFERED_MODELS_MAX):
        words = bytes([number]) * 4
        hear(node, ModelWords(tree_root(TreeKind.MODEL, words), words), PROPOSER)
    assert len(node._offered_models) == OFFERED_MODELS_MAX
    assert hear(node, ModelWords(NEXT_ROOT, b"other"), PROPOSER) == [
        Penalise(PROPOSER, "model of another root")
    ]


def test_model_that_nobody_pushed_is_pulled_from_validators():
    node = machine(US.trainers[0], has_model=False)
    advance(node, EMPTY)
    assert node.handle(Tick(), DRAWN_AT + 1) == []
    (fetch,) = node.handle(Tick(), DRAWN_AT + 3)
    assert isinstance(fetch, Fetch)
    assert (fetch.root, fetch.length) == (MODEL_ROOT, 4 * US.terms.integers.words)
    assert len(fetch.holders) == 9


def test_model_too_long_to_be_pushed_is_pulled_at_once_and_from_different_validators():
    integers = replace(US.terms.integers, words=INLINE_VECTOR_MAX // 4 + 1)
    long = replace(EMPTY, created=replace(CREATED, terms=replace(US.terms, integers=integers)))
    first = set()
    for trainer in US.trainers:
        node = machine(trainer, has_model=False, agreed=long.created)
        (fetch,) = (effect for effect in advance(node, long) if isinstance(effect, Fetch))
        assert len(set(fetch.holders)) == 9
        first.add(fetch.holders[0])
    assert len(first) > 1


def test_signature_for_another_attempt_is_dropped():
    node = begun()
    vote = US.include_vote(SEAT, 0, US.set_of(0, 1, 2))
    foreign = replace(vote.statement(), ctx=sha256(b"another attempt"))
    assert node.handle(Signed(foreign, bytes(65)), DRAWN_AT) == []


def test_own_sealing_key_goes_to_the_other_seats():
    node = begun()
    mine = US.seat_key(SEAT)
    (signing,) = node.handle(SealingKeyMade(US.ctx, mine.suite, mine.key), DRAWN_AT)
    effects = node.handle(Signed(signing.statement, mine.signature), DRAWN_AT)
    assert [e.message for e in effects if isinstance(e, Send)] == [mine]
