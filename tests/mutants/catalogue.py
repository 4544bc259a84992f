"""Defects to plant in the contracts, one line each, and the forge test that must notice."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "contracts" / "src"
TABLES = Path(__file__).resolve().parent / "contracts"


@dataclass(frozen=True)
class Mutant:
    name: str
    claim: str
    """An invariant, a proof, a duty or a rule by its name in contracts/README.md."""
    file: str
    old: str
    new: str
    killed_by: str
    """Contract and function of the forge test."""

    @property
    def contract(self) -> str:
        return self.killed_by.partition(".")[0]

    @property
    def test(self) -> str:
        return self.killed_by.partition(".")[2]

    def plant(self, sources: Path) -> None:
        """Change the line in a copy of the sources."""
        path = sources / self.file
        text = path.read_text(encoding="utf-8")
        assert text.count(self.old) == 1, f"{self.name}: {self.file} does not say this once"
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


def mutants() -> list[Mutant]:
    tables = [tomllib.loads(path.read_text()) for path in sorted(TABLES.glob("*.toml"))]
    return [Mutant(**row) for table in tables for row in table["mutant"]]
