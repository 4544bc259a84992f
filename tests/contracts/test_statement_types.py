"""The contracts hash the statements that the nodes sign."""

from pathlib import Path

import pytest

from flocknode.messages.statements import (
    Context,
    Header,
    Include,
    MaskRoot,
    Propose,
    SeatKey,
    Statement,
)

SOURCE = Path(__file__).resolve().parents[2] / "contracts" / "src" / "libraries" / "Statements.sol"


@pytest.mark.parametrize("statement", [Context, Header, Include, MaskRoot, Propose, SeatKey])
def test_type_strings_agree_word_for_word(
    statement: type[Statement],
) -> None:
    assert f'"{statement.TYPE}"' in SOURCE.read_text(encoding="utf-8")
