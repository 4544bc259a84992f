"""How long the demo takes from the command to its first round."""

import json
import subprocess
import sys
import time

from flocknode.cli.bench.figure import Figure

FIRST_ROUND_SECONDS_MAX = 6.0
RUN_SECONDS_MAX = 300.0


def measure_startup() -> list[Figure]:
    """Run the demo for one round twice: the second finds its files in memory. Blocks."""
    _first, cold = _run()
    opened, settled = _run()
    return [
        Figure(
            "start to the first round, warm",
            opened,
            "s",
            FIRST_ROUND_SECONDS_MAX,
            opened / FIRST_ROUND_SECONDS_MAX,
        ),
        Figure("start to the first settled round, warm", settled, "s", None, None),
        Figure("start to the first settled round, as found", cold, "s", None, None),
    ]


def _run() -> tuple[float, float]:
    """Return after how many seconds the first round could begin, and was settled."""
    command = [sys.executable, "-m", "flocknode", "demo", "--rounds", "1", "--json"]
    seconds: dict[str, float] = {}
    started = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            seconds[json.loads(line)["event"]] = time.monotonic() - started
        process.wait(RUN_SECONDS_MAX)
    return seconds["start"], seconds["round"]
