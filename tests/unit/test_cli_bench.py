import json
import xml.etree.ElementTree as ET

import pytest
from typer.testing import CliRunner

from flocknode.cli.bench import arithmetic, command
from flocknode.cli.bench.chart import draw_chart
from flocknode.cli.bench.figure import Figure
from flocknode.cli.bench.machine import fastest
from flocknode.cli.bench.verdict import described, is_kept, rounded
from flocknode.cli.main import app

GOOD = Figure("good, of <raw>", 9.0, "GB/s", 7.0, 0.9)
BAD = Figure("bad", 6.0, "GB/s", 7.0, 0.6)
PLAIN = Figure("plain", 1.0, "GB/s", None, None)
SLOW = Figure("slow", 7.0, "s", 6.0, 1.2)
FIELDS = {"event", "name", "value", "unit", "limit", "ratio"}


def run(monkeypatch, figures, *options):
    monkeypatch.setattr(command, "BENCHES", {"some": lambda: iter(figures)})
    done = CliRunner().invoke(app, ["bench", "--json", *options])
    return done.exit_code, [json.loads(line) for line in done.stdout.splitlines()]


def test_figures_are_json_lines_after_the_machine(monkeypatch):
    code, (machine, *figures) = run(monkeypatch, [GOOD, PLAIN])
    assert code == 0
    assert machine["event"] == "machine"
    assert machine["cores"] >= 1
    assert [figure["name"] for figure in figures] == [GOOD.name, "plain"]
    assert all(figure.keys() == FIELDS for figure in figures)


def test_missed_limit_is_told_by_the_exit_code(monkeypatch):
    code, lines = run(monkeypatch, [GOOD, BAD], "some")
    assert code == 1
    assert [line.get("limit") for line in lines] == [None, 7.0, 7.0]


def test_rate_reaches_its_limit_and_anything_else_does_not_pass_it():
    assert [is_kept(figure) for figure in (GOOD, BAD, PLAIN, SLOW)] == [True, False, True, False]
    assert "at least 7 GB/s: MISSED" in described(BAD)
    assert "at most 6 s: MISSED" in described(SLOW)


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
    figures = {figure.name: figure for figure in arithmetic.measure_arithmetic()}
    assert all(figure.value > 0 for figure in figures.values())
    for name in ("mask expand and add", "quantise", "merkle tree", "ring sum"):
        assert {f"{name}, of bare cipher", f"{name}, of memory copy"} <= figures.keys()
    masks = figures["mask expand and add, of bare cipher"]
    assert masks.limit == pytest.approx(0.7 * masks.value / masks.ratio)
    median = figures["median of 4 x 1 M, of numpy's"]
    assert median.limit == pytest.approx(5 * median.value / median.ratio)


def test_directory_that_is_not_there_is_named(monkeypatch, tmp_path):
    path = tmp_path / "nowhere" / "chart.svg"
    code, lines = run(monkeypatch, [GOOD], "--plot", str(path))
    assert code == 69
    assert str(path) in lines[-1]["cause"]


def test_numbers_are_printed_with_three_digits():
    exact = rounded(Figure("exact", 1.23456, "s", 2.34567, 0.98765))
    assert exact == {"name": "exact", "value": 1.23, "unit": "s", "limit": 2.35, "ratio": 0.988}
