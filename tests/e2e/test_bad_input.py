"""What a user gets for input that cannot work: one line of cause, one of remedy, the exit code."""

import json
import os
import socket
import subprocess
from pathlib import Path

import pytest

from tests.e2e.demo_process import COMMAND


def refuse(*options: str, env: dict[str, str] | None = None) -> tuple[int, dict, str]:
    done = subprocess.run(
        [*COMMAND, "--json", *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **(env or {})},
    )
    assert "Traceback" not in done.stderr, done.stderr
    (line,) = done.stdout.splitlines()
    error = json.loads(line)
    assert error["event"] == "error"
    assert error["code"] == done.returncode
    for text in (error["cause"], error["remedy"]):
        assert text
        assert "\n" not in text
    return done.returncode, error, done.stderr


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
    code, error, _ = refuse(*options)
    assert code == 2
    assert words in error["cause"]


def test_an_unknown_task_is_refused_with_the_known_ones() -> None:
    code, error, _ = refuse("--task", "palmistry")
    assert code == 2
    assert "palmistry" in error["cause"]
    assert "breast-cancer" in error["remedy"]


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, error, _ = refuse("--port", str(port))
    assert code == 69
    assert str(port) in error["cause"]


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    code, error, _ = refuse("--keep", str(file / "below"))
    assert code == 69
    assert str(file) in error["cause"]


def test_a_directory_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    code, error, _ = refuse("--keep", str(tmp_path))
    assert code == 69
    assert "not empty" in error["cause"]


def test_without_a_chain_the_remedy_says_how_to_get_one() -> None:
    code, error, _ = refuse(env={"FLOCKNODE_ANVIL": "/nowhere/anvil"})
    assert code == 69
    assert "anvil" in error["cause"] + error["remedy"]
