"""What must stay inside is planted, a demo with directories is run, and everything is searched."""

import base64
import json
import re
import shutil
import struct
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.deep.guarded_task import PASSWORD, PATIENT
from tests.e2e.demo_process import run_demo

KEY_FILES = ("signing.key", "network.key", "owner.key", "secrets.key")
ROOT = Path(__file__).resolve().parent
PROGRAM = [sys.executable, "-m", "flocknode"]
TOKEN = "eyJhbGciOiJub25lIn0-canary-4711"
CREDENTIAL = "swordfish-of-the-operator"
"""What the address of an endpoint carries in a configuration: in its path, before its host."""


class Gateway(ThreadingHTTPServer):
    """A chain endpoint that wants to know who asks, and answers nobody."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Refusal)
        self.seen = []

    @property
    def address(self):
        return f"http://ward:{CREDENTIAL}@127.0.0.1:{self.server_port}/v3/{TOKEN}?key={TOKEN}"


class Refusal(BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.seen.append((self.path, self.headers.get("Authorization", "")))
        self.send_error(401)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def gateway():
    with Gateway() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def configured(ran, gateway, tmp_path_factory):
    """Return what nodes and an audit leave that were told of an endpoint with credentials."""
    copy = tmp_path_factory.mktemp("configured") / "kept"
    shutil.copytree(ran[0], copy)
    files = sorted(copy.rglob("flocknode.toml"))
    planted = f"rpc = {json.dumps([gateway.address])}"
    for file in files:
        file.write_text(re.sub("(?m)^rpc = .*$", planted, file.read_text()))
    nodes = [*PROGRAM, "run", *(str(file.parent) for file in files), "--json", "--debug"]
    audit = [*PROGRAM, "audit", "verify", str(copy), "--rpc", gateway.address, "--json"]
    printed = said(nodes, gateway) + said(audit, gateway)
    return {**contents(copy), "printed": printed}


def said(command, gateway):
    """Return what a command prints until it gives up."""
    gateway.seen.clear()
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=240, check=False
    )
    printed = done.stdout
    assert done.returncode != 0
    assert gateway.seen, printed
    for path, authorization in gateway.seen:
        assert path == f"/v3/{TOKEN}?key={TOKEN}"
        assert base64.b64decode(authorization.split()[1]) == f"ward:{CREDENTIAL}".encode()
    assert b"127.0.0.1" in printed, "it says which endpoint it is"
    return printed


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Run a demo and return the directory that it kept, and what it printed."""
    directory = tmp_path_factory.mktemp("canary") / "kept"
    options = ["--task", f"{ROOT / 'guarded_task.py'}:Guarded", "--rounds", "2", "--debug"]
    options += [
        "--suite",
        "mlkem768-x25519",
        "--trainers",
        "3",
        "--columns",
        "2",
        "--seats",
        "1",
        "--keep",
        str(directory),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOSPITAL_DATABASE_PASSWORD", PASSWORD)
        done = run_demo(*options)
    assert done.code == 0, done.stderr[-3000:]
    (start,) = done.of("start")
    assert start["suite"] == "mlkem768-x25519"
    assert done.summary["rounds_verified"] == 2
    return directory, "\n".join(map(str, done.events)) + done.stderr


def contents(directory):
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def left(ran):
    """Return by name all that a run leaves: what it printed, and the files of its directories."""
    directory, printed = ran
    return {**contents(directory), "printed": printed.encode()}


def spellings(secret):
    """Return how bytes may look in text and in binary files."""
    yield secret
    for text in (secret.hex(), secret.hex().upper(), repr(secret)[2:-1]):
        yield text.encode()
    for skipped in range(3):  # base64 at each alignment, without the ends that neighbours change
        yield base64.b64encode(bytes(skipped) + secret)[4:-4]


def places(left, *secrets):
    return {
        name
        for name, content in left.items()
        if any(form in content for secret in secrets for form in spellings(secret))
    }


def test_a_run_leaves_logs_journals_blobs_and_sealed_files(left):
    suffixes = {Path(name).suffix for name in left}
    assert {".sqlite", ".toml", ".json", ".key", ".npz"} <= suffixes
    assert any("blobs" in name for name in left)
    assert b"round" in left["printed"]


def test_patients_values_stay_in_their_files(left):
    numbers = [struct.pack(kind, *PATIENT) for kind in ("<2f", ">2f", "<2d", ">2d")]
    texts = [f"{value:.6f}"[:-1].encode() for value in PATIENT]
    shards = {name for name in left if name.endswith("shard.npz")}
    assert len(shards) == 3
    assert places(left, *numbers, *texts) == shards


def test_a_password_of_the_task_and_of_the_environment_is_nowhere(left):
    assert places(left, PASSWORD.encode()) == set()


def test_a_key_is_in_its_own_files_only(left):
    keys = {name: content for name, content in left.items() if name.endswith(KEY_FILES)}
    assert len(keys) >= 5 * 2
    for name, content in keys.items():
        text = content.strip()
        secret = bytes.fromhex(text.decode()) if len(text) == 64 else content
        assert len(secret) == 32, name
        # An organisation's validators share their owner's key.
        holders = places(left, secret)
        assert name in holders
        assert {Path(holder).name for holder in holders} == {Path(name).name}


def test_credentials_of_an_endpoint_stay_in_the_configuration(configured):
    holders = places(configured, TOKEN.encode(), CREDENTIAL.encode(), f"ward:{CREDENTIAL}".encode())
    files = {name for name in configured if name.endswith("flocknode.toml")}
    assert len(files) >= 5
    assert holders == files
