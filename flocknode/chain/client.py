"""JSON-RPC over HTTP from trio: a web3 provider in worker threads, its answers left raw.

Where blocks take 0.2 s the head is asked for ten times a second. A poll costs 1.0 to 1.6 ms of
processor time here and 2.1 to 2.6 ms through web3's HTTPProvider, whose sessions prepare every
request anew.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self
from urllib.parse import unquote

import trio
import urllib3
from urllib3.exceptions import HTTPError, LocationParseError
from urllib3.util import make_headers, parse_url
from web3.providers.base import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from flocknode.chain.errors import EndpointUnreachable, RpcFailed
from flocknode.errors import ConfigurationError

CALL_SECONDS_MAX = 15.0
ATTEMPTS = 4
BACKOFF_SECONDS = 0.1
THREADS_MAX = 4
RESPONSE_BYTES_MAX = 32 << 20
BATCH_MAX = 100
MESSAGE_CHARS_MAX = 300

Json = Any
Request = tuple[str, Sequence[Json]]


class Rpc(Protocol):
    """Whom the chain is asked through: one endpoint, or the first that works of several."""

    async def call(self, method: str, *params: Json) -> Json:
        """Return the result of one call; raises EndpointUnreachable or RpcFailed."""

    async def batch(self, calls: Sequence[Request]) -> list[Json]:
        """Return the results of several calls, in order; the first failure raises RpcFailed."""


class PooledProvider(JSONBaseProvider):
    """A web3 provider on one urllib3 pool: connections are kept, and replaced once closed."""

    def __init__(self, url: urllib3.util.Url, call_seconds: float) -> None:
        super().__init__()
        assert url.host is not None
        kind = urllib3.HTTPSConnectionPool if url.scheme == "https" else urllib3.HTTPConnectionPool
        self._pool = kind(
            url.host, url.port, maxsize=THREADS_MAX, timeout=call_seconds, retries=False
        )
        self._path = url.request_uri
        self._headers = {"Content-Type": "application/json"}
        if url.auth is not None:
            self._headers |= make_headers(basic_auth=unquote(url.auth))

    def close(self) -> None:
        self._pool.close()

    def make_request(self, method: RPCEndpoint, params: Json) -> RPCResponse:
        return self.decode_rpc_response(self._post(self.encode_rpc_request(method, params)))

    def make_batch_request(
        self, requests: list[tuple[RPCEndpoint, Json]]
    ) -> list[RPCResponse] | RPCResponse:
        """Return the answers in the order of the requests, or one that refuses them all."""
        replies: Json = self.decode_rpc_response(
            self._post(self.encode_batch_rpc_request(requests))
        )
        if isinstance(replies, list):
            replies.sort(key=lambda reply: reply["id"])
        answer: list[RPCResponse] | RPCResponse = replies
        return answer

    def _post(self, body: bytes) -> bytes:
        response = self._pool.urlopen(
            "POST", self._path, body, self._headers, redirect=False, preload_content=False
        )
        content = response.read(RESPONSE_BYTES_MAX + 1, decode_content=True)
        if len(content) > RESPONSE_BYTES_MAX:
            response.close()  # Its rest must not be taken for the next answer.
            raise HTTPError("an answer that is too long")
        response.release_conn()
        if response.status != 200:
            raise HTTPError(f"HTTP status {response.status}")
        return content


class ChainClient:
    """One endpoint. Every call is retried, so only what may be repeated belongs here."""

    def __init__(
        self, url: str, attempts: int = ATTEMPTS, call_seconds: float = CALL_SECONDS_MAX
    ) -> None:
        parts = _parse(url)
        self.name = f"{parts.scheme}://{parts.host}:{parts.port}"
        """The endpoint without path and credentials, which often carry an access token."""
        self._provider = PooledProvider(parts, call_seconds)
        self._attempts = attempts
        self._call_seconds = call_seconds
        self._limiter = trio.CapacityLimiter(THREADS_MAX)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._provider.close()

    async def call(self, method: str, *params: Json) -> Json:
        """Return the result of one call; raises EndpointUnreachable or RpcFailed."""
        provider = self._provider
        reply = await self._exchange(lambda: provider.make_request(RPCEndpoint(method), params))
        return _result(method, reply)

    async def batch(self, calls: Sequence[Request]) -> list[Json]:
        """Return the results of several calls, in order; the first failure raises RpcFailed."""
        results: list[Json] = []
        for start in range(0, len(calls), BATCH_MAX):
            results += await self._batch(calls[start : start + BATCH_MAX])
        return results

    async def _batch(self, calls: Sequence[Request]) -> list[Json]:
        asked = [(RPCEndpoint(method), params) for method, params in calls]
        replies = await self._exchange(lambda: self._provider.make_batch_request(asked))
        if not isinstance(replies, list) or len(replies) != len(asked):
            _result("batch", replies)
            raise RpcFailed("batch", 0, "not one answer for each call")
        return [_result(method, reply) for (method, _), reply in zip(asked, replies, strict=True)]

    async def _exchange(self, ask: Callable[[], Json]) -> Json:
        detail = "no answer in time"
        with trio.move_on_after(self._call_seconds):
            for attempt in range(self._attempts):
                if attempt:
                    await trio.sleep(BACKOFF_SECONDS * 2 ** (attempt - 1))
                try:
                    # libp2p brings stubs that describe an older trio.
                    return await trio.to_thread.run_sync(  # type: ignore[call-arg]
                        ask, limiter=self._limiter, abandon_on_cancel=True
                    )
                except (OSError, ValueError, RecursionError, HTTPError) as error:
                    detail = _cause(error)
                except (LookupError, TypeError) as error:
                    # The provider sorts a batch's answers before anybody has looked at them.
                    raise RpcFailed("batch", 0, "answers without usable ids") from error
        raise EndpointUnreachable(self.name, detail)


def _parse(url: str) -> urllib3.util.Url:
    try:
        parts = parse_url(url)
    except LocationParseError:
        parts = urllib3.util.Url()
    if parts.scheme not in {"http", "https"} or not parts.host:
        raise ConfigurationError(
            "an endpoint in rpc is no http or https URL", "correct rpc in the node's file"
        )
    return parts._replace(port=parts.port or (443 if parts.scheme == "https" else 80))


def _cause(error: BaseException) -> str:
    """Say what failed; a library's own messages may quote the URL, which may carry a token."""
    if type(error) is HTTPError:
        return str(error)
    while error.__context__ is not None:
        error = error.__context__
    return getattr(error, "strerror", None) or type(error).__name__


def _result(method: str, reply: Json) -> Json:
    if not isinstance(reply, dict):
        raise RpcFailed(method, 0, "no answer in the reply")
    if "error" in reply:
        error = reply["error"] if isinstance(reply["error"], dict) else {}
        code = error.get("code")
        message = _printable(str(error.get("message", "no message"))[:MESSAGE_CHARS_MAX])
        data = _revert_data(error.get("data"))
        raise RpcFailed(method, code if type(code) is int else 0, message, data)
    return reply.get("result")


def _printable(said: str) -> str:
    """Return one line that cannot steer the operator's terminal."""
    return " ".join("".join(it if it.isprintable() else " " for it in said).split())


def _revert_data(said: Json) -> str | None:
    """Return what a revert brought as hexadecimal, ``0x`` for text that is none."""
    if not isinstance(said, str):
        return None
    try:
        bytes.fromhex(said.removeprefix("0x"))
    except ValueError:
        return "0x"
    return said if said.startswith("0x") else "0x"
