import json
import xml.etree.ElementTree as ET

import pytest
from typer.testing import CliRunner

from flocknode.cli.bench import arithmetic, entry
from flocknode.cli.bench.chart import draw_chart
from flocknode.cli.bench.figures import Figure, fastest
from flocknode.cli.main import app

GOOD = Figure("good", 1.0, "GB/s", "copy <raw>", 0.9, 0.7)
BAD = Figure("bad", 1.0, "GB/s", "copy", 0.6, 0.7)
PLAIN = Figure("plain", 1.0, "GB/s")
FIELDS = {"event", "name", "value", "unit", "limit", "ratio", "against", "holds"}


def run(monkeypatch, figures, *options):
    monkeypatch.setattr(entry, "BENCHES", {"some": lambda: iter(figures)})
    done = CliRunner().invoke(app, ["bench", "--json", *options])
    return done.exit_code, [json.loads(line) for line in done.stdout.splitlines()]


def test_figures_are_json_lines_after_the_machine(monkeypatch):
    code, (machine, *figures) = run(monkeypatch, [GOOD, PLAIN])
    assert code == 0
    assert machine["event"] == "machine"
    assert machine["cores"] >= 1
    assert [figure["name"] for figure in figures] == ["good", "plain"]
    assert all(figure.keys() == FIELDS for figure in figures)


def test_missed_limit_is_told_by_the_exit_code(monkeypatch):
    code, lines = run(monkeypatch, [GOOD, BAD], "some")
    assert code == 1
    assert [line.get("holds") for line in lines] == [None, True, False]


def test_unknown_benchmark_is_refused(monkeypatch):
    code, (error,) = run(monkeypatch, [GOOD], "speed")
    assert (code, error["code"]) == (2, 2)
    assert "some" in error["remedy"]


def test_chart_has_a_bar_for_each_ratio(monkeypatch, tmp_path):
    path = tmp_path / "chart.svg"
    run(monkeypatch, [GOOD, BAD, PLAIN], "--plot", str(path))
    root = ET.fromstring(path.read_text("utf-8"))
    assert len(root.findall("{http://www.w3.org/2000/svg}rect")) == 2
    assert draw_chart([PLAIN], "machine").count("<rect") == 0


def test_deeds_take_turns_and_the_shortest_time_counts():
    order = []
    times = fastest({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3)
    assert order == ["a", "b"] * 3
    assert all(seconds > 0 for seconds in times.values())


def test_arithmetic_is_timed_against_copy_and_cipher(monkeypatch):
    monkeypatch.setattr(arithmetic, "REPEATS", 1)
    monkeypatch.setattr(arithmetic, "SLOW_REPEATS", 1)
    monkeypatch.setattr(arithmetic, "MEMBERS", 4)
    figures = list(arithmetic.arithmetic())
    assert all(figure.value > 0 for figure in figures)
    compared = {(figure.name, figure.against) for figure in figures if figure.ratio}
    for name in ("mask expand and add", "quantise", "merkle tree", "ring sum"):
        assert {(name, "bare cipher"), (name, "memory copy")} <= compared
    assert [figure.limit for figure in figures if figure.limit] == [0.7, 5.0]


def test_directory_that_is_not_there_is_named(monkeypatch, tmp_path):
    path = tmp_path / "nowhere" / "chart.svg"
    code, lines = run(monkeypatch, [GOOD], "--plot", str(path))
    assert code == 69
    assert str(path) in lines[-1]["cause"]


@pytest.mark.parametrize("figure", [GOOD, BAD, PLAIN])
def test_numbers_are_printed_with_three_digits(figure):
    exact = Figure(figure.name, 1.23456, "s", figure.against, 0.98765, figure.limit)
    assert (exact.rounded()["value"], exact.rounded()["ratio"]) == (1.23, 0.988)
