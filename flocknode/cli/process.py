"""How a process that runs nodes is set up. Cheap to import."""

import gc
import sys

SWITCH_SECONDS = 0.0005


def tune_process() -> None:
    """Spare the collector the modules, and let it run less often: it took a tenth of all time.

    It takes as much of the time that modules take to load: call this before and after.

    A thread that comes back from the disk waits one switch interval for a busy loop, several times
    for each statement that is signed: by default 5 ms, which made rounds longer.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
