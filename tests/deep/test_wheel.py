"""What a user installs: the wheel in a fresh environment, run far from the sources."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INSTALL_SECONDS = 900


def pip(python: Path, *arguments: str) -> None:
    command = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_the_wheel_runs_a_demo_and_an_audit_from_an_empty_directory(tmp_path: Path) -> None:
    home, empty = tmp_path / "venv", tmp_path / "empty"
    empty.mkdir()
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    pip(Path(sys.executable), "wheel", "--no-deps", "--wheel-dir", str(tmp_path), ".")
    (wheel,) = tmp_path.glob("flocknode-*.whl")
    pip(python, "install", "--constraint", "configs/constraints.txt", f"{wheel}[devchain]")
    # Neither the sources nor their environment may help.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    flocknode = str(home / "bin" / "flocknode")

    def run(*arguments: str) -> list[dict]:
        done = subprocess.run(
            [flocknode, *arguments, "--json"],
            cwd=empty,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
        return [json.loads(line) for line in done.stdout.splitlines()]

    (task,) = home.glob("lib/python3*/site-packages/flocknode/learning/tasks/digits.py")
    shape = ("--trainers", "4", "--columns", "2", "--seats", "1", "--keep", "run")
    summary = run("demo", "--rounds", "2", "--task", f"{task}:Digits", *shape)[-1]
    assert summary["rounds_verified"] == 2
    assert summary["receipts_verified"] == 8
    assert run("audit", "verify", "run")[-1]["rounds_verified"] == 2
