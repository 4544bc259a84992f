"""Peers on the local network: how much is heard of them."""

import time

from network_world import node
from zeroconf import Zeroconf

from flocknode.crypto.peer_id import peer_text
from flocknode.p2p.multicast import HEARD_BURST, SERVICE, _Listener, _service


def test_who_shouts_first_does_not_keep_others_from_being_heard_for_ever():
    peer, heard = node(1).peer, []
    info = _service([f"/ip4/127.0.0.1/tcp/1/p2p/{peer_text(peer)}"])
    listener = _Listener("own", lambda peer, _address: heard.append(peer))
    with Zeroconf(["127.0.0.1"]) as network:
        network.register_service(info)
        listener._rate.take(2 * HEARD_BURST, time.monotonic())
        listener.add_service(network, SERVICE, info.name)
        assert not heard
        listener._rate._filled_at -= 2 * HEARD_BURST
        listener.add_service(network, SERVICE, info.name)
    assert heard == [peer]
