"""Notice peers that are gone without a goodbye."""

import logging

import trio
from libp2p.abc import INetConn, INetworkService

from flocknode.p2p.streams import LIBRARY_FAULTS

PULSE_SECONDS = 5.0
PONG_SECONDS = 15.0
"""yamux pings every half minute; a peer that does not answer for this long is gone."""

log = logging.getLogger(__name__)


async def watch_pulses(swarm: INetworkService) -> None:
    """Close connections whose last yamux ping went unanswered, until cancelled.

    The library's own monitor opens a stream for each ping: 528 ends of connections in one process
    took a quarter of a core, and under load it cut healthy ones.
    """
    while True:
        await trio.sleep(PULSE_SECONDS)
        for connection in swarm.get_connections():
            if _is_silent(connection):
                log.info("peer silent, closing peer=%s", connection.muxed_conn.peer_id)
                try:
                    await connection.close()
                except LIBRARY_FAULTS as fault:
                    log.debug("connection closed badly cause=%r", fault)


def _is_silent(connection: INetConn) -> bool:
    muxed = connection.muxed_conn
    if muxed._ping_sent_time == 0.0 or muxed._ping_event.is_set():  # noqa: SLF001
        return False
    waited: float = trio.current_time() - muxed._ping_sent_time  # noqa: SLF001
    return waited > PONG_SECONDS
