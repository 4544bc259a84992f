"""The machine that figures are of, and how to time things on one that others use too."""

import platform
from collections.abc import Callable, Mapping
from importlib.metadata import version
from os import cpu_count, getloadavg, sysconf
from pathlib import Path
from time import perf_counter


def fastest(deeds: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the shortest of ``repeats`` times of each deed, in seconds.

    They take turns, so that a disturbance meets all of them, and the shortest time is that of the
    least disturbed turn.
    """
    times: dict[str, float] = {}
    for _ in range(repeats):
        for name, deed in deeds.items():
            started = perf_counter()
            deed()
            seconds = perf_counter() - started
            times[name] = min(seconds, times.get(name, seconds))
    return times


def describe_machine() -> dict[str, str | int | float]:
    """Return what figures depend on and are meaningless without."""
    return {
        "processor": _processor(),
        "cores": cpu_count() or 0,
        "memory_gib": round(sysconf("SC_PAGE_SIZE") * sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load": round(getloadavg()[0], 2),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "cryptography")},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
