"""Runs ``flocknode demo`` as a user would, in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

COMMAND = [sys.executable, "-m", "flocknode", "demo"]


def run_demo(*options: str, prefix: tuple[str, ...] = (), seconds: float = 300) -> "Finished":
    """Run to the end and read the JSON lines."""
    done = subprocess.run(
        [*prefix, *COMMAND, "--json", *options],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


class Finished:
    def __init__(self, code: int, stdout: str, stderr: str) -> None:
        self.code = code
        self.stderr = stderr
        self.events = [json.loads(line) for line in stdout.splitlines()]

    def of(self, kind: str) -> list[dict]:
        return [event for event in self.events if event["event"] == kind]

    @property
    def summary(self) -> dict:
        assert self.events, self.stderr
        assert self.events[-1]["event"] == "summary", (self.events[-1], self.stderr)
        return self.events[-1]


def descendants(root: int) -> set[int]:
    """Return the process ids below ``root``."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found, grown = {root}, True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return found - {root}


def wait_gone(pids: set[int], seconds: float) -> set[int]:
    """Return those of ``pids`` that still run after ``seconds``."""
    deadline = time.monotonic() + seconds
    left = pids
    while left and time.monotonic() < deadline:
        left = {pid for pid in left if _is_running(pid)}
        time.sleep(0.05)
    return left


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def interrupt(process: subprocess.Popen) -> None:
    os.kill(process.pid, signal.SIGINT)
