"""What the long tests showed, and on which sources: one small file for each file of tests.

``python -m tests.deep.record`` names the records that are missing or stale.
"""

import hashlib
import json
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEEP = Path("tests/deep")
SOURCES = ("flocknode", "contracts/src")
SOURCES_OF = {
    "bytecode": ("contracts/src", "contracts/test"),
    "model": ("tests/deep/model",),
    "mutants": ("contracts/src", "contracts/test"),
    "traps": ("flocknode/p2p", "flocknode/chain"),
}
"""What a campaign runs, where that is not the whole program."""


@dataclass(frozen=True)
class Passed:
    """One test that passed."""

    name: str
    seconds: float
    figures: Mapping[str, object]


def sources_digest(campaign: str) -> str:
    """Return SHA-256 over names and contents of its tracked sources; prose does not count."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", *SOURCES_OF.get(campaign, SOURCES)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    digest = hashlib.sha256()
    for name in sorted(listing.stdout.decode().split("\0")):
        path = ROOT / name
        if name and not name.endswith(".md") and path.is_file():
            digest.update(f"{name}\n{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def record_of(campaign: str) -> Path:
    """Return where the record of ``test_CAMPAIGN.py`` lies."""
    return ROOT / DEEP / "records" / f"{campaign}.json"


def campaigns() -> list[str]:
    return sorted(path.stem.removeprefix("test_") for path in (ROOT / DEEP).glob("test_*.py"))


def write(campaign: str, sources: str, passed: Iterable[Passed]) -> None:
    """Keep the figures: as they are for a test of one case, else minimum, median and maximum."""
    cases = defaultdict(list)
    for one in passed:
        cases[one.name.split("[")[0]].append(one)
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "sources": sources,
        "tests": {name: _summary(group) for name, group in sorted(cases.items())},
    }
    path = record_of(campaign)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def warnings() -> list[str]:
    """Return a line for each campaign whose record does not speak of these sources."""
    verdicts = {campaign: _verdict(campaign) for campaign in campaigns()}
    return [
        f"warning: {verdict}; run: make deep DEEP={DEEP}/test_{campaign}.py"
        for campaign, verdict in verdicts.items()
        if verdict
    ]


def _verdict(campaign: str) -> str | None:
    try:
        record = json.loads(record_of(campaign).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return f"no record of {campaign}"
    if record["sources"] != sources_digest(campaign):
        return f"the record of {campaign} is of other sources ({record['date']})"
    return None


def _summary(cases: list[Passed]) -> dict[str, object]:
    figures = defaultdict(list)
    for case in cases:
        for name, value in case.figures.items():
            figures[name].append(value)
    seconds = round(sum(case.seconds for case in cases), 1)
    return {"cases": len(cases), "seconds": seconds, **{n: _range(v) for n, v in figures.items()}}


def _range(values: list) -> object:
    if len(values) == 1 or not all(isinstance(value, int | float) for value in values):
        return values[0] if len(values) == 1 else sorted(set(map(str, values)))
    return [min(values), statistics.median(values), max(values)]


def main() -> None:
    try:
        lines = warnings()
    except (OSError, subprocess.CalledProcessError):
        lines = ["warning: records of the long tests can be checked in a git checkout only"]
    sys.stdout.writelines(f"{line}\n" for line in lines)


if __name__ == "__main__":
    main()
