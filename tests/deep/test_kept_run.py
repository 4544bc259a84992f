"""A run that the demo kept, checked as a stranger would: by the command, alone and with a chain."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from flocknode.cli.audit.directory import FOLDERS, MANIFEST, TASK, RunDirectory
from flocknode.cli.audit.verify import verify_run
from tests.contracts.conftest import running
from tests.e2e.demo_process import run_demo

ROUNDS, TRAINERS = 2, 3
FLIPS = 120


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("run")
    shape = ("--trainers", str(TRAINERS), "--columns", "2", "--seats", "1", "--chain", "pyevm")
    finished = run_demo("--rounds", str(ROUNDS), *shape, "--keep", str(path))
    assert finished.code == 0, finished.stderr[-3000:]
    assert finished.summary["rounds_verified"] == ROUNDS
    assert finished.summary["receipts_verified"] == ROUNDS * TRAINERS
    return path


def public_files(run: Path) -> Iterator[Path]:
    """Name what an auditor reads; the nodes' own directories lie beside it."""
    yield from (run / MANIFEST, run / TASK)
    for folder in FOLDERS:
        yield from sorted((run / folder).iterdir())


def audit(*arguments: str) -> tuple[int, list[dict]]:
    done = subprocess.run(
        [sys.executable, "-m", "flocknode", "audit", "verify", *arguments, "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_the_command_verifies_it_alone(kept: Path) -> None:
    code, events = audit(str(kept))
    assert code == 0
    assert events[-1]["rounds_verified"] == ROUNDS
    assert events[-1]["pay_claimed"] == events[-1]["pay_due"] != "0"


def test_the_command_verifies_it_with_the_chain_that_goes_on(kept: Path) -> None:
    with running(kept / "devchain", "pyevm", finality_blocks=2) as chain:
        code, events = audit(str(kept), "--rpc", chain.url)
    assert code == 0
    assert events[0]["rpc"] == chain.url
    assert events[-1]["rounds_verified"] == ROUNDS


def test_flipped_bytes_are_named(kept: Path) -> None:
    random, run = Random(3), RunDirectory(kept)
    files = list(public_files(kept))
    for _ in range(FLIPS):
        path = random.choice(files)
        data = path.read_bytes()
        at = random.randrange(len(data))
        path.write_bytes(data[:at] + bytes([data[at] ^ random.randrange(1, 256)]) + data[at + 1 :])
        told = [fault.file for fault in verify_run(run).faults]
        path.write_bytes(data)
        assert told == [str(path.relative_to(kept))]


def test_no_secret_lies_among_the_public_files(kept: Path) -> None:
    secrets = [path.read_bytes().strip() for path in kept.rglob("*.key")]
    assert len(secrets) >= 2 * TRAINERS
    public = b"".join(path.read_bytes() for path in public_files(kept))
    for secret in secrets:
        assert secret not in public
        with suppress(ValueError):  # Some files hold the key's bytes, others their digits.
            assert bytes.fromhex(secret.decode("ascii")) not in public
