"""One libp2p host: TCP, noise and yamux, and nothing else that would weaken them."""

import logging
import socket
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio
from libp2p import new_host
from libp2p.abc import IHost, IMuxedConn, INetConn, INetStream, IRawConnection, ISecureConn
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_key
from libp2p.custom_types import TProtocol
from libp2p.network.config import ConnectionConfig, RetryConfig
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from libp2p.protocol_muxer.exceptions import MultiselectError
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.transport.exceptions import MuxerUpgradeFailure, SecurityUpgradeFailure
from multiaddr import Multiaddr
from multiaddr.exceptions import Error as MultiaddrFault

from flocknode.crypto.peer_id import peer_text
from flocknode.errors import ConfigurationError, UnavailableError
from flocknode.p2p.faults import PeerUnreachableError
from flocknode.p2p.gate import Gate
from flocknode.p2p.handshakes import Handshakes
from flocknode.p2p.identity import key_pair_of, parse_address
from flocknode.p2p.noise import NoiseTransport
from flocknode.p2p.quota import StreamQuota
from flocknode.p2p.streams import LIBRARY_FAULTS, Stream
from flocknode.p2p.tuning import tune
from flocknode.p2p.turns import Turns
from flocknode.p2p.yamux import YamuxConnection
from flocknode.primitives import PeerId

DIAL_SECONDS = 10.0
OPEN_SECONDS = 10.0
CLOSE_SECONDS = 5.0
CONNECTIONS_MAX = 512
ADDRESSES_MAX = 4
"""Addresses kept of a peer; they are tried in turn."""
PEERS_MAX = 1_024
_NO_ADDRESS = "/ip4/127.0.0.1/tcp/0"
"""What the library chooses its transport by; a host that listens on nothing never binds it."""

# Handshakes that share a core starve each other until all of them time out: of 1,200 dials that the
# hosts of one process began at once 1,000 failed, eight at a time none. A handshake takes 15 ms, so
# one that takes a second waits for a peer that may never answer, and must not keep others waiting.
DIALS = Turns(count=8, seconds=1.0)

tune()

Handler = Callable[[Stream], Awaitable[None]]
log = logging.getLogger(__name__)


def _connection_config() -> ConnectionConfig:
    """Dial nobody on the library's own account; yamux's pings tell who is gone."""
    return ConnectionConfig(
        max_connections=CONNECTIONS_MAX,
        high_watermark=CONNECTIONS_MAX,
        min_connections=0,
        low_watermark=0,
    )


def _listen_address(text: str) -> Multiaddr:
    try:
        address = Multiaddr(text)
        names = [protocol.name for protocol in address.protocols()]
    except (MultiaddrFault, ValueError) as fault:
        raise ConfigurationError(
            f"cannot listen on {text!r}", "use /ip4/<ip>/tcp/<port>"
        ) from fault
    if names not in (["ip4", "tcp"], ["ip6", "tcp"]):
        raise ConfigurationError(f"cannot listen on {text!r}", "use /ip4/<ip>/tcp/<port>")
    return address


def _refuse_taken_port(address: Multiaddr) -> None:
    """Raise if the port is in use: the library sets SO_REUSEPORT and would share it silently."""
    version = address.protocols()[0].name
    port = int(address.value_for_protocol("tcp"))
    family = socket.AF_INET if version == "ip4" else socket.AF_INET6
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.value_for_protocol(version), port))
        except OSError as fault:
            raise UnavailableError(
                f"cannot listen on {address}: {fault.strerror}",
                "stop the program that uses the port, or choose another listen address",
            ) from fault


class Host:
    """Connections and streams of one node; everything above it sees peers, never libp2p ids."""

    def __init__(self, seed: bytes, listen: str | None, gate: Gate) -> None:
        """Without an address to ``listen`` on, a node only dials."""
        keys = key_pair_of(seed)
        self._listen = _listen_address(listen) if listen is not None else None
        self._gate = gate
        self._quota = StreamQuota()
        self._handshakes = Handshakes()
        self._nursery: trio.Nursery | None = None
        self.raw: IHost = new_host(
            key_pair=keys,
            listen_addrs=[self._listen or _listen_address(_NO_ADDRESS)],
            # Noise alone: with the library's defaults anybody may speak plaintext as anybody.
            sec_opt={NOISE: NoiseTransport(keys, noise_privkey=create_noise_key().private_key)},
            muxer_opt={TProtocol(YAMUX): YamuxConnection},
            connection_config=_connection_config(),
            disable_identify_address_discovery=True,
        )
        # Addresses come from the caller, so nobody needs to be asked for his at every connection.
        self.raw._schedule_identify = _identify_nobody  # noqa: SLF001
        self._swarm = self.raw.get_network()
        # It dials whoever is known up to half of the limit, whatever its watermarks say.
        self._swarm.auto_connector.maybe_connect = _connect_nobody
        # They would identify who connects and weigh whom to cut; each event costs a task of each.
        self._swarm.notifees.clear()
        self._swarm.retry_config = RetryConfig(max_retries=0)
        self.peer = PeerId(self.raw.get_id().to_bytes())
        self._addresses: OrderedDict[PeerId, tuple[str, ...]] = OrderedDict()
        self._hints: OrderedDict[PeerId, str] = OrderedDict()
        # The library would serve ping, identify and identify-push, which fills a book of addresses.
        self.raw.multiselect.handlers.clear()
        self._guard_connections()
        self._guard_streams()
        gate.expel = self._expel

    @property
    def address(self) -> str:
        """The multiaddr to dial, with the peer id; known once the host listens, else empty."""
        if self._listen is None:
            return ""
        return f"{self.raw.get_transport_addrs()[0]}/p2p/{peer_text(self.peer)}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen until the block is left, then close every connection."""
        if self._listen:
            _refuse_taken_port(self._listen)
        async with self.raw.run([self._listen] if self._listen else []):
            if self._listen and not self.raw.get_transport_addrs():
                raise UnavailableError(
                    f"cannot listen on {self._listen}",
                    "stop the program that uses the port, or choose another listen address",
                )
            # The library signs its addresses into every message and works them out each time.
            addresses = self.raw.get_addrs()
            self.raw.get_addrs = lambda: addresses
            try:
                async with trio.open_nursery() as nursery:
                    self._nursery = nursery
                    nursery.start_soon(self._gate.remember)
                    yield
                    nursery.cancel_scope.cancel()
            finally:
                self._nursery = None
                with trio.move_on_after(CLOSE_SECONDS) as scope:
                    scope.shield = True
                    await self._close()

    def know(self, peer: PeerId, address: str) -> None:
        """Remember where ``peer`` listens; ``address`` may end in its ``/p2p/`` id.

        The newest address is tried first, and a few older ones after it.
        """
        if "/p2p/" in address:
            named, address = parse_address(address)
            if named != peer:
                raise ConfigurationError(
                    f"the address of {peer_text(peer)} names {peer_text(named)}",
                    "correct the peer id or the address",
                )
        older = (known for known in self._addresses.get(peer, ()) if known != address)
        self._addresses[peer] = (address, *older)[:ADDRESSES_MAX]
        self._addresses.move_to_end(peer)
        while len(self._addresses) > PEERS_MAX:
            self._addresses.popitem(last=False)

    def hint(self, peer: PeerId, address: str) -> None:
        """Remember one address of ``peer`` that nobody answers for, to be tried last."""
        _, self._hints[peer] = parse_address(address)
        self._hints.move_to_end(peer)
        while len(self._hints) > PEERS_MAX:
            self._hints.popitem(last=False)

    def knows(self, peer: PeerId) -> bool:
        """Tell whether an address of ``peer`` is known."""
        return peer in self._addresses or peer in self._hints

    def is_connected(self, peer: PeerId) -> bool:
        return any(not conn.is_closed for conn in self._swarm.get_connections(ID(peer)))

    def connected(self) -> frozenset[PeerId]:
        """Return the peers with a connection that is open."""
        return frozenset(
            PeerId(connection.muxed_conn.peer_id.to_bytes())
            for connection in self._swarm.get_connections()
            if not connection.is_closed
        )

    def admit_only(self, members: frozenset[PeerId]) -> None:
        """Refuse all but ``members`` from now on, and let go of others that are connected."""
        self._gate.admit_only(members)
        for peer in self.connected():
            if not self._gate.admits(peer):
                self._expel(peer)

    async def connect(self, peer: PeerId) -> None:
        """Dial ``peer`` unless it is connected; raises ``PeerUnreachableError``."""
        if not self._gate.admits(peer):
            raise PeerUnreachableError(peer, "banned, or no member")
        if self.is_connected(peer):
            return None
        addresses = [*self._addresses.get(peer, ())]
        addresses += [self._hints[peer]] if peer in self._hints else []
        fault = PeerUnreachableError(peer, "no address is known")
        for address in addresses:
            async with DIALS.turn():
                if self.is_connected(peer):
                    return None
                try:
                    return await self._dial(peer, address)
                except PeerUnreachableError as unreachable:
                    fault = unreachable
        raise fault

    async def _dial(self, peer: PeerId, address: str) -> None:
        name = ID(peer)
        # One fresh address: the library dials only the first that it holds, then blocks for 60 s.
        self.raw.get_peerstore().clear_addrs(name)
        self._swarm.unblock_peer(name)
        try:
            with trio.fail_after(DIAL_SECONDS):
                await self.raw.connect(PeerInfo(name, [Multiaddr(address)]))
        except trio.TooSlowError as fault:
            raise PeerUnreachableError(peer, f"no answer in {DIAL_SECONDS:.0f} s") from fault
        except (*LIBRARY_FAULTS, MultiaddrFault) as fault:
            raise PeerUnreachableError(peer, str(fault)) from fault

    async def open_stream(self, peer: PeerId, protocol: str) -> Stream:
        """Open a stream, dialling first if needed; raises ``PeerUnreachableError``."""
        await self.connect(peer)
        try:
            with trio.fail_after(OPEN_SECONDS):
                return Stream(await self.raw.new_stream(ID(peer), [TProtocol(protocol)]))
        except trio.TooSlowError as fault:
            raise PeerUnreachableError(peer, f"no stream in {OPEN_SECONDS:.0f} s") from fault
        except LIBRARY_FAULTS as fault:
            raise PeerUnreachableError(peer, f"{type(fault).__name__} {fault}") from fault

    def serve(self, protocol: str, handler: Handler) -> None:
        """Run ``handler`` for each stream that a peer opens; its faults end that stream only."""

        async def guarded(raw: INetStream) -> None:
            stream = Stream(raw)
            try:
                await handler(stream)
            except Exception as fault:  # a library task's root: it kills the host
                log.debug("handler failed protocol=%s cause=%r", protocol, fault)
                await stream.reset()

        self.raw.set_stream_handler(TProtocol(protocol), guarded)

    def _guard_connections(self) -> None:
        """Turn away whom the gate does not admit, once noise has proven who it is."""
        upgrader = self._swarm.upgrader
        secure = upgrader.upgrade_security

        async def admitted(
            raw: IRawConnection, is_initiator: bool, peer_id: ID | None = None
        ) -> ISecureConn:
            source, _ = raw.get_remote_address() or ("", 0)
            if is_initiator:
                connection = await secure(raw, is_initiator, peer_id)
            else:
                with self._handshakes.one_from(source) as scope:
                    connection = await secure(raw, is_initiator, peer_id)
                if scope.cancelled_caught:
                    raise SecurityUpgradeFailure("too many handshakes are under way")
            peer = PeerId(connection.get_remote_peer().to_bytes())
            if not self._gate.admits(peer):
                await connection.close()
                raise SecurityUpgradeFailure(f"{peer_text(peer)} is not admitted")
            return connection

        async def muxed(secured: ISecureConn, peer_id: ID) -> IMuxedConn:
            """Take our class, where the library would take its own whatever it was given."""
            try:
                muxer = await upgrader.muxer_multistream.select_transport(secured)
            except MultiselectError as fault:
                raise MuxerUpgradeFailure("no multiplexer in common") from fault
            return muxer(secured, peer_id)

        upgrader.upgrade_security = admitted
        upgrader.upgrade_connection = muxed

    def _guard_streams(self) -> None:
        """Count streams before they are negotiated: each is a task, whatever it asks for."""
        handle = self._swarm.common_stream_handler

        async def counted(raw: INetStream) -> None:
            peer = PeerId(raw.muxed_conn.peer_id.to_bytes())
            if not self._gate.admits(peer):
                # It was turned away after noise had proven it, and before it was connected.
                self._expel(peer)
                return
            with self._quota.stream(peer, trio.current_time()) as is_free:
                if is_free:
                    await handle(raw)
                else:
                    await Stream(raw).reset()

        self._swarm.set_stream_handler(counted)

    def _expel(self, peer: PeerId) -> None:
        """Close the connections of ``peer``, a moment later."""
        if self._nursery is not None:
            for connection in self._swarm.get_connections(ID(peer)):
                self._nursery.start_soon(_close_connection, connection)

    async def _close(self) -> None:
        # Each connection takes the library 0.1 s to close, so all of them close at once.
        async with trio.open_nursery() as nursery:
            for connection in self._swarm.get_connections():
                nursery.start_soon(_close_connection, connection)
        await self.raw.close()


def _identify_nobody(*_: object, **__: object) -> None:
    return


async def _connect_nobody(*_: object, **__: object) -> None:
    return


async def _close_connection(connection: INetConn) -> None:
    try:
        await connection.close()
        # A close that the peer's own interrupted returns at once and may leave the socket open.
        await connection.muxed_conn.secured_conn.close()
    except LIBRARY_FAULTS as fault:
        log.debug("connection closed badly cause=%r", fault)
