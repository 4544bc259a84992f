"""The client against endpoints that are absent, restarted, or answer what they should not."""

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from flocknode.chain import client as client_module
from flocknode.chain import devchain
from flocknode.chain.client import ChainClient
from flocknode.chain.devchain import development_chain
from flocknode.chain.errors import EndpointUnreachable, RpcFailed
from flocknode.errors import ConfigurationError

CALLS = [("eth_chainId", ()), ("eth_blockNumber", ())]


@contextmanager
def endpoint(body: bytes, status: int = 200) -> Iterator[tuple[int, list]]:
    """A port that always gives the same answer, and the headers of what was asked there."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.headers)
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port, asked
        finally:
            server.shutdown()
            thread.join()


async def test_an_endpoint_that_is_not_there_is_unreachable():
    async with ChainClient(f"http://127.0.0.1:{devchain._free_port(0)}") as client:
        with pytest.raises(EndpointUnreachable, match="Connection refused") as caught:
            await client.call("eth_blockNumber")
    assert caught.value.exit_code == 69


async def test_a_connection_closed_between_calls_is_replaced(tmp_path):
    async with development_chain(tmp_path) as chain:
        client = ChainClient(chain.url, attempts=1)
        await client.call("eth_chainId")
    port = int(chain.url.rsplit(":", 1)[1])
    async with development_chain(tmp_path, port=port):
        await client.call("eth_chainId")
    client.close()


async def test_results_of_a_batch_come_in_the_order_of_its_calls():
    answers = b'[{"id": 1, "result": "second"}, {"id": 0, "result": "first"}]'
    with endpoint(answers) as (port, _):
        async with ChainClient(f"http://127.0.0.1:{port}") as client:
            assert await client.batch(CALLS) == ["first", "second"]


@pytest.mark.parametrize(
    "body",
    [
        b'[{"id": 0, "result": "0x1"}]',
        b'{"id": 0, "result": "0x1"}',
        b'{"error": {"code": -32005, "message": "too many"}}',
        b'[{"id": 0, "result": "0x1"}, {"id": 1, "error": {"message": "too many"}}]',
        b'[{"id": 0, "result": "0x1"}, {"id": "one", "result": "0x1"}]',
        b'["0x1", "0x1"]',
        b"null",
    ],
)
async def test_a_batch_without_a_result_for_each_call_has_failed(body):
    with endpoint(body) as (port, _):
        async with ChainClient(f"http://127.0.0.1:{port}") as client:
            with pytest.raises(RpcFailed):
                await client.batch(CALLS)


async def test_an_answer_is_read_up_to_its_limit_and_no_further(monkeypatch):
    result = b'{"id": 0, "result": "0x1"}'
    monkeypatch.setattr(client_module, "RESPONSE_BYTES_MAX", len(result))
    for body, is_taken in ((result, True), (result + b" ", False)):
        with endpoint(body) as (port, _):
            async with ChainClient(f"http://127.0.0.1:{port}", attempts=1) as client:
                if is_taken:
                    assert await client.call("eth_chainId") == "0x1"
                    continue
                for _ in range(2):
                    with pytest.raises(EndpointUnreachable, match="too long"):
                        await client.call("eth_chainId")


@pytest.mark.parametrize(("body", "status"), [(b"", 403), (b"", 302), (b"no json", 200)])
async def test_credentials_in_an_url_reach_the_endpoint_and_no_message(body, status):
    with endpoint(body, status) as (port, asked):
        url = f"http://user:s%40cret@127.0.0.1:{port}/token"
        async with ChainClient(url, attempts=1) as client:
            with pytest.raises(EndpointUnreachable) as caught:
                await client.call("eth_chainId")
    expected = "Basic " + base64.b64encode(b"user:s@cret").decode()
    assert [headers["Authorization"] for headers in asked] == [expected]
    assert "cret" not in str(caught.value)
    assert "token" not in str(caught.value)


async def test_an_unreachable_url_keeps_its_token():
    async with ChainClient(f"http://127.0.0.1:{devchain._free_port(0)}/token", 1) as client:
        with pytest.raises(EndpointUnreachable) as caught:
            await client.call("eth_chainId")
    assert "token" not in str(caught.value)


def test_an_endpoints_name_is_its_url_without_path_and_credentials():
    client = ChainClient("https://user:secret@rpc.example/v1/token")
    assert client.name == "https://rpc.example:443"
    client.close()


@pytest.mark.parametrize("url", ["rpc.example", "ws://rpc.example", "http://"])
def test_an_url_of_another_kind_is_refused(url):
    with pytest.raises(ConfigurationError, match="no http or https URL"):
        ChainClient(url)
