"""What must stay inside is planted, a demo with directories is run, and everything is searched."""

import base64
import struct
from pathlib import Path

import pytest

from tests.deep.guarded_task import PASSWORD, PATIENT
from tests.e2e.demo_process import run_demo

KEY_FILES = ("signing.key", "network.key", "owner.key", "secrets.key")
ROOT = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    """Return by name all that a run leaves: what it printed, and the files of its directories."""
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
    files = [path for path in directory.rglob("*") if path.is_file()]
    found = {str(path.relative_to(directory)): path.read_bytes() for path in files}
    printed = "\n".join(map(str, done.events)) + done.stderr
    return {**found, "printed": printed.encode()}


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
