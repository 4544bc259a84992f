"""Sessions that are lost and held again, on a virtual clock."""

import trio
import trio.testing

from flocknode.p2p.faults import PeerUnreachableError
from flocknode.p2p.keeper import (
    CALM_SECONDS,
    RETRY_SECONDS_MAX,
    RETRY_SECONDS_MIN,
    STEADY_SECONDS,
    Keeper,
)
from flocknode.primitives import PeerId

PEER = PeerId(b"peer")


class Attempts:
    """Notes when a session was tried; each lasts as long as ``lasting`` says and then is lost.

    After those there is none to be had, which takes ``seconds`` to find out.
    """

    def __init__(self, clock, lasting=(), seconds=0):
        self.clock = clock
        self.seconds = seconds
        self.times = []
        self.sought = []
        self.lasting = list(lasting)

    async def hold(self, peer):
        self.times.append(self.clock.current_time())
        if stands := self.lasting.pop(0) if self.lasting else 0:
            await trio.sleep(stands)
            return
        await trio.sleep(self.seconds)
        raise PeerUnreachableError(peer, "gone")

    async def find(self, peer):
        self.sought.append(peer)

    def pauses(self):
        return [b - a for a, b in zip(self.times, self.times[1:], strict=False)]


async def kept(attempts, seconds, act=None):
    keeper = Keeper(attempts.hold, attempts.find)
    keeper.want([PEER])
    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.run)
            if act:
                nursery.start_soon(act, keeper)


async def test_pauses_double_with_jitter_up_to_half_a_minute(autojump_clock):
    attempts = Attempts(autojump_clock)
    await kept(attempts, 600)
    for i, pause in enumerate(attempts.pauses()):
        whole = min(0.2 * 2**i, RETRY_SECONDS_MAX)
        assert 0.5 * whole <= pause <= 1.5 * whole + 1e-6
    assert len(set(attempts.pauses())) == len(attempts.pauses())
    assert attempts.sought[:3] == [PEER] * 3


async def test_peers_that_can_wait_are_begun_with_one_by_one_unless_they_no_longer_can(
    autojump_clock,
):
    begun = {}

    async def hold(peer):
        begun.setdefault(peer, autojump_clock.current_time())
        await trio.sleep_forever()

    async def find(_):
        raise AssertionError

    peers = [PeerId(bytes([i])) for i in range(40)]
    keeper = Keeper(hold, find)
    keeper.want(peers, later=set(peers[2:]))
    with trio.move_on_after(CALM_SECONDS * len(peers)):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.run)
            await trio.sleep(0.01)
            keeper.hurry(peers[2])
            await trio.sleep(0.01)
            assert {*peers[:2]} <= begun.keys()
            assert len(begun) < 10
            keeper.want(peers, later=set(peers[10:]))
            await trio.sleep(0.01)
            assert {*peers[:10]} <= begun.keys()
    later = [begun[peer] for peer in peers[10:]]
    assert max(later) - min(later) > CALM_SECONDS * len(peers) / 3


async def test_peer_that_fails_once_is_tried_again_before_it_is_looked_for(autojump_clock):
    attempts = Attempts(autojump_clock)
    await kept(attempts, RETRY_SECONDS_MIN / 4)
    assert (len(attempts.times), attempts.sought) == (1, [])
    await kept(attempts, 2 * RETRY_SECONDS_MIN)
    assert (len(attempts.times), attempts.sought) == (3, [PEER])


async def test_two_peers_do_not_retry_in_step(autojump_clock):
    both = [Attempts(autojump_clock), Attempts(autojump_clock)]
    async with trio.open_nursery() as nursery:
        for attempts in both:
            nursery.start_soon(kept, attempts, 100)
    assert not set(both[0].times[1:]) & set(both[1].times[1:])


async def test_session_that_lasted_makes_the_next_retry_quick_again(autojump_clock):
    attempts = Attempts(autojump_clock, [0, 0, 0, 0, 0, 0, STEADY_SECONDS + 1])
    await kept(attempts, 60)
    assert attempts.pauses()[6] - (STEADY_SECONDS + 1) < 0.5


async def test_peer_that_was_heard_of_is_tried_at_once(autojump_clock):
    attempts = Attempts(autojump_clock)

    async def act(keeper):
        await trio.sleep(100)
        keeper.hurry(PEER)
        keeper.hurry(PeerId(b"nobody"))
        await trio.testing.wait_all_tasks_blocked()
        assert attempts.times[-1] == trio.current_time()

    await kept(attempts, 101, act)


async def test_peer_that_is_not_wanted_any_more_is_left_alone(autojump_clock):
    attempts = Attempts(autojump_clock)

    async def act(keeper):
        await trio.sleep(10)
        assert keeper.want([]) == {PEER}
        before = len(attempts.times)
        await trio.sleep(100)
        assert len(attempts.times) == before

    await kept(attempts, 120, act)


async def test_peer_that_takes_long_to_be_unreachable_is_tried_ever_less_often(autojump_clock):
    """A dial that nobody answers takes longer than a session must stand to count as a success."""
    attempts = Attempts(autojump_clock, seconds=2 * STEADY_SECONDS)
    await kept(attempts, 600)
    pauses = [pause - attempts.seconds for pause in attempts.pauses()]
    assert min(pauses[8:]) >= RETRY_SECONDS_MAX / 2


async def test_address_that_is_found_is_dialled_at_once(autojump_clock):
    attempts = Attempts(autojump_clock)

    async def find(peer):
        if len(attempts.times) == 12:
            keeper.hurry(peer)

    keeper = Keeper(attempts.hold, find)
    keeper.want([PEER])
    with trio.move_on_after(600):
        await keeper.run()
    assert attempts.pauses()[10] >= RETRY_SECONDS_MAX / 2
    assert attempts.pauses()[11] == 0
