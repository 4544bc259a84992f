"""drand's rounds for draws that wait for them: fetched, checked by the chain's key, proven.

Whoever proves a round first is paid for it, so validators take turns; nobody needs to be trusted,
since the contract's own view checks a signature before it is sent.
"""

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

import trio
import urllib3
from urllib3.exceptions import HTTPError, LocationParseError
from urllib3.util import parse_url

from flocknode.chain.bindings import Bindings
from flocknode.chain.errors import (
    CallReverted,
    EndpointUnreachable,
    MalformedAnswer,
    RoundNotVerified,
    RpcFailed,
    TransactionLost,
    TransactionRefused,
)
from flocknode.chain.heads import Heads
from flocknode.chain.reader import Reader
from flocknode.chain.sender import Sender
from flocknode.errors import ConfigurationError

ROUND_BYTES_MAX: Final = 4096
"""A round is some 250 bytes of JSON; chained schemes add the signature before."""
FETCH_SECONDS_MAX: Final = 5.0
LOOK_SECONDS: Final = 1.0
TURN_SECONDS: Final = 2.0
PROVE_GAS: Final = 1_000_000
PASSING: Final = (
    *(EndpointUnreachable, RpcFailed, MalformedAnswer),
    *(CallReverted, TransactionLost, TransactionRefused),
)
_REQUEST, _NEXT_REQUEST = 6, 13
"""Places in the contracts' ``Attempt``."""


class RoundSource(Protocol):
    """Somebody who may have a round's signature."""

    def fetch(self, round_number: int) -> bytes | None:
        """Return 48 bytes that nobody has checked, or None; blocks for a few seconds at most."""


class HttpRounds:
    """An HTTP endpoint of drand's shape: ``URL/public/ROUND`` answers with JSON."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._pool = urllib3.PoolManager(maxsize=1, timeout=FETCH_SECONDS_MAX, retries=False)

    def fetch(self, round_number: int) -> bytes | None:
        try:
            response = self._pool.request(
                "GET",
                f"{self._url}/public/{round_number}",
                redirect=False,
                preload_content=False,
            )
            content = _read_in_time(response)
        except HTTPError:
            return None
        return read_round(content, round_number) if response.status == 200 else None


class DirectoryRounds:
    """A directory in which a consortium's signer leaves ``ROUND.json``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def fetch(self, round_number: int) -> bytes | None:
        try:
            with (self._directory / f"{round_number}.json").open("rb") as file:
                return read_round(file.read(ROUND_BYTES_MAX + 1), round_number)
        except OSError:
            return None


def open_source(name: str, base: Path) -> RoundSource:
    """Return the source of a configured name: a URL, or a directory relative to ``base``."""
    if "://" not in name:
        return DirectoryRounds(base / name)
    try:
        parts = parse_url(name)
    except LocationParseError:
        parts = None
    if parts is None or parts.scheme not in {"http", "https"} or not parts.host:
        raise ConfigurationError(
            f"{name!r} is no source of drand's rounds", "name an http(s) URL or a directory"
        )
    return HttpRounds(name)


def read_round(content: bytes, round_number: int) -> bytes | None:
    """Return the signature in a published round, or None for anything else."""
    if len(content) > ROUND_BYTES_MAX:
        return None
    try:
        said = json.loads(content)
        if type(said) is not dict or said.get("round") != round_number:
            return None
        return bytes.fromhex(said["signature"].removeprefix("0x"))
    except (ValueError, KeyError, AttributeError, RecursionError):
        return None


class RoundProver:
    """Proves the rounds that one task's draws wait for, when it is this validator's turn."""

    def __init__(
        self,
        reader: Reader,
        heads: Heads,
        bindings: Bindings,
        sender: Sender,
        task: int,
        sources: Sequence[RoundSource],
    ) -> None:
        self._reader = reader
        self._heads = heads
        self._bindings = bindings
        self._sender = sender
        self._task = task
        self._sources = sources
        self._due: dict[int, float] = {}
        """When each request of the attempt was first seen to be due."""

    async def run(self) -> None:
        """Look for ever; what the chain or a source does not answer is asked again."""
        while True:
            # Somebody else's proof, a reorganisation or an outage: the next look tells.
            with suppress(*PASSING):
                await self.prove_due()
            await trio.sleep(LOOK_SECONDS)

    async def prove_due(self) -> bool:
        """Prove one round that is due, if it is this validator's turn; tell whether it did."""
        (attempt,) = await self._reader.view("RoundManager", "attemptOf", self._task)
        waiting = [number for number in (attempt[_REQUEST], attempt[_NEXT_REQUEST]) if number]
        self._due = {n: at for n, at in self._due.items() if n in waiting}
        for request in waiting:
            round_number = await self._round_due(request)
            if round_number is None or not await self._is_my_turn(request):
                continue
            if await self._prove(round_number):
                return True
        return False

    async def _round_due(self, request: int) -> int | None:
        """Return the round that a request waits for, once it is published."""
        ready, failed, _ = await self._reader.view("DrandBeacon", "seed", request)
        if ready or failed:
            return None
        round_number, _ = await self._reader.view("DrandBeacon", "requestOf", request)
        (published,) = await self._reader.view("DrandBeacon", "timeOf", round_number)
        return int(round_number) if self._heads.newest.timestamp >= published else None

    async def _is_my_turn(self, request: int) -> bool:
        """Rank validators anew for each request; the next one waits longer."""
        since = self._due.setdefault(request, trio.current_time())
        (count,) = await self._reader.view("StakeRegistry", "validatorCount")
        me = await self._reader.validator_of(self._sender.address)
        if not count:
            # Who asks is one; an endpoint that knows of none is behind, or lies.
            return False
        rank = (me - request) % count
        return bool(trio.current_time() >= since + rank * TURN_SECONDS)

    async def _prove(self, round_number: int) -> bool:
        for source in self._sources:
            signature = await trio.to_thread.run_sync(source.fetch, round_number)
            proof = await self._check(round_number, signature)
            if proof is not None:
                call = (round_number, proof)
                request = self._bindings.request("DrandBeacon", "prove", *call, gas=PROVE_GAS)
                await self._sender.transact(request)
                return True
        return False

    async def _check(self, round_number: int, signature: bytes | None) -> bytes | None:
        """Return the proof that the contract will take, or None: its own view is asked first."""
        if signature is None:
            return None
        from flocknode.chain.drand import proof_bytes  # noqa: PLC0415  # it takes half a second

        try:
            proof = await trio.to_thread.run_sync(proof_bytes, round_number, signature)
            await self._reader.view("DrandBeacon", "verify", round_number, proof)
        except (RoundNotVerified, CallReverted):
            return None
        return proof


def _read_in_time(response: urllib3.BaseHTTPResponse) -> bytes:
    """Read at most a round, and not for longer than a fetch may take in all."""
    deadline = time.monotonic() + FETCH_SECONDS_MAX
    content = b""
    while len(content) <= ROUND_BYTES_MAX and time.monotonic() < deadline:
        part = response.read1(ROUND_BYTES_MAX + 1 - len(content))
        if not part:
            response.release_conn()
            return content
        content += part
    response.close()
    raise HTTPError("a round that is too long or too slow")
