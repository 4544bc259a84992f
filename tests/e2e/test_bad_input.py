"""What a user gets for input that cannot work: one line of cause, one of remedy, the exit code."""

import json
import os
import socket
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flocknode.cli.main import app
from tests.e2e.demo_process import COMMAND


def refuse(*options: str) -> tuple[int, dict]:
    """Run the demo in this process, which saves a second for each mistake that one can make."""
    done = CliRunner().invoke(app, ["demo", "--json", *options])
    return checked(done.exit_code, done.stdout, done.stderr)


def refuse_in_a_process(*options: str, **env: str) -> tuple[int, dict]:
    done = subprocess.run(
        [*COMMAND, "--json", *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **env},
    )
    return checked(done.returncode, done.stdout, done.stderr)


def checked(code: int, stdout: str, stderr: str) -> tuple[int, dict]:
    assert "Traceback" not in stderr, stderr
    (line,) = stdout.splitlines()
    error = json.loads(line)
    assert error["event"] == "error"
    assert error["code"] == code
    for text in (error["cause"], error["remedy"]):
        assert text
        assert "\n" not in text
    return code, error


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--rounds", "0"), "rounds 0"),
        (("--trainers", "2"), "trainers 2"),
        (("--validators", "8"), "validators 8"),
        (("--columns", "7", "--seats", "4"), "columns times seats 28"),
        (("--chain", "moon"), "moon"),
        (("--timeout", "0"), "timeout"),
        (("--liar", "fib"), "fib"),
        (("--liar", "mask", "--colluding", "all"), "all"),
        (("--liar", "mask", "--seats", "2", "--validators", "9"), "2 seats"),
    ],
)
def test_an_option_out_of_its_limits_is_refused(options: tuple[str, ...], words: str) -> None:
    code, error = refuse(*options)
    assert code == 2
    assert words in error["cause"]


def test_an_unknown_task_is_refused_with_the_known_ones() -> None:
    code, error = refuse("--task", "palmistry")
    assert code == 2
    assert "palmistry" in error["cause"]
    assert "breast-cancer" in error["remedy"]


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, error = refuse_in_a_process("--port", str(port))
    assert code == 69
    assert str(port) in error["cause"]


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    code, error = refuse("--keep", str(file / "below"))
    assert code == 69
    assert str(file) in error["cause"]


def test_a_directory_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    code, error = refuse("--keep", str(tmp_path))
    assert code == 69
    assert "not empty" in error["cause"]


def test_without_a_chain_the_remedy_says_how_to_get_one() -> None:
    code, error = refuse_in_a_process(FLOCKNODE_ANVIL="/nowhere/anvil")
    assert code == 69
    assert "anvil" in error["cause"] + error["remedy"]


@pytest.mark.parametrize(
    "arguments", [("run",), ("consent", "1"), ("audit", "verify"), ("chain", "drand-key")]
)
def test_a_name_that_no_file_can_have_is_refused(arguments: tuple[str, ...]) -> None:
    verb, *rest = arguments
    name = "name" * 100
    named = [verb, name, *rest] if verb == "consent" else [*arguments, name]
    done = CliRunner().invoke(app, named)
    assert done.exit_code in {2, 78}, done.exception
    assert [line.split()[0] for line in done.stderr.splitlines()] == ["error", "remedy"]
