"""Everything that fuzzing ever found worth keeping, met by the code as it is now.

``make fuzz`` adds to the corpus. Its honest messages are of one past round: their signatures still
hold there, their vectors may be unknown here.
"""

from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).resolve().parent / "corpus"


@pytest.mark.parametrize("name", TARGETS)
def test_saved_inputs_break_no_claim(name):
    paths = sorted((CORPUS / name).iterdir())
    assert len(paths) >= 3
    for path in paths:
        try:
            TARGETS[name](path.read_bytes())
        except Exception as error:
            error.add_note(f"input: {path}")
            raise


def test_every_folder_of_the_corpus_has_its_target():
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
