"""A task's file is somebody else's: what it may say, and what it is refused for."""

import json
from dataclasses import replace

import pytest

from flocknode.cli.task_file import TaskFile, load_task_file
from flocknode.crypto.hashing import sha256
from flocknode.errors import ConfigurationError
from flocknode.protocol.ledger import TaskCreated
from flocknode.protocol.roster import Roster
from tests.builders import task_terms
from tests.consortium import roster

FILE = TaskFile("digits", sha256(b"layout"), sha256(b"model"), task_terms(), roster(3))


def test_file_is_read_back_as_it_was_written(tmp_path):
    path = tmp_path / "task.json"
    path.write_bytes(FILE.to_bytes())
    assert load_task_file(path) == FILE


def test_what_is_agreed_is_what_a_chain_with_this_task_tells():
    root = FILE.roster.root()
    told = TaskCreated(7, FILE.terms, sha256(FILE.to_bytes()), sha256(b"model"), root)
    assert FILE.agreed(7) == told
    assert replace(FILE, recipe="another").agreed(7) != told


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("weight", 0),
        ("weight", -1),
        ("weight", FILE.terms.integers.weight_max + 1),
        ("weight", True),
        ("trainer", "aa" * 19),
        ("trainer", "aa" * 40),
    ],
)
def test_member_that_no_roster_can_have_is_refused_in_one_line(tmp_path, field, value):
    content = json.loads(FILE.to_bytes())
    content["roster"][1][field] = value
    path = tmp_path / "task.json"
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
    with pytest.raises(ConfigurationError, match="describes no task"):
        load_task_file(path)


def test_roster_without_anybody_is_refused(tmp_path):
    path = tmp_path / "task.json"
    path.write_bytes(replace(FILE, roster=Roster(())).to_bytes())
    with pytest.raises(ConfigurationError, match="names nobody"):
        load_task_file(path)
