"""JSON-RPC over HTTP from trio: blocking sockets in worker threads, kept alive between calls.

No general client library stands in between: 24 nodes of one process poll a block of 0.2 s each,
and a library's formatters and sessions cost several times what the call itself does.
"""

import base64
import http.client
import itertools
import json
import threading
from collections.abc import Sequence
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import trio

from flocknode.chain.errors import EndpointUnreachable, RpcFailed
from flocknode.errors import ConfigurationError

CALL_SECONDS_MAX = 15.0
ATTEMPTS = 4
BACKOFF_SECONDS = 0.1
THREADS_MAX = 4
RESPONSE_BYTES_MAX = 32 << 20
BATCH_MAX = 100

Json = Any
Request = tuple[str, Sequence[Json]]


class ChainClient:
    """One endpoint. Every call is retried, so only what may be repeated belongs here."""

    def __init__(self, url: str, attempts: int = ATTEMPTS) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigurationError(f"{url} is no http or https URL", "correct chain.url")
        self._host = parts.hostname
        self._port = parts.port
        self._secure = parts.scheme == "https"
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._headers = {"Content-Type": "application/json"}
        if parts.username is not None:
            user = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            self._headers["Authorization"] = "Basic " + base64.b64encode(user).decode()
        self.name = (
            f"{parts.scheme}://{parts.hostname}:{parts.port or (443 if self._secure else 80)}"
        )
        """The endpoint without path and credentials, which often carry an access token."""
        self._attempts = attempts
        self._limiter = trio.CapacityLimiter(THREADS_MAX)
        self._idle: list[http.client.HTTPConnection] = []
        self._ids = itertools.count(1)
        self._closed = False
        self._lock = threading.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    async def call(self, method: str, *params: Json) -> Json:
        """Return the result of one call; raises EndpointUnreachable or RpcFailed."""
        reply = await self._exchange(self._request(method, params))
        return _result(method, reply)

    async def batch(self, requests: Sequence[Request]) -> list[Json]:
        """Return the results of several calls, in order; the first failure raises RpcFailed."""
        results: list[Json] = []
        for start in range(0, len(requests), BATCH_MAX):
            results += await self._batch(requests[start : start + BATCH_MAX])
        return results

    async def _batch(self, requests: Sequence[Request]) -> list[Json]:
        sent = [self._request(method, params) for method, params in requests]
        replies = await self._exchange(sent)
        if not isinstance(replies, list):
            return [_result("batch", replies)]
        by_id = {reply.get("id"): reply for reply in replies if isinstance(reply, dict)}
        return [_result(one["method"], by_id.get(one["id"])) for one in sent]

    def _request(self, method: str, params: Sequence[Json]) -> dict[str, Json]:
        return {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}

    async def _exchange(self, request: Json) -> Json:
        body = json.dumps(request, separators=(",", ":")).encode()
        detail = "no answer in time"
        with trio.move_on_after(CALL_SECONDS_MAX):
            for attempt in range(self._attempts):
                if attempt:
                    await trio.sleep(BACKOFF_SECONDS * 2 ** (attempt - 1))
                try:
                    # libp2p brings stubs that describe an older trio.
                    return await trio.to_thread.run_sync(  # type: ignore[call-arg]
                        self._post, body, limiter=self._limiter, abandon_on_cancel=True
                    )
                except (OSError, http.client.HTTPException, ValueError) as error:
                    detail = str(error) or type(error).__name__
        raise EndpointUnreachable(self.name, detail)

    def _post(self, body: bytes) -> Json:
        """Exchange one body in a worker thread; replace an idle connection that was closed."""
        connection = self._take()
        if connection is not None:
            try:
                return self._talk(connection, body)
            except (ConnectionError, http.client.BadStatusLine):
                connection.close()
        return self._talk(self._connect(), body)

    def _talk(self, connection: http.client.HTTPConnection, body: bytes) -> Json:
        try:
            connection.request("POST", self._path, body, self._headers)
            response = connection.getresponse()
            reply = _read_reply(response)
        except BaseException:
            connection.close()
            raise
        self._give(connection)
        return reply

    def _connect(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        return kind(self._host, self._port, timeout=CALL_SECONDS_MAX)

    def _take(self) -> http.client.HTTPConnection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _give(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()


def _read_reply(response: http.client.HTTPResponse) -> Json:
    content = response.read(RESPONSE_BYTES_MAX)
    if response.status != http.client.OK or not response.isclosed():
        raise http.client.HTTPException(f"HTTP status {response.status}")
    return json.loads(content)


def _result(method: str, reply: Json) -> Json:
    if not isinstance(reply, dict):
        raise RpcFailed(method, 0, "no answer in the reply")
    if "error" in reply:
        error = reply["error"] if isinstance(reply["error"], dict) else {}
        message = str(error.get("message", "no message"))
        raise RpcFailed(method, int(error.get("code", 0)), message, error.get("data"))
    return reply.get("result")
