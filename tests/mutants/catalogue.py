"""Defects to plant: a line of a contract, or a repair taken away, and the test that must notice."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "contracts" / "src"
TABLES = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Change:
    """A change of one file, and the test that fails with it."""

    name: str
    file: str
    old: str
    new: str
    killed_by: str

    def plant(self, sources: Path) -> None:
        """Change a copy of the sources."""
        path = sources / self.file
        text = path.read_text(encoding="utf-8")
        assert text.count(self.old) == 1, f"{self.name}: {self.file} does not say this once"
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


@dataclass(frozen=True)
class Mutant(Change):
    """A change of a contract's line; ``killed_by`` is contract and function of the forge test."""

    claim: str
    """An invariant, a proof, a duty or a rule by its name in contracts/README.md."""

    @property
    def contract(self) -> str:
        return self.killed_by.partition(".")[0]

    @property
    def test(self) -> str:
        return self.killed_by.partition(".")[2]


def mutants() -> list[Mutant]:
    return [Mutant(**row) for row in _rows("contracts")]


def traps() -> list[Change]:
    """Return what happens without the repairs of ``flocknode/``, each with a test's node id."""
    return [Change(**row) for row in _rows("traps")]


def _rows(folder: str) -> list[dict[str, str]]:
    tables = [tomllib.loads(path.read_text()) for path in sorted((TABLES / folder).glob("*.toml"))]
    return [row for table in tables for row in table["mutant"]]
