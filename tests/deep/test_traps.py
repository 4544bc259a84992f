"""Each repair of the network and of the chain's side is needed: without it a test fails."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.mutants.catalogue import ROOT, Change, traps

COPIED = ("flocknode", "tests", "pyproject.toml")
HUNG = -1
SECONDS_MAX = 100


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("traps")
    listing = subprocess.run(
        ["git", "ls-files", "-z", *COPIED], cwd=ROOT, check=True, capture_output=True
    )
    for name in filter(None, listing.stdout.decode().split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    return folder


def run(folder: Path, tests: Sequence[str], seconds: float) -> int:
    """Return pytest's exit code, or that the tests hung."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return HUNG
    assert done.returncode in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}, done.stdout
    return done.returncode


def test_all_tests_that_notice_pass_as_things_are(copy: Path, record_property) -> None:
    tests = sorted({trap.killed_by for trap in traps()})
    assert run(copy, tests, 5 * SECONDS_MAX) == pytest.ExitCode.OK
    record_property("tests", len(tests))


@pytest.mark.parametrize("trap", traps(), ids=lambda trap: trap.name.replace(" ", "-"))
def test_a_test_fails_without_the_repair(trap: Change, copy: Path) -> None:
    path = copy / "flocknode" / trap.file
    whole = path.read_bytes()
    trap.plant(copy / "flocknode")
    try:
        assert run(copy, [trap.killed_by], SECONDS_MAX) in {pytest.ExitCode.TESTS_FAILED, HUNG}
    finally:
        path.write_bytes(whole)
