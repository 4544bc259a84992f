"""``flocknode run`` and ``flocknode consent`` as their users start them."""

import subprocess
import sys

PROGRAM = [sys.executable, "-m", "flocknode"]


def test_directory_without_a_node_is_refused_in_two_lines(tmp_path):
    done = subprocess.run(
        [*PROGRAM, "run", str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 78
    cause, remedy = done.stderr.strip().splitlines()
    assert cause.split()[0] == "error"
    assert "flocknode.toml" in cause
    assert remedy.split()[0] == "remedy"


def test_consent_is_kept_in_the_directory(tmp_path):
    done = subprocess.run(
        [*PROGRAM, "consent", str(tmp_path), "3"], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0
    # Rounds count from 1 on the command line and from 0 on the chain.
    assert (tmp_path / "consent").read_text() == "2 1\n"
