"""Noise sessions that seal and open whole batches of bytes.

The handshake is the library's. After it the library copies every byte six times and wakes the loop
four times for each message; here a batch is sealed into one buffer and leaves in one call. What is
on the wire is the same: two bytes of length, then a ChaCha20-Poly1305 message.
"""

from collections.abc import Iterable, Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from libp2p.abc import IRawConnection, ISecureConn
from libp2p.io.exceptions import ConnectionClosedError, DecryptionFailedException
from libp2p.peer.id import ID
from libp2p.security.noise.transport import Transport
from libp2p.security.secure_session import SecureSession

RECEIVED_BYTES = 1 << 16
"""Read from the socket at a time: room for more costs five times as much to come by."""
RECEIVED_BYTES_MAX = 1 << 19
"""Read at a time while so much comes that the other was filled."""
_MESSAGE_MAX = 65_535
_TAG = 16
_PLAIN_MAX = _MESSAGE_MAX - _TAG
_LENGTH = 2

Buffer = bytes | bytearray | memoryview


class NoiseTransport(Transport):  # type: ignore[misc]  # libp2p is untyped
    """The library's handshake with sessions of ours."""

    async def secure_inbound(self, conn: IRawConnection) -> ISecureConn:
        return NoiseSession(await super().secure_inbound(conn), conn)

    async def secure_outbound(self, conn: IRawConnection, peer_id: ID) -> ISecureConn:
        return NoiseSession(await super().secure_outbound(conn, peer_id), conn)


class NoiseSession(SecureSession):  # type: ignore[misc]  # libp2p is untyped
    """A connection after its handshake; one task may send while one other receives."""

    def __init__(self, agreed: SecureSession, raw: IRawConnection) -> None:
        """Take over from the session that the handshake has ``agreed`` on over ``raw``."""
        super().__init__(
            local_peer=agreed.local_peer,
            local_private_key=agreed.local_private_key,
            remote_peer=agreed.remote_peer,
            remote_permanent_pubkey=agreed.remote_permanent_pubkey,
            is_initiator=agreed.is_initiator,
            conn=agreed.conn,
        )
        states = agreed.conn.noise_state.noise_protocol
        self._raw = raw
        self._seal = _Cipher(states.cipher_state_encrypt.k)
        self._open = _Cipher(states.cipher_state_decrypt.k)
        self._room = RECEIVED_BYTES
        self._rest = b""
        """The beginning of a message that is still coming."""
        self._opened = bytearray()

    async def send(self, pieces: Iterable[Buffer]) -> None:
        """Send ``pieces`` one after the other as one run of bytes."""
        await self._raw.write(self._seal.seal(pieces))

    async def receive(self) -> list[bytes]:
        """Return what came, in order; raises ``ConnectionClosedError`` at the end."""
        if self._opened:
            left, self._opened = bytes(self._opened), bytearray()
            return [left]
        return await self._messages()

    async def write(self, data: bytes) -> None:
        await self.send([data])

    async def read(self, n: int | None = None) -> bytes:
        """Return ``n`` bytes, or what is there if ``n`` is None."""
        if n == 0:
            return b""
        while len(self._opened) < (n or 1):
            self._opened += b"".join(await self._messages())
        data = bytes(self._opened[:n])
        del self._opened[: len(data)]
        return data

    async def _messages(self) -> list[bytes]:
        while True:
            data = await self._raw.read(self._room)
            if not data:
                raise ConnectionClosedError("ended by the peer")
            self._room = RECEIVED_BYTES_MAX if len(data) >= RECEIVED_BYTES else RECEIVED_BYTES
            messages, rest = self._open.open(self._rest + data if self._rest else data)
            self._rest = bytes(rest)
            if messages:
                return messages


class _Cipher:
    """One direction: its key and how many messages went before."""

    def __init__(self, key: bytes) -> None:
        self._aead = ChaCha20Poly1305(key)
        self._count = 0

    def seal(self, pieces: Iterable[Buffer]) -> memoryview:
        """Return the messages that carry ``pieces``."""
        plain = list(_messages(pieces))
        size = sum(len(message) + _TAG + _LENGTH for message in plain)
        sealed, at = memoryview(bytearray(size)), 0
        for message in plain:
            end = at + _LENGTH + len(message) + _TAG
            sealed[at : at + _LENGTH] = (end - at - _LENGTH).to_bytes(_LENGTH, "big")
            self._aead.encrypt_into(self._nonce(), message, None, sealed[at + _LENGTH : end])
            at = end
        return sealed

    def open(self, sealed: bytes) -> tuple[list[bytes], memoryview]:
        """Return what the whole messages of ``sealed`` carry, and what is left behind them."""
        opened, left = [], memoryview(sealed)
        while len(left) >= _LENGTH:
            end = _LENGTH + int.from_bytes(left[:_LENGTH], "big")
            if end > len(left):
                break
            opened.append(self._opened(left[_LENGTH:end]))
            left = left[end:]
        return opened, left

    def _opened(self, message: memoryview) -> bytes:
        try:
            return self._aead.decrypt(self._nonce(), message, None)
        except InvalidTag as fault:
            raise DecryptionFailedException("a message that the peer did not seal") from fault

    def _nonce(self) -> bytes:
        """Return the next nonce: Noise, section 12.3."""
        nonce = bytes(4) + self._count.to_bytes(8, "little")
        self._count += 1
        return nonce


def _messages(pieces: Iterable[Buffer]) -> Iterator[Buffer]:
    """Cut ``pieces`` into as few messages as possible; long ones are not copied."""
    short = bytearray()
    for piece in pieces:
        view = memoryview(piece)
        while view:
            size = min(len(view), _PLAIN_MAX - len(short))
            if size == _PLAIN_MAX:
                yield view[:size]
            else:
                short += view[:size]
            view = view[size:]
            if len(short) == _PLAIN_MAX:
                yield short
                short = bytearray()
    if short:
        yield short
