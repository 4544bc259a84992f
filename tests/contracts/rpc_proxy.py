"""An endpoint between a node and its chain, which may lie, lag or break."""

import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Proxy:
    """Passes calls on; ``alter(call, reply)`` returns the reply that is given, None for a 503."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.url = ""
        self.asked: list[str] = []
        self.alter = lambda _call, reply: reply

    def answer(self, body: bytes) -> bytes | None:
        calls = json.loads(body)
        batch = calls if isinstance(calls, list) else [calls]
        self.asked += [call["method"] for call in batch]
        request = urllib.request.Request(
            self.upstream, body, {"Content-Type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            replies = json.loads(response.read())
        replies = replies if isinstance(replies, list) else [replies]
        replies.sort(key=lambda reply: reply["id"])
        altered = [self.alter(*pair) for pair in zip(batch, replies, strict=True)]
        if None in altered:
            return None
        return json.dumps(altered if isinstance(calls, list) else altered[0]).encode()

    def break_down(self) -> None:
        self.alter = lambda _call, _reply: None

    def recover(self) -> None:
        self.alter = lambda _call, reply: reply


@contextmanager
def proxy(upstream: str) -> Iterator[Proxy]:
    it = Proxy(upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = it.answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(503 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    it.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield it
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
