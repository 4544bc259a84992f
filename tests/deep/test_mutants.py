"""One-line mutants of the contracts compile, settle honest rounds and are killed by a test."""

import pytest

from tests.deep.forge_copy import COMPILED, ForgeCopy, compile_changed
from tests.mutants.catalogue import mutants

HONEST = "HonestTest.test_two_honest_rounds_settle_and_are_paid"


@pytest.fixture(scope="session")
def forge(request) -> ForgeCopy:
    return ForgeCopy(request.config.cache.mkdir("mutants"))


def test_the_contracts_as_they_are_pass_all_tests_that_kill(forge, record_property) -> None:
    killers = sorted({mutant.killed_by for mutant in mutants()} | {HONEST})
    assert all(forge.test(killers).values())
    record_property("killers", len(killers))


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_mutant_settles_honest_rounds_and_is_killed(mutant, forge, tmp_path) -> None:
    changed = compile_changed(mutant, tmp_path)
    assert any(artifact["bytecode"] != COMPILED[n]["bytecode"] for n, artifact in changed.items())
    forge.exchange(changed)
    try:
        told = forge.test([HONEST, mutant.killed_by])
    finally:
        forge.exchange(COMPILED)
    assert told == {HONEST: True, mutant.killed_by: False}
