"""Whatever an endpoint answers, or a file says, ends as an error that names whose fault it is."""

import json
import subprocess
import sys

import pytest

from flocknode.chain.bindings import Bindings
from flocknode.chain.client import ChainClient, _result
from flocknode.chain.deployment import CONTRACTS, Deployment, load_deployment
from flocknode.chain.drand_rounds import RoundProver
from flocknode.chain.errors import MalformedAnswer, RpcFailed, reading
from flocknode.chain.heads import Heads
from flocknode.chain.onion import TIP_BYTES, Onion
from flocknode.chain.reader import Reader
from flocknode.chain.sender import Sender
from flocknode.crypto.hashing import keccak256, sha256
from flocknode.crypto.signing import new_signing_key
from flocknode.errors import ConfigurationError
from flocknode.primitives import Address
from tests.contracts.test_chain_client import endpoint

ADDRESSES = {name: Address(bytes([i]) * 20) for i, name in enumerate(CONTRACTS, 1)}
DEPLOYMENT = Deployment(1, 0, ADDRESSES, dict.fromkeys(CONTRACTS, sha256(b"code")))
NESTED = """
import json
import flocknode.chain.drand_rounds
try:
    json.loads("[" * 200_000)
except RecursionError:
    print("refused")
"""


def test_brackets_without_end_are_an_error_and_not_the_end_of_the_process():
    command = [sys.executable, "-c", NESTED]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "refused\n")


@pytest.mark.parametrize(
    "changes",
    [
        {"address": 5},
        {"address": None},
        {"topics": 5},
        {"topics": [5]},
        {"data": 5},
        {"data": "0xzz"},
    ],
)
def test_log_of_another_shape_is_malformed(changes):
    bindings = Bindings(DEPLOYMENT)
    topic = next(iter(bindings.artifacts[0].events))
    log = {"address": "0x" + "01" * 20, "topics": ["0x" + topic.hex()], "data": "0x", **changes}
    with pytest.raises(MalformedAnswer), reading("a log"):
        bindings.decode(log)


@pytest.mark.parametrize(
    ("said", "data"),
    [("0x08c379a0", "0x08c379a0"), ("0xzz", "0x"), ("Reverted", "0x"), (5, None), (None, None)],
)
def test_what_a_revert_brought_is_hexadecimal_or_nothing(said, data):
    with pytest.raises(RpcFailed) as caught:
        _result("eth_call", {"error": {"code": 3, "message": "reverted", "data": said}})
    assert caught.value.data == data


def test_message_of_an_endpoint_cannot_steer_the_terminal():
    with pytest.raises(RpcFailed) as caught:
        _result("eth_call", {"error": {"message": "\x1b[2Jgone\n\u202e"}})
    assert caught.value.message == "[2Jgone"


def contract(**changes):
    return {"address": "0x" + "01" * 20, "code": "0x" + "02" * 32, **changes}


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "[]",
        '{"contracts": 5}',
        json.dumps({"chain_id": 1e999, "block": 0, "contracts": {}}),
        *(
            json.dumps(
                {
                    **DEPLOYMENT.content(),
                    "contracts": {**DEPLOYMENT.content()["contracts"], "RoundPay": wrong},
                }
            )
            for wrong in (5, {}, contract(address=5), contract(address="0x01"), contract(code="0x"))
        ),
    ],
)
def test_file_that_describes_no_deployment_is_one_sentence(tmp_path, text):
    path = tmp_path / "network.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="describes no deployment"):
        load_deployment(path)


def layers(count: int) -> list[bytes]:
    """Tips of one onion, the outermost first; the secret is the last."""
    chain = [bytes(32)]
    for _ in range(count):
        chain.append(keccak256(chain[-1]))
    return chain[::-1]


def test_onion_believes_the_tip_that_most_report_else_the_one_that_gives_least_away():
    outer, middle, inner, *_ = layers(5)
    onion = Onion(bytes(32), 5)
    assert onion.choose([inner, middle, middle]) == middle[:TIP_BYTES]
    assert onion.choose([inner, outer]) == outer[:TIP_BYTES]
    assert onion.choose([middle, inner, outer]) == outer[:TIP_BYTES]
    stranger = b"\x07" * TIP_BYTES
    assert onion.choose([stranger, middle]) == middle[:TIP_BYTES]
    assert onion.choose([stranger]) == stranger


async def test_endpoint_that_knows_of_no_validators_gives_nobody_a_turn():
    with endpoint(json.dumps({"id": 0, "result": "0x" + "00" * 32}).encode()) as (port, _):
        async with ChainClient(f"http://127.0.0.1:{port}") as client:
            sender = Sender(client, Heads(client), new_signing_key(), 1)
            reader = Reader(client, DEPLOYMENT)
            prover = RoundProver(reader, Heads(client), Bindings(DEPLOYMENT), sender, 1, ())
            assert not await prover._is_my_turn(request=3)
