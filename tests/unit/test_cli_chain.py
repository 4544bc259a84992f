"""``flocknode chain``: rounds verified and signed from the command line."""

import json

import pytest
from typer.testing import CliRunner, Result

from flocknode.cli.main import app
from tests.unit.test_chain_drand import RANDOMNESS, ROUND, SIGNATURE

YEAR_2100 = 4_102_444_800


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["chain", *arguments])


def answer(result: Result) -> dict:
    return json.loads(result.stdout)


def test_a_published_round_verifies_from_the_command_line():
    result = run("drand", "--round", str(ROUND), "--signature", "0x" + SIGNATURE.hex(), "--json")
    assert result.exit_code == 0
    assert answer(result) == {
        "event": "drand",
        "round": ROUND,
        "verified": True,
        "randomness": "0x" + RANDOMNESS,
    }


@pytest.mark.parametrize(
    ("arguments", "code", "cause"),
    [
        (("--round", "1000", "--signature", SIGNATURE.hex()[:-2]), 1, "48 bytes, not 47"),
        (("--round", "1000", "--signature", "c0" + 47 * "00"), 1, "no point of the group"),
        (("--round", "0", "--signature", SIGNATURE.hex()), 2, "no round 0"),
        (("--round", "1000", "--signature", "xyz"), 2, "--signature is not hexadecimal"),
        (("--round", "1", "--signature", SIGNATURE.hex(), "--key", "00"), 78, "public key"),
    ],
)
def test_what_does_not_verify_says_why_and_what_to_do(arguments, code, cause):
    result = run("drand", *arguments, "--json")
    assert result.exit_code == code
    assert cause in answer(result)["cause"]
    assert answer(result)["remedy"]


def test_a_consortium_signs_rounds_that_are_due_and_no_others(tmp_path):
    file = str(tmp_path / "rounds.key")
    public = answer(run("drand-key", file, "--json"))["public_key"]
    secret = (tmp_path / "rounds.key").read_text().strip()
    due = run("drand-sign", file, "--round", "7", "--genesis", "1", "--period", "3", "--json")
    signed = answer(due)
    assert secret not in due.output
    assert len(bytes.fromhex(signed["proof"][2:])) == 96
    checked = run(
        *("drand", "--round", "7", "--signature", signed["signature"], "--key", public, "--json")
    )
    assert answer(checked)["verified"]
    clock = ("--genesis", str(YEAR_2100), "--period", "3")
    early = run("drand-sign", file, "--round", "1", *clock, "--json")
    assert early.exit_code == 75
    assert "due" in answer(early)["cause"]
    assert run("drand-key", file).exit_code == 78


@pytest.mark.parametrize("name", ["nowhere/key", "name" * 100])
def test_key_that_cannot_be_written_is_one_line(tmp_path, name):
    result = run("drand-key", str(tmp_path / name))
    assert result.exit_code == 78
    assert [line.split()[0] for line in result.stderr.splitlines()] == ["error", "remedy"]
