"""Run the checks and test tiers one after the other and print how long each took.

python scripts/run_tests.py [TIER ...]
"""

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

PYTEST = [str(BIN / "pytest"), "-q", "--no-header"]
BOTH_CORES = ["-n", "2", "--dist", "loadfile"]
"""For tests whose files do not share a chain, a port or a core's timing."""
WAITING = ["-n", "4", "--dist", "loadfile"]
"""For those of them that wait for blocks and peers half of their time."""

TIERS: dict[str, tuple[int, list[list[str]]]] = {
    "checks": (
        30,
        [
            [str(BIN / "ruff"), "check", "."],
            [str(BIN / "ruff"), "format", "--check", "."],
            [str(BIN / "mypy")],
            [str(BIN / "lint-imports")],
            [sys.executable, "-m", "tests.deep.record"],
        ],
    ),
    "core": (90, [[*PYTEST, *BOTH_CORES, "tests/unit", "tests/property", "tests/fuzz"]]),
    "network": (60, [[*PYTEST, *WAITING, "tests/network"]]),
    "contracts": (
        90,
        [
            [sys.executable, "scripts/build_contracts.py", "--test"],
            [*PYTEST, *WAITING, "tests/contracts"],
        ],
    ),
    "simulation": (60, [[*PYTEST, *BOTH_CORES, "tests/simulation", "tests/privacy"]]),
    "e2e": (90, [[*PYTEST, *BOTH_CORES, "tests/e2e"]]),
}
"""Budget in seconds on two cores, and the commands."""


def main(wanted: list[str]) -> int:
    if unknown := [name for name in wanted if name not in TIERS]:
        print(f"unknown tier {unknown[0]!r}; the tiers are {', '.join(TIERS)}", file=sys.stderr)
        return 2
    rows, failed = [], False
    for name in wanted or TIERS:
        budget, commands = TIERS[name]
        print(f"== {name}", flush=True)
        started = time.monotonic()
        codes = [subprocess.run(command, cwd=ROOT, check=False).returncode for command in commands]
        seconds = time.monotonic() - started
        failed |= any(codes)
        verdict = "FAILED" if any(codes) else "ok" if seconds <= budget else "ok, over budget"
        rows.append(f"{name:<11} {seconds:6.1f} s of {budget:3} s  {verdict}")
    print("\n".join(["", *rows]))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
