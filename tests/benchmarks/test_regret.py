"""The comparison from the command line: tables, files, resuming, and what is skipped."""

import json
import re
from xml.etree import ElementTree

import pytest

from benchmarks import regret
from benchmarks.methods import parse
from benchmarks.protocol import Curve, Step
from benchmarks.store import Cell, Store
from search import ALGORITHMS

RUN = ["--tasks", "hpobench-*", "--seeds", "2", "--jobs", "1", "--methods", "random", "hyperband", "hyperband:eta=4"]


@pytest.fixture
def run(tiny_data, tmp_path, capsys):
    """Runs the comparison; answers what it printed."""

    def run(*arguments):
        regret.main([*RUN, "--results", str(tmp_path / "results"), *arguments])
        return capsys.readouterr()

    return run


def test_tables_charts_and_json_are_written(run, tmp_path):
    printed = run().out
    folder = tmp_path / "results" / "all"
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["tasks"] == ["hpobench-vehicle", "hpobench-segment"]
    assert set(summary["methods"]) == {"random", "hyperband", "hyperband:eta=4"}
    (shown, *_) = (line.split("|") for line in printed.splitlines() if line.startswith("| random "))
    assert float(shown[7]) == pytest.approx(summary["methods"]["random"]["mean"]["60"]["mean"], abs=6e-4)
    for chart in ("curves", "ranks"):
        root = ElementTree.fromstring((folder / f"{chart}.svg").read_text())
        assert "hyperband:eta=4" in " ".join(root.itertext())
    assert "Nemenyi's critical difference" in printed


def test_what_is_missing_is_skipped_with_the_reason_and_the_rest_is_compared(run):
    printed = run("--methods", "random", "hyperband").out
    assert re.search(
        r"skipped random on hpobench-australian: .*hpobench_australian.npz is not in the data folder", printed
    )
    assert "2 tasks, 2 seeds" in printed


def test_a_second_run_does_nothing_again(run):
    assert "searches" in run("--tasks", "hpobench-vehicle").err
    assert run("--tasks", "hpobench-vehicle").err == ""


def test_results_of_other_code_do_not_count(tmp_path):
    cell = Cell(parse("hyperband:eta=4"), "hartmann3", 1)
    curve = Curve((Step(1, 0.5),), 3, 3, 0.1)
    store = Store(tmp_path)
    assert store.load(cell, 10) is None
    store.save(cell, cell.method.fingerprint, 10, curve)
    assert store.load(cell, 10) == curve
    store.save(cell, "another", 10, curve)
    assert store.load(cell, 10) is None
    assert Store(tmp_path, keep_stale=True).load(cell, 10) == curve


def test_a_search_counts_for_smaller_budgets_and_not_for_larger_ones(run, tmp_path):
    assert "searches" in run("--tasks", "hpobench-vehicle", "--budget", "12").err
    assert "searches" not in run("--tasks", "hpobench-vehicle", "--budget", "8").err
    summary = json.loads((tmp_path / "results" / "all" / "summary.json").read_text())
    assert summary["read_outs"] == [6, 8]
    assert "searches" in run("--tasks", "hpobench-vehicle").err


def test_auto_is_the_search_that_it_chooses(run, tmp_path):
    printed = run("--tasks", "hpobench-vehicle", "--budget", "12", "--methods", "random", "auto", "tpe")
    chosen = re.search(r"auto is (\S+) on hpobench-vehicle", printed.out).group(1)
    assert chosen in ALGORITHMS
    methods = json.loads((tmp_path / "results" / "all" / "summary.json").read_text())["methods"]
    assert list(methods) == ["random", "auto", "tpe"]
    again = run("--tasks", "hpobench-vehicle", "--budget", "12", "--methods", chosen)
    assert again.err == ""


@pytest.mark.parametrize(
    ("arguments", "message"), [(["--tasks", "nothing-*"], "known: hpobench"), (["--methods", "randm"], "did you mean")]
)
def test_unknown_names_are_answered_with_the_known_ones(arguments, message, capsys):
    with pytest.raises(SystemExit):
        regret.main(arguments)
    assert message in capsys.readouterr().err
