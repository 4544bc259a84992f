"""A kept run verifies as it is, and whatever is changed in it is found and named."""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from flocknode.chain.bindings import Bindings
from flocknode.cli.audit.directory import (
    MANIFEST,
    TASK,
    FileFault,
    blob_name,
    block_name,
    headers_name,
    receipt_name,
)
from flocknode.cli.audit.history import read_history
from flocknode.cli.audit.manifest import load_manifest
from flocknode.cli.audit.receipt import TrainerReceipt, read_receipt
from flocknode.cli.audit.verify import verify_run
from flocknode.cli.main import app
from flocknode.crypto.hashing import sha256
from flocknode.sim.world import TASK as TASK_NUMBER
from tests.kept_run import REWARD, ROUNDS, KeptRun, Log, flip_bytes, settled_world, truth

TRAINERS = 5
OTHER = sha256(b"other")


@pytest.fixture
def kept(tmp_path):
    return KeptRun(tmp_path)


def faults(kept):
    return [str(fault) for fault in verify_run(kept.run).faults]


def named(kept):
    return [fault.file for fault in verify_run(kept.run).faults]


def swap(kept, one, other):
    paths = [kept.run.path / name for name in (one, other)]
    data = [path.read_bytes() for path in paths]
    assert data[0] != data[1]
    paths[0].write_bytes(data[1])
    paths[1].write_bytes(data[0])


def change_receipt(kept, trainer, change):
    name = receipt_name(kept.trainers[trainer])
    path = kept.run.path / name
    receipt = read_receipt(name, path.read_bytes())
    path.write_bytes(TrainerReceipt(receipt.trainer, change(receipt.inclusions)).to_bytes())
    return name


def change_manifest(kept, **changes):
    manifest = replace(load_manifest(kept.run), **changes)
    kept.run.write(MANIFEST, manifest.to_bytes())


def test_untouched_run_verifies_in_all_its_rounds_receipts_and_pay(kept):
    report = verify_run(kept.run)
    assert report.faults == []
    assert report.rounds_settled == report.rounds_verified == ROUNDS
    assert report.receipts_expected == report.receipts_verified == ROUNDS * TRAINERS
    # Seats claimed the first round only, and divisions leave a few units in the purse.
    assert 2 * REWARD - 100 < report.pay_due <= 2 * REWARD
    assert report.pay_due - report.pay_claimed == pytest.approx(REWARD / 2, abs=100)


def test_any_flipped_byte_is_found_and_its_file_named(kept):
    flip_bytes(kept, count=120, seed=4)


def test_change_that_means_the_same_is_found_too(kept):
    for name in (MANIFEST, TASK, receipt_name(kept.trainers[0])):
        data = (kept.run.path / name).read_bytes()
        letter = re.search(rb'"(?:0x)?[0-9]*([a-f])[0-9a-f]{8,}"', data).start(1)
        for changed in (
            data[:letter] + data[letter : letter + 1].upper() + data[letter + 1 :],
            data.replace(b"\n ", b"\n\t", 1),
            data + b" ",
        ):
            assert changed != data
            kept.run.write(name, changed)
            assert named(kept) == [name]
        kept.run.write(name, data)


@pytest.mark.parametrize("value", [b"1e999", b"null", b"[]", b"{}", b"[" * 30_000])
def test_values_of_any_shape_are_named_and_never_a_crash(kept, value):
    for name in (MANIFEST, receipt_name(kept.trainers[0])):
        data = (kept.run.path / name).read_bytes()
        for field in re.finditer(rb'": (?:"[^"]*"|[0-9]+)', data):
            kept.run.write(name, data[: field.start() + 3] + value + data[field.end() :])
            assert named(kept) == [name]
        kept.run.write(name, data)


def test_folder_that_cannot_be_listed_is_named(kept):
    with pytest.raises(FileFault, match="cannot be read"):
        kept.run.names(MANIFEST)


def test_swapped_rounds_are_found(kept):
    pairs = [
        (headers_name(0), headers_name(1)),
        (block_name(kept.blocks[5].number), block_name(kept.blocks[6].number)),
        (receipt_name(kept.trainers[0]), receipt_name(kept.trainers[1])),
    ]
    for pair in pairs:
        swap(kept, *pair)
        assert named(kept)
        assert set(named(kept)) <= set(pair)
        swap(kept, *pair)
    name = change_receipt(kept, 3, lambda inclusions: inclusions[::-1])
    assert named(kept) == [name]


def test_swapped_models_are_found(kept):
    history = read_history(kept.blocks, Bindings(kept.deployment), TASK_NUMBER)
    models = [one.settled.model_root for one in history.rounds]
    swap(kept, *map(blob_name, models))
    assert named(kept)
    assert set(named(kept)) <= set(map(blob_name, models))


def test_manifest_whose_digest_was_made_anew_still_has_to_fit_the_chain(kept):
    whole = load_manifest(kept.run)
    change_manifest(kept, rounds=3)
    assert faults(kept) == [f"{MANIFEST}: names 3 rounds, 2 settled"]
    last = block_name(whole.last)
    change_manifest(kept, rounds=2, anchor=OTHER)
    assert named(kept) == [last]
    change_manifest(kept, anchor=whole.anchor, task=2)
    assert faults(kept) == ["chain: holds no task 2"]
    change_manifest(kept, task=1, last=whole.last + 1)
    assert faults(kept) == [f"{block_name(whole.last + 1)}: is missing"]
    change_manifest(kept, last=0)
    assert faults(kept) == [f"{MANIFEST}: names 0 blocks"]


@pytest.mark.parametrize("folder", ["chain", "headers", "blobs", "receipts"])
def test_missing_and_surplus_files_are_named(kept, folder):
    name = next(name for name in kept.files() if name.startswith(folder))
    data = (kept.run.path / name).read_bytes()
    (kept.run.path / name).unlink()
    assert faults(kept) == [f"{name}: is missing"]
    kept.run.write(name, data)
    kept.run.write(f"{folder}/more", b"more")
    assert faults(kept) == [f"{folder}/more: belongs to nothing on the chain"]


def test_links_pipes_and_huge_files_are_not_read(kept):
    path = kept.run.path / TASK
    elsewhere = kept.run.path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    assert named(kept) == [TASK]
    path.unlink()
    os.mkfifo(path)
    assert faults(kept) == [f"{TASK}: is no plain file"]
    path.unlink()
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a hole: it takes no space
    assert "at most 1048576 belong" in faults(kept)[0]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda it: it[:1], "does not prove each"),
        (lambda it: (replace(it[0], record=it[1].record), it[1]), "no proof of round 0"),
        (lambda it: (replace(it[0], path=it[1].path), it[1]), "no proof of round 0"),
        (lambda it: (replace(it[0], position=it[0].position + 1), it[1]), "no proof of round 0"),
        (lambda it: (it[0], replace(it[1], paid=it[1].paid + 1)), "was paid for round 1"),
    ],
)
def test_receipt_that_proves_something_else_is_refused(kept, change, what):
    name = change_receipt(kept, 2, change)
    (fault,) = faults(kept)
    assert fault.startswith(name)
    assert what in fault


def test_receipt_cannot_borrow_another_trainers_contribution(kept):
    other = receipt_name(kept.trainers[1])
    lent = read_receipt(other, (kept.run.path / other).read_bytes()).inclusions
    name = change_receipt(kept, 0, lambda _: lent)
    assert faults(kept) == [f"{name}: is no proof of round 0"]


def lie(event: str, **changes: object):
    """Say something else in the first event of that name; ``None`` leaves it out."""
    told = []

    def tell(log: Log) -> Iterable[Log]:
        contract, name, arguments = log
        if name != event or told:
            return truth(log)
        told.append(log)
        new = {key: change(arguments[key]) for key, change in changes.items()}
        return [(contract, name, {**arguments, **new})] if changes else []

    return tell


def twice(event: str):
    def tell(log: Log) -> Iterable[Log]:
        return [log, log] if log[1] == event else [log]

    return tell


def judged(event: str):
    """Convict seat 0 before an event: it may sign nothing more, nor is it paid for what it did."""

    def tell(log: Log) -> Iterable[Log]:
        contract, name, arguments = log
        if name != event:
            return [log]
        at = {key: arguments[key] for key in ("task", "round", "attempt")}
        return [(contract, "SeatsJudged", {**at, "slashed": 1, "absent": 0}), log]

    return tell


def other(_: object) -> bytes:
    return OTHER


def more(amount: int) -> int:
    return amount + 1


def fewer_seats(seats: int) -> int:
    return seats & 1


@pytest.mark.parametrize(
    ("tell", "what"),
    [
        (lie("SetAccepted", commitments=lambda it: [OTHER] * len(it)), "had committed to"),
        (lie("SetAccepted", commitments=lambda it: it[1:]), "one commitment of each seat"),
        (lie("SetAccepted", seats=fewer_seats), "majority of every column"),
        (lie("SetAccepted", seats=lambda it: it | 1 << 6), "the seats of a result"),
        (lie("SetAccepted", inclusionRoot=other), "the inclusion root"),
        (lie("SetAccepted", weight=more), "the set's weight"),
        (lie("SetAccepted", attempt=more), "the attempt of a result"),
        (lie("ProposalAccepted", seats=fewer_seats), "two thirds"),
        (lie("ProposalAccepted", aggregateRoot=other), "the aggregate root"),
        (lie("ProposalAccepted", maskRoots=lambda it: it[::-1]), "had committed to"),
        (lie("ProposalAccepted", maskRoots=lambda it: it[1:]), "a mask root for each column"),
        (lie("ProposalAccepted", modelRoot=other), "another model than was proposed"),
        (lie("CommitteeDrawn", ctx=other), "a ctx that its parts do not give"),
        (lie("CommitteeDrawn", seed=other), "a ctx that its parts do not give"),
        (lie("CommitteeDrawn", modelRoot=other), "does not follow"),
        (lie("CommitteeDrawn", frozenTrainers=lambda _: 0b111), "had frozen"),
        (lie("TrainerPaid", amount=more), "the rules give"),
        (lie("TrainerPaid", trainer=lambda _: "0x" + "cc" * 20), "the rules give 0"),
        (lie("TrainerPaid", round=lambda _: 7), "the rules give 0"),
        (twice("TrainerPaid"), "the rules give 0"),
        (lie("SeatPaid", amount=more), "the rules give"),
        (twice("SeatPaid"), "the rules give 0"),
        (judged("RoundSettled"), "the rules give 0"),
        (judged("ProposalAccepted"), "nobody agrees who was convicted before"),
        (lie("Transfer"), "no event accounts for"),
        (lie("Transfer", value=more), "no event accounts for"),
        (lie("TaskFunded", rewards=lambda _: 10), "the rules give"),
    ],
)
def test_chain_that_lies_with_right_hashes_is_found(tmp_path, tell, what):
    found = faults(KeptRun(tmp_path, tell))
    assert any(what in fault for fault in found), found


def test_task_file_is_the_one_that_the_chain_names(kept):
    kept.task_file = replace(kept.task_file, recipe="differences")
    kept.run.write(TASK, kept.task_file.to_bytes())
    assert faults(kept) == [f"{TASK}: is not the configuration that the chain names"]


@pytest.mark.parametrize(
    ("place", "value", "what"),
    [
        (1, 7, "width is 8, 16 or 32"),
        (2, 0, "unsound terms"),
        (4, 0, "1 <= tau <= Q"),
        (7, 0, "num and den are positive"),
    ],
)
def test_chain_with_terms_that_no_contract_takes_is_refused(tmp_path, place, value, what):
    """Both the chain and the file name terms by which nothing can be recomputed."""

    def tell(log: Log) -> Iterable[Log]:
        contract, name, arguments = log
        if name != "TaskCreated":
            return [log]
        (integers, *rest), mode, _, *others = arguments["specification"]
        integers = (*integers[:place], value, *integers[place + 1 :])
        specification = ((integers, *rest), mode, unsound.digest(), *others)
        return [(contract, name, {**arguments, "specification": specification})]

    task_file = KeptRun(tmp_path).task_file
    field = list(type(task_file.terms.integers).__slots__)[place]
    wrong = replace(task_file.terms.integers, **{field: value})
    unsound = replace(task_file, terms=replace(task_file.terms, integers=wrong))
    kept = KeptRun(tmp_path, tell)
    kept.run.write(TASK, unsound.to_bytes())
    (fault,) = faults(kept)
    assert fault.startswith(TASK)
    assert what in fault


def invoke(*arguments: str):
    result = CliRunner().invoke(app, ["audit", "verify", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_command_tells_figures_and_anchor_and_ends_with_0(kept):
    code, stdout, _ = invoke(str(kept.run.path), "--json")
    anchor, summary = map(json.loads, stdout.splitlines())
    assert code == 0
    assert anchor["hash"] == "0x" + kept.blocks[-1].digest.hex()
    assert summary["rounds_verified"] == summary["rounds_settled"] == ROUNDS
    assert summary["receipts_verified"] == summary["receipts_expected"] == 2 * TRAINERS
    assert summary["faults"] == 0


def test_command_says_that_convictions_are_the_chains_word(kept):
    _, stdout, _ = invoke(str(kept.run.path))
    (line,) = (line for line in stdout.splitlines() if line.split()[0] == "trusted")
    assert "convictions" in line
    _, stdout, _ = invoke(str(kept.run.path), "--json")
    (trusted,) = json.loads(stdout.splitlines()[-1])["trusted"]
    assert trusted in line


def test_command_names_the_wrong_file_and_ends_with_1(kept):
    name = headers_name(1)
    kept.run.write(name, kept.run.read(name, 1 << 20)[:-1] + b"?")
    code, stdout, _ = invoke(str(kept.run.path))
    assert code == 1
    assert f"WRONG     {name}: does not hold" in stdout
    assert "1/2 recomputed" in stdout
    code, stdout, _ = invoke(str(kept.run.path), "--json")
    events = [json.loads(line) for line in stdout.splitlines()]
    assert [event["file"] for event in events if event["event"] == "fault"] == [name]
    assert events[-1]["rounds_verified"] == 1
    assert code == 1


def test_name_of_a_file_cannot_steer_the_auditors_terminal(kept):
    kept.run.write("blobs/\x1b[2Jnothing is wrong\n here", b"")
    code, stdout, _ = invoke(str(kept.run.path))
    assert code == 1
    assert "\x1b" not in stdout
    assert r"WRONG     blobs/\x1b[2Jnothing is wrong\n here: belongs to nothing" in stdout


def test_command_refuses_a_directory_without_a_run(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere", tmp_path / ("name" * 100)):
        code, stdout, stderr = invoke(str(path))
        assert code == 2
        assert stdout == ""
        assert [line.split()[0] for line in stderr.splitlines()] == ["error", "remedy"]


def test_command_without_its_endpoint_is_unavailable(kept):
    code, stdout, _ = invoke(str(kept.run.path), "--rpc", "http://127.0.0.1:1", "--json")
    assert code == 69
    assert json.loads(stdout)["code"] == 69


def test_world_that_the_runs_are_made_of_has_both_rounds():
    assert sorted(settled_world().models) == list(range(ROUNDS))
