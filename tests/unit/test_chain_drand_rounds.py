"""Where nodes find drand's rounds, and what they take from there."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from flocknode.chain import drand_rounds
from flocknode.chain.drand_rounds import (
    ROUND_BYTES_MAX,
    DirectoryRounds,
    HttpRounds,
    open_source,
    read_round,
)
from flocknode.errors import ConfigurationError
from tests.unit.test_chain_drand import ROUND, SIGNATURE

PUBLISHED = json.dumps({"round": ROUND, "randomness": "00", "signature": SIGNATURE.hex()}).encode()


class Rounds(BaseHTTPRequestHandler):
    answers: dict[str, bytes]
    pause = 0.0

    def do_GET(self) -> None:
        body = self.answers.get(self.path)
        self.send_response(200 if body else 404)
        self.end_headers()
        for start in range(0, len(body or b""), 8 if self.pause else 1 << 20):
            if threading.Event().wait(self.pause):
                return
            try:
                self.wfile.write(body[start : start + (8 if self.pause else 1 << 20)])
            except OSError:
                return

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served() -> Iterator[tuple[type[Rounds], HttpRounds]]:
    handler = type("Handler", (Rounds,), {"answers": {}})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield handler, HttpRounds(f"http://127.0.0.1:{server.server_port}/quicknet/")
        server.shutdown()
        thread.join()


def test_a_round_is_fetched_from_an_endpoint_of_drands_shape(served):
    handler, source = served
    handler.answers = {f"/quicknet/public/{ROUND}": PUBLISHED}
    assert source.fetch(ROUND) == SIGNATURE
    assert source.fetch(ROUND + 1) is None


def test_an_answer_that_is_too_long_or_too_slow_is_dropped(served, monkeypatch):
    handler, source = served
    handler.answers = {f"/quicknet/public/{ROUND}": PUBLISHED + b" " * ROUND_BYTES_MAX}
    assert source.fetch(ROUND) is None
    monkeypatch.setattr(drand_rounds, "FETCH_SECONDS_MAX", 0.1)
    handler.pause, handler.answers = 0.05, {f"/quicknet/public/{ROUND}": PUBLISHED}
    assert source.fetch(ROUND) is None


def test_an_endpoint_that_is_down_has_no_rounds():
    assert HttpRounds("http://127.0.0.1:1").fetch(ROUND) is None


def test_a_directory_holds_what_the_signer_left(tmp_path):
    source = open_source("rounds", tmp_path)
    assert source.fetch(ROUND) is None
    (tmp_path / "rounds").mkdir()
    said = {"event": "drand_signature", "round": ROUND, "signature": "0x" + SIGNATURE.hex()}
    (tmp_path / "rounds" / f"{ROUND}.json").write_text(json.dumps(said))
    assert isinstance(source, DirectoryRounds)
    assert source.fetch(ROUND) == SIGNATURE


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[" * ROUND_BYTES_MAX,
        b"[]",
        b'"round"',
        b'{"round": 1}',
        b'{"round": 1, "signature": 7}',
        b'{"round": 1, "signature": "zz"}',
        b'{"round": 2, "signature": "00"}',
        b"\xff",
    ],
)
def test_what_is_no_published_round_is_dropped(content):
    assert read_round(content, 1) is None


@pytest.mark.parametrize("name", ["ftp://drand.example", "http://", "https://[::1"])
def test_a_source_that_is_neither_url_nor_directory_is_refused(tmp_path, name):
    with pytest.raises(ConfigurationError, match="no source of drand's rounds"):
        open_source(name, tmp_path)
