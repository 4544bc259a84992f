from flocknode.crypto.hashing import sha256
from flocknode.primitives import ZERO_DIGEST, Address, Digest
from flocknode.protocol.chain_view import ChainView
from flocknode.protocol.docket import Docket
from flocknode.protocol.ledger import Block, ProposalAccepted
from flocknode.protocol.verdicts import (
    ChallengeOpened,
    Offence,
    OffenceProven,
    ProposalStruck,
    QuestionUnanswered,
    SeatAccused,
    SeatsJudged,
    SeedAnswered,
    SeedDemanded,
    TreeAnswered,
    TreeQuestioned,
    ValidatorSlashed,
)

AT = (1, 0, 0)
ROOTS = tuple(sha256(b"sum %d" % column) for column in range(3))
QUESTION = sha256(b"question")
ASKED = TreeQuestioned(QUESTION, *AT, 1, 0, 0, ZERO_DIGEST, 50)
PROPOSAL = ProposalAccepted(*AT, 0, ROOTS, sha256(b"R"), sha256(b"W"), 0b111, 10)
STRIKE = ProposalStruck(*AT, 4, 60, 90)
SOMEBODY = Address(bytes(20))


def view_of(*events):
    return ChainView(1).after(Block(1, Digest(bytes(32)), ZERO_DIGEST, 1, events))


def test_strike_removes_the_proposal_and_what_was_open_about_it():
    lock = ChallengeOpened(*AT, 2, 5, 20, 30)
    attempt = view_of(PROPOSAL, lock, ASKED, SeatsJudged(*AT, 0b100, 0), STRIKE).attempt
    assert (attempt.proposal, attempt.struck) == (None, STRIKE)
    assert (attempt.docket.challenge, attempt.docket.questions) == (None, ())
    assert attempt.docket.tried == 1 << 5
    assert (attempt.slashed, attempt.docket.out_of_turn) == (0b100, 0b100)


def test_mask_root_whose_bytes_nobody_gave_is_banned_with_the_strike():
    docket = view_of(PROPOSAL, ASKED, QuestionUnanswered(QUESTION), STRIKE).attempt.docket
    assert docket.banned == {ROOTS[1]}


def test_answered_question_bans_nothing():
    answered = TreeAnswered(QUESTION, SOMEBODY, b"nodes")
    docket = view_of(PROPOSAL, ASKED, answered).attempt.docket
    assert (docket.questions, dict(docket.answers)) == ((), {ASKED: b"nodes"})
    assert view_of(PROPOSAL, ASKED, answered, STRIKE).attempt.docket.banned == frozenset()


def test_answer_to_a_question_of_another_task_changes_nothing():
    other = TreeAnswered(sha256(b"other"), SOMEBODY, b"nodes")
    assert view_of(PROPOSAL, ASKED, other).attempt.docket.questions == (ASKED,)


def test_given_seed_closes_its_demand():
    demands = [SeedDemanded(*AT, position, 1, 4, 40) for position in (0, 2)]
    given = SeedAnswered(*AT, 0, 1, Digest(bytes(32)))
    docket = view_of(*demands, given).attempt.docket
    assert (docket.demands, docket.given) == ((demands[1],), (given,))


def test_seat_judged_absent_is_no_longer_accused():
    accused = [SeatAccused(*AT, seat, 40) for seat in (1, 2)]
    docket = view_of(*accused, SeatsJudged(*AT, 0, 0b10)).attempt.docket
    assert [a.seat for a in docket.accused] == [2]
    assert docket.was_accused == 0b110


def test_conviction_is_open_until_the_stake_is_taken():
    conviction = sha256(b"conviction")
    proven = OffenceProven(conviction, *AT, Offence.WRONG_STEP, ZERO_DIGEST, 0b1, (7,), SOMEBODY)
    taken = ValidatorSlashed(conviction, 7, SOMEBODY, Offence.WRONG_STEP, 5)
    assert view_of(proven).convictions == (proven,)
    assert view_of(proven, taken).convictions == ()


def test_empty_docket_is_what_an_attempt_starts_with():
    assert view_of(PROPOSAL).attempt.docket == Docket()
