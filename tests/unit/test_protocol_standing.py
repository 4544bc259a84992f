from dataclasses import replace

from flocknode.protocol.chain_view import AttemptView
from flocknode.protocol.docket import Docket
from flocknode.protocol.standing import Standing
from flocknode.protocol.verdicts import ProposalStruck
from tests.consortium import DRAWN_AT, consortium

US = consortium()
ACCEPTED = US.accepted(US.set_of(0, 1, 2, 3), DRAWN_AT)
STRUCK = ProposalStruck(1, 0, 0, 4, 100, 112)


def standing(**changes):
    it = Standing(US.seating)
    it.take(AttemptView(**changes))
    return it


def test_without_a_verdict_everything_is_as_drawn():
    it = standing()
    assert it.quorum == US.terms.proposal_quorum() == 6
    assert [it.proposer_of(view) for view in range(4)] == [
        US.seating.proposer_of(view) for view in range(4)
    ]


def test_views_count_on_from_the_strike():
    it = standing(struck=STRUCK)
    assert it.proposal_view(99, ACCEPTED) is None
    assert [it.proposal_view(at, ACCEPTED) for at in (100, 102, 103, 111)] == [4, 4, 5, 7]
    assert it.proposal_view(112, ACCEPTED) is None


def test_convicted_seats_neither_count_nor_propose_after_the_strike():
    out = 0b000_111_111
    it = standing(struck=STRUCK, slashed=out, docket=Docket(out_of_turn=out))
    assert it.quorum == 2
    assert {it.proposer_of(view) for view in range(4, 8)} == {6, 7, 8}
    assert it.proposer_of(0) == US.seating.proposer_of(0)
    assert it.is_complete({6, 7, 8})
    assert it.majority_of(0) == 1


def test_conviction_in_a_turn_does_not_move_its_views():
    before = standing(struck=STRUCK)
    after = standing(struck=replace(STRUCK), slashed=0b1)
    views = range(4, 8)
    assert [before.proposer_of(v) for v in views] == [after.proposer_of(v) for v in views]
