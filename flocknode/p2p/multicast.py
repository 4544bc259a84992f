"""Peers on the local network, by multicast DNS as libp2p specifies it (specs/discovery/mdns.md).

What is heard is signed by nobody: it is tried after every other address, and noise tells who is
there.
"""

import os
import time
from collections.abc import Callable, Iterable

import trio
from zeroconf import Error as ZeroconfFault
from zeroconf import InterfaceChoice, ServiceBrowser, ServiceInfo, ServiceListener, Zeroconf

from flocknode.errors import ConfigurationError, UnavailableError
from flocknode.p2p.identity import parse_address
from flocknode.p2p.rate import Bucket
from flocknode.primitives import PeerId

SERVICE = "_p2p._udp.local."
ADDRESSES_MAX = 4
HEARD_PER_SECOND = 1.0
HEARD_BURST = 256.0
ANSWER_MILLISECONDS = 1_000

Heard = Callable[[PeerId, str], None]


async def multicast(
    addresses: Iterable[str], heard: Heard, interfaces: list[str] | None = None
) -> None:
    """Say where this node listens and report who else does, until cancelled.

    ``addresses`` end in ``/p2p/<peer>``; ``interfaces`` are IP addresses, all by default. Raises
    ``UnavailableError`` if the network takes no multicast.
    """
    token = trio.lowlevel.current_trio_token()
    choice = interfaces if interfaces is not None else InterfaceChoice.All
    info = _service(list(addresses)[:ADDRESSES_MAX])
    try:
        zeroconf = await trio.to_thread.run_sync(Zeroconf, choice)
    except OSError as fault:
        raise UnavailableError(
            f"cannot look for peers on the local network: {fault.strerror}",
            "set mdns = false, or allow UDP port 5353",
        ) from fault
    try:
        listener = _Listener(info.name, lambda *found: token.run_sync_soon(heard, *found))
        await trio.to_thread.run_sync(zeroconf.register_service, info)
        ServiceBrowser(zeroconf, SERVICE, listener=listener)
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(zeroconf.close)


def _service(addresses: list[str]) -> ServiceInfo:
    name = os.urandom(16).hex()
    properties = {
        "dnsaddr" + (str(i + 1) if i else ""): address for i, address in enumerate(addresses)
    }
    return ServiceInfo(
        SERVICE,
        f"{name}.{SERVICE}",
        port=0,
        properties=properties,
        server=f"{name}.local.",
        # Of no use to peers, but without any of them an answer never counts as complete.
        parsed_addresses=[address.split("/")[2] for address in addresses if "/ip" in address],
    )


class _Listener(ServiceListener):
    """Takes what zeroconf's thread hears, at a bounded rate."""

    def __init__(self, own: str, heard: Heard) -> None:
        self._own = own
        self._heard = heard
        self._rate = Bucket(HEARD_PER_SECOND, HEARD_BURST)

    def add_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        if name == self._own or not self._rate.try_take(1, time.monotonic()):
            return
        info = ServiceInfo(type_, name)
        try:
            info.request(zc, ANSWER_MILLISECONDS)
        except ZeroconfFault:
            return
        for key, value in list(info.properties.items())[:ADDRESSES_MAX]:
            if key.startswith(b"dnsaddr") and value:
                self._report(value)

    def update_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        self.add_service(zc, type_, name)

    def remove_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        """Leave it: whoever is gone is not reached."""

    def _report(self, value: bytes) -> None:
        try:
            peer, _ = parse_address(value.decode("ascii"))
        except (UnicodeDecodeError, ConfigurationError):
            return
        self._heard(peer, value.decode("ascii"))
