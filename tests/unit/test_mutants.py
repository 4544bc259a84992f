"""Mutants and repairs to take away speak of the present sources, tests and claims."""

import re

from tests.mutants.catalogue import ROOT, SOURCES, mutants, traps

CONTRACTS = ROOT / "contracts"
README = (CONTRACTS / "README.md").read_text(encoding="utf-8")
PROOFS = {
    "equivocation", "bad inclusion", "wrong weight", "wrong mask sum", "wrong aggregate",
    "wrong step", "withheld tree", "silence", "demand",
}  # fmt: skip


def invariants() -> set[str]:
    section = README.partition("## Invariants\n")[2].partition("\n## ")[0]
    rows = section.partition("|---|---|\n")[2].partition("\n\n")[0]
    return {row.split("|")[1].strip() for row in rows.splitlines()}


def test_each_mutant_changes_one_line_that_the_sources_have_once():
    for mutant in mutants():
        assert (SOURCES / mutant.file).read_text(encoding="utf-8").count(mutant.old) == 1, mutant
        old, new = mutant.old.splitlines(), mutant.new.splitlines()
        assert sum(a != b for a, b in zip(old, new, strict=True)) == 1, mutant


def test_each_invariant_and_each_proof_has_a_mutant():
    claims = {mutant.claim for mutant in mutants()}
    assert len(invariants()) >= 17
    assert invariants() | PROOFS <= claims


def test_the_tests_that_kill_exist():
    text = "\n".join(path.read_text(encoding="utf-8") for path in CONTRACTS.glob("test/*.sol"))
    for mutant in mutants():
        assert re.search(rf"contract {mutant.contract} ", text), mutant
        assert f"function {mutant.test}(" in text, mutant


def test_the_table_in_the_readme_is_the_list():
    rows = [f"| {m.name} | {m.claim} | `{m.killed_by}` |" for m in mutants()]
    assert len({mutant.name for mutant in mutants()}) == len(rows)
    table = README.partition("| mutant | breaks | killed by |\n|---|---|---|\n")[2]
    assert table.partition("\n\n")[0].splitlines() == rows


def test_each_repair_stands_once_and_the_test_that_misses_it_exists():
    assert len({trap.name for trap in traps()}) == len(traps())
    for trap in traps():
        source = (ROOT / "flocknode" / trap.file).read_text(encoding="utf-8")
        assert source.count(trap.old) == 1, trap
        file, _, name = trap.killed_by.partition("::")
        assert f"def {name}" in (ROOT / file).read_text(encoding="utf-8"), trap
