"""The repairs of libp2p, against its own other half."""

import flocknode.p2p  # noqa: I001, F401 - repairs the library before it is used

import pytest
import trio
from libp2p.custom_types import TProtocol
from libp2p.protocol_muxer.exceptions import MultiselectClientError
from libp2p.protocol_muxer.multiselect import Multiselect
from libp2p.protocol_muxer.multiselect_client import MultiselectClient
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator
from trio.testing import memory_stream_pair

from flocknode.p2p.tuning import NEGOTIATE_SECONDS

SPOKEN, OTHER = TProtocol("/spoken/1"), TProtocol("/other/1")


class Pipe:
    def __init__(self, stream):
        self.stream = stream
        self.writes = 0

    async def write(self, data):
        self.writes += 1
        await self.stream.send_all(data)

    async def read(self, n=None):
        return await self.stream.receive_some(n)


async def select(protocols):
    """Return what a client agrees on with the library's listener, and how often it wrote."""
    ours, theirs = map(Pipe, memory_stream_pair())
    async with trio.open_nursery() as nursery:
        listener = Multiselect({SPOKEN: None})
        nursery.start_soon(listener.negotiate, MultiselectCommunicator(theirs))
        try:
            client = MultiselectClient()
            agreed = await client.select_one_of(protocols, MultiselectCommunicator(ours))
            return agreed, ours.writes
        finally:
            nursery.cancel_scope.cancel()


async def test_one_protocol_is_agreed_on_in_one_round_trip():
    assert await select([SPOKEN]) == (SPOKEN, 1)


async def test_of_several_protocols_the_one_that_is_spoken_is_taken():
    assert (await select([OTHER, SPOKEN]))[0] == SPOKEN


async def test_protocol_that_is_not_spoken_is_refused():
    with pytest.RaisesGroup(pytest.RaisesExc(MultiselectClientError, match="/other/1 refused")):
        await select([OTHER])


async def test_listener_that_says_nothing_is_given_up(autojump_clock):
    ours, _theirs = memory_stream_pair()
    began = autojump_clock.current_time()
    with pytest.raises(MultiselectClientError, match="no agreement on /spoken/1"):
        await MultiselectClient().select_one_of([SPOKEN], MultiselectCommunicator(Pipe(ours)))
    assert autojump_clock.current_time() - began == NEGOTIATE_SECONDS
