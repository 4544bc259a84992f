"""Faults add up, fade and lead to bans that grow."""

from flocknode.p2p.conduct import (
    BAN_SECONDS_MAX,
    BAN_SECONDS_MIN,
    HALF_LIFE_SECONDS,
    PEERS_MAX,
    Conduct,
)
from flocknode.p2p.rate import PEERS_MAX as BUCKETS_MAX
from flocknode.p2p.rate import Buckets
from flocknode.primitives import PeerId

PEER, OTHER = PeerId(b"peer"), PeerId(b"other")


def misbehave(conduct, now, peer=PEER, faults=5):
    """Return whether the last of ``faults`` at one moment brought a ban."""
    return [conduct.fault(peer, now) for _ in range(faults)][-1]


def test_the_fifth_fault_at_once_bans_and_the_fourth_does_not():
    conduct = Conduct()
    assert not misbehave(conduct, 0, faults=4)
    assert not conduct.is_banned(PEER, 0)
    assert conduct.fault(PEER, 0)
    assert conduct.is_banned(PEER, BAN_SECONDS_MIN - 1)
    assert not conduct.is_banned(PEER, BAN_SECONDS_MIN)
    assert not conduct.is_banned(OTHER, 0)


def test_faults_that_are_far_apart_ban_nobody():
    # One fault each half-life sums to less than 1 + 1/2 + 1/4 + ... = 2.
    conduct = Conduct()
    assert not any(conduct.fault(PEER, i * HALF_LIFE_SECONDS) for i in range(100))


def test_each_ban_is_twice_the_last_up_to_a_day():
    conduct, now, lengths = Conduct(), 0.0, []
    for _ in range(9):
        assert misbehave(conduct, now)
        ban = conduct.bans(now)[0]
        lengths.append(ban.until - now)
        now = ban.until
    assert lengths == [min(BAN_SECONDS_MIN * 2**i, BAN_SECONDS_MAX) for i in range(9)]
    assert lengths[-1] == BAN_SECONDS_MAX


def test_bans_survive_a_restart_with_their_number():
    before = Conduct()
    misbehave(before, 0)
    after = Conduct(before.bans(1))
    assert after.is_banned(PEER, 1)
    assert misbehave(after, BAN_SECONDS_MIN)
    assert after.bans(BAN_SECONDS_MIN)[0].until == BAN_SECONDS_MIN + 2 * BAN_SECONDS_MIN


def test_a_crowd_of_strangers_pushes_out_no_ban():
    conduct = Conduct()
    misbehave(conduct, 0)
    for i in range(PEERS_MAX + 50):
        conduct.fault(PeerId(i.to_bytes(4)), 1)
    assert conduct.is_banned(PEER, 1)
    assert len(conduct._records) == PEERS_MAX


def test_old_bans_are_not_written_down_for_ever():
    conduct = Conduct()
    misbehave(conduct, 0)
    assert not conduct.bans(BAN_SECONDS_MIN + BAN_SECONDS_MAX)


def test_buckets_are_bounded_and_not_renewed_by_asking_again():
    buckets = Buckets(rate=1, burst=2)
    for _ in range(2):
        assert buckets.of(PEER).try_take(1, now=0)
    assert not buckets.of(PEER).try_take(1, now=0)
    for i in range(2 * BUCKETS_MAX):
        buckets.of(PeerId(i.to_bytes(4)))
    assert len(buckets._buckets) == BUCKETS_MAX
