import numpy as np
import pytest

from flocknode.errors import UsageError
from flocknode.learning.errors import TrainingError
from flocknode.learning.shards import Shard, read_shard, write_shard
from flocknode.learning.splits import dirichlet
from flocknode.learning.task import load_task
from flocknode.learning.tasks import digits
from flocknode.learning.tasks.breast_cancer import ROWS_MIN, read_rows

TASK_FILE = """
from torch import nn
from flocknode.learning.task import Task

class Half(Task):
    def split(self, trainers, seed): ...

class Whole(Half):
    name, input_shape, classes = "whole", (4,), 2
    def model(self): return nn.Linear(4, 2)
"""


def test_unknown_task_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match="no task 'lungs'") as caught:
        load_task("lungs")
    assert "breast-cancer" in caught.value.remedy


def test_class_in_a_file_of_the_user_loads(tmp_path):
    (tmp_path / "mine.py").write_text(TASK_FILE)
    assert load_task(f"{tmp_path}/mine.py:Whole").name == "whole"


def test_a_built_in_task_is_the_same_when_named_by_its_file():
    named = load_task(f"{digits.__file__}:Digits")
    shards = [task.split(12, 0).shards for task in (named, load_task("digits"))]
    for ours, theirs in zip(*shards, strict=True):
        assert np.array_equal(ours.inputs, theirs.inputs)


@pytest.mark.parametrize(
    ("text", "name", "cause"),
    [
        (TASK_FILE, "Half", "not complete"),
        (TASK_FILE, "nn", "not a task"),
        (TASK_FILE, "Other", "not a task"),
        ("import nowhere_to_be_found", "Whole", "ModuleNotFoundError"),
        ("def", "Whole", "SyntaxError"),
    ],
)
def test_file_that_holds_no_task_is_refused(tmp_path, text, name, cause):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(UsageError, match=cause):
        load_task(f"{tmp_path}/mine.py:{name}")


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no file"):
        load_task(f"{tmp_path}/gone.py:Task")


def test_digits_are_divided_alike_whatever_the_seed():
    one, other = (load_task("digits").split(12, seed) for seed in (1, 2))
    for ours, theirs in zip(one.shards, other.shards, strict=True):
        assert np.array_equal(ours.inputs, theirs.inputs)
        assert ours.inputs.shape[1:] == (64,)
    assert sum(map(len, one.shards)) == 1437
    assert len(one.held_out) == 360
    assert np.unique(one.held_out.labels).tolist() == list(range(10))


@pytest.mark.parametrize("trainers", [3, 12, 40])
def test_every_row_has_exactly_one_place(trainers):
    split = load_task("breast-cancer").split(trainers, seed=5)
    places = [*split.shards, split.held_out]
    placed = np.concatenate([shard.inputs for shard in places])
    assert np.array_equal(_sorted(placed), _sorted(read_rows().inputs))
    assert len(split.held_out) == 71 + 42  # a fifth of 357 benign and of 212 malignant rows
    assert min(map(len, split.shards)) >= ROWS_MIN


def test_split_is_fixed_by_its_seed():
    task = load_task("breast-cancer")
    one, same, other = (task.split(12, seed) for seed in (1, 1, 2))
    assert all(
        np.array_equal(a.inputs, b.inputs) for a, b in zip(one.shards, same.shards, strict=True)
    )
    assert not np.array_equal(one.held_out.inputs, other.held_out.inputs)


def test_more_trainers_than_rows_are_refused():
    with pytest.raises(UsageError, match="not enough") as caught:
        dirichlet(np.zeros(16), 3, 1.0, 8, np.random.default_rng(0))
    assert "at most 2" in caught.value.remedy


def test_shard_file_is_private_and_returns_its_rows(tmp_path):
    path = tmp_path / "hospital" / "shard.npz"
    write_shard(path, Shard(np.eye(2, dtype=np.float32), np.array([0, 1])))
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_shard(path).inputs.tolist() == [[1, 0], [0, 1]]


def test_shard_file_with_pickled_objects_is_refused(tmp_path):
    objects = np.array([{}, {}], dtype=object)
    np.savez(tmp_path / "shard.npz", inputs=objects, labels=objects)
    with pytest.raises(TrainingError, match="no rows"):
        read_shard(tmp_path / "shard.npz")


def test_inputs_without_labels_are_refused():
    with pytest.raises(TrainingError, match="2 inputs with 1 labels"):
        Shard(np.zeros(2), np.zeros(1))


def _sorted(rows):
    return rows[np.lexsort(rows.T)]
