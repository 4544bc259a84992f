"""The contracts hash the statements that the nodes sign."""

from pathlib import Path

import pytest

from flocknode.messages.statements import Context, Include, Propose

SOURCE = Path(__file__).resolve().parents[2] / "contracts" / "src" / "libraries" / "Statements.sol"


@pytest.mark.parametrize("statement", [Context, Include, Propose])
def test_type_strings_agree_word_for_word(
    statement: type[Context] | type[Include] | type[Propose],
) -> None:
    assert f'"{statement.TYPE}"' in SOURCE.read_text(encoding="utf-8")
