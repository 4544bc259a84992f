"""Turns, on a virtual clock."""

import trio
import trio.testing

from flocknode.p2p.turns import Turns


class Crowd:
    """Notes when each of many had its turn, and how many had one at a time."""

    def __init__(self, clock, turns):
        self.clock = clock
        self.start = clock.current_time()
        self.turns = turns
        self.began = []
        self.now = 0
        self.most = 0

    async def take(self, seconds):
        async with self.turns.turn():
            self.began.append(self.clock.current_time() - self.start)
            self.now += 1
            self.most = max(self.most, self.now)
            try:
                await trio.sleep(seconds)
            finally:
                self.now -= 1

    async def of(self, *seconds):
        async with trio.open_nursery() as nursery:
            for each in seconds:
                nursery.start_soon(self.take, each)
                await trio.testing.wait_all_tasks_blocked()


async def test_no_more_than_the_count_have_a_turn_while_none_hangs(autojump_clock):
    crowd = Crowd(autojump_clock, Turns(3, 1.0))
    await crowd.of(*[0.5] * 9)
    assert crowd.most == 3
    assert crowd.began == [0, 0, 0, 0.5, 0.5, 0.5, 1, 1, 1]


async def test_those_that_hang_keep_the_next_waiting_once_and_not_for_as_long_as_they_hang(
    autojump_clock,
):
    crowd = Crowd(autojump_clock, Turns(2, 1.0))
    await crowd.of(*[100] * 6, 0.5)
    assert crowd.began == [0, 0, 1, 1, 2, 2, 3]


async def test_turn_that_ends_while_others_hang_is_the_next_ones(autojump_clock):
    crowd = Crowd(autojump_clock, Turns(2, 1.0))
    await crowd.of(100, 0.2, 0.2, 0.2)
    assert crowd.began == [0, 0, 0.2, 0.4]


async def test_who_gives_up_in_the_queue_takes_no_turn(autojump_clock):
    crowd = Crowd(autojump_clock, Turns(1, 10.0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(crowd.take, 2)
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(1):
            await crowd.take(5)
        await crowd.take(0)
    assert crowd.began == [0, 2]
