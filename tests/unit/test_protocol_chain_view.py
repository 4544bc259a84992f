from dataclasses import replace

import pytest

from flocknode.crypto.hashing import sha256
from flocknode.primitives import Address, PeerId
from flocknode.protocol.chain_view import (
    BEACONS_MAX,
    AttemptView,
    BeaconRound,
    ChainFold,
    ChainView,
)
from flocknode.protocol.ledger import (
    AttemptAborted,
    BeaconClockStarted,
    BeaconRequested,
    BeaconRevealed,
    Block,
    ChainProgress,
    RollCalled,
    RoundOpened,
    RoundSettled,
    TaskCreated,
    TaskPaused,
    TaskResumed,
    ValidatorKeysSet,
)
from tests.consortium import MODEL_ROOT, consortium

US = consortium()
DRAWN = US.seating.drawn
OPENED = RoundOpened(1, 3, 0, MODEL_ROOT, 5)
ACCEPTED = US.accepted(US.set_of(0, 1, 2))
SETTLED = RoundSettled(1, 3, 0, sha256(b"next"), 1_010)


def after(*events):
    view = ChainView(1)
    for event in events:
        view = view.apply(event)
    return view


def block(number, *events):
    name = sha256(repr((number, events)).encode())
    return Block(number, name, sha256(b"parent"), 1_000 + number, events)


def test_attempt_grows_by_its_events():
    view = after(OPENED, DRAWN, ACCEPTED, US.proposal())
    assert view.attempt == AttemptView(OPENED, DRAWN, ACCEPTED, US.proposal())


def test_settlement_names_the_model_and_ends_the_attempt():
    created = TaskCreated(1, US.terms, sha256(b"configuration"), MODEL_ROOT, sha256(b"roster"))
    assert after().model_root is None
    assert after(created).model_root == MODEL_ROOT
    view = after(created, OPENED, DRAWN, SETTLED)
    assert view.model_root == SETTLED.model_root
    assert view.attempt == AttemptView(ended_at=view.timestamp)


def test_abort_ends_the_attempt():
    view = after(OPENED, DRAWN, AttemptAborted(1, 3, 0, False, 0))
    assert view.attempt == AttemptView(ended_at=view.timestamp)


def test_new_draw_starts_with_an_empty_roll():
    view = after(OPENED, DRAWN, RollCalled(1, 3, 0, 4), RollCalled(1, 3, 0, 7))
    assert view.attempt.roll == {4, 7}
    assert view.apply(DRAWN).attempt.roll == frozenset()


@pytest.mark.parametrize("event", [OPENED, DRAWN, SETTLED, TaskPaused(1, 3)])
def test_other_tasks_leave_no_mark(event):
    assert after(replace(event, task=2)) == after()


def test_pause_and_resumption():
    assert after(TaskPaused(1, 3)).paused
    assert not after(TaskPaused(1, 3), TaskResumed(1, 3)).paused


def test_newest_keys_of_a_validator_count():
    keys = [ValidatorKeysSet(7, Address(bytes([i]) * 20), PeerId(bytes([i]))) for i in (1, 2)]
    view = after(*keys)
    assert view.validators[7].peer == b"\2"


def test_requests_of_two_tasks_stand_side_by_side():
    first, second = BeaconRequested(5, (0, 1, 2), 100), BeaconRequested(6, (0, 3), 110)
    view = after(first, second, BeaconRevealed(5, 1), BeaconRevealed(6, 3), BeaconRevealed(9, 1))
    assert view.beacons[5].revealed == {1}
    assert view.beacons[6].revealed == {3}


def test_old_requests_are_forgotten():
    view = after(*(BeaconRequested(n, (0,), n) for n in range(BEACONS_MAX + 3)))
    assert sorted(view.beacons) == list(range(3, BEACONS_MAX + 3))


@pytest.mark.parametrize(
    ("members", "revealed", "timestamp", "settled", "complete"),
    [
        ((0, 1), (0,), 99, False, False),
        ((0, 1), (0,), 100, True, False),
        ((0, 1), (0, 1), 99, True, True),
        ((), (), 99, False, False),
        ((), (), 100, True, False),
        ((), (0,), 99, True, True),
    ],
)
def test_request_is_settled_by_the_last_answer_or_the_deadline(
    members, revealed, timestamp, settled, complete
):
    view = after(BeaconRequested(5, members, 100), *(BeaconRevealed(5, m) for m in revealed))
    assert view.beacons[5].is_settled(timestamp) is settled
    assert view.beacons[5].is_complete() is complete


def test_started_clock_brings_the_deadline_forward():
    view = after(BeaconRequested(5, (0, 1), 900), BeaconRevealed(5, 0), BeaconClockStarted(5, 99))
    assert view.beacons[5] == BeaconRound(5, (0, 1), 99, frozenset({0}))
    assert after(BeaconClockStarted(5, 99)).beacons == {}


def test_final_view_stays_behind_the_tip():
    fold = ChainFold(1)
    blocks = (block(1, OPENED), block(2, DRAWN))
    fold.advance(ChainProgress(None, blocks, final=1))
    assert fold.final.attempt.drawn is None
    assert fold.tip.attempt.drawn == DRAWN
    assert (fold.final.number, fold.tip.number, fold.tip.timestamp) == (1, 2, 1_002)


def test_undone_block_leaves_the_tip():
    fold = ChainFold(1)
    fold.advance(ChainProgress(None, (block(1, OPENED), block(2, DRAWN)), final=1))
    other = replace(DRAWN, seed=sha256(b"another seed"))
    fold.advance(ChainProgress(1, (block(2, other), block(3)), final=1))
    assert fold.tip.attempt.drawn == other
    fold.advance(ChainProgress(None, (), final=2))
    assert fold.final.attempt.drawn == other


def test_undone_block_without_a_successor_is_forgotten():
    fold = ChainFold(1)
    fold.advance(ChainProgress(None, (block(1, OPENED), block(2, DRAWN)), final=1))
    fold.advance(ChainProgress(1, (), final=1))
    assert fold.tip == fold.final


def test_a_doubted_draw_and_what_follows_it_is_at_the_tip_only():
    fold = ChainFold(1)
    blocks = (block(1, OPENED), block(2, DRAWN), block(3, ACCEPTED))
    fold.advance(ChainProgress(None, blocks, final=3, doubted=DRAWN.ctx))
    assert fold.final.attempt == AttemptView(opened=OPENED)
    assert fold.tip.attempt == AttemptView(OPENED, DRAWN, ACCEPTED)
    fold.advance(ChainProgress(None, (), final=3))
    assert fold.final.attempt == fold.tip.attempt


def test_doubts_of_a_draw_that_is_over_change_nothing():
    fold = ChainFold(1)
    blocks = (block(1, OPENED), block(2, DRAWN), block(3, SETTLED))
    fold.advance(ChainProgress(None, blocks, final=3, doubted=DRAWN.ctx))
    assert fold.final.model_root == SETTLED.model_root
