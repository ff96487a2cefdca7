"""How a study looks in a terminal."""

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from assay import view
from assay.progress import Snapshot

Make = Callable[..., dict[str, Any]]


def terminal(width: int = 100) -> Console:
    return Console(file=StringIO(), force_terminal=True, color_system=None, width=width, highlight=False)


def shown(console: Console) -> list[str]:
    assert isinstance(console.file, StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("budget", "share"),
    [
        ({}, None),
        ({"target": 0.9}, None),
        ({"max_runs": 8}, 0.5),
        ({"max_runs": 8, "max_seconds": 100}, 0.652),
        ({"max_trials": 4}, 0.5),
        ({"max_fidelity": 84}, 0.25),
        ({"max_seconds": 10}, 1.0),
    ],
)
def test_the_share_of_the_budget_is_that_of_the_limit_that_is_nearest(
    make_study: Make, budget: dict[str, float], share: float | None
) -> None:
    assert view.fraction(make_study(budget=budget)) == pytest.approx(share)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0.4, "0:00"), (65.2, "1:05"), (3599.9, "59:59"), (3600, "1:00:00"), (90061, "25:01:01")],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert view.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (9, "9"), (0.123456789, "0.12346"), (1e-7, "1e-07"), (27.0, "27"), (123456, "123456")],
)
def test_numbers(value: float | None, text: str) -> None:
    assert view.number(value) == text


def run(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "number": number,
        "trial": number,
        "kind": "train",
        "fidelity": 9,
        "config": {"lr": 0.5, "note": "[red]"},
        **changes,
    }


def test_the_live_view(make_study: Make) -> None:
    study = make_study(state="active", counts={**make_study()["counts"], "succeeded": 1, "running": 2})
    report: Any = {"run": 4, "step": 3, "metrics": {"val_accuracy": 0.91}}
    console = terminal()

    console.print(view.live(Snapshot(study, (run(4), run(5)), {4: report, 3: report})))

    lines = shown(console)
    assert lines[0] == "digits  active  hyperband  2 of 4 runs, 2 running, 1 failed  1:05"
    assert lines[1].endswith(" 50%")
    assert lines[2] == "best  val_accuracy 0.97222 (epochs 9, trial 1, run 2)"
    assert lines[3] == "      lr=0.01 nesterov=true optimizer=sgd"
    assert lines[4].split() == ["run", "trial", "epochs", "metrics", "config"]
    assert lines[5].split() == ["4", "4", "3/9", "val_accuracy=0.91", "lr=0.5", "note=[red]"]
    assert lines[6].split() == ["5", "5", "-/9", "lr=0.5", "note=[red]"]
    assert len(lines) == 7


def test_the_live_view_of_a_young_study_without_a_fidelity(make_study: Make) -> None:
    study = make_study(state="active", best=None, budget={}, space={"parameters": []}, waiting="no worker is free")
    console = terminal()

    console.print(view.live(Snapshot(study, tuple(run(n, fidelity=None) for n in range(15)), {})))

    lines = shown(console)
    assert lines[1] == "waiting: no worker is free"
    assert lines[2].split() == ["run", "trial", "step", "metrics", "config"]
    assert lines[-1] == "and 3 more"
    assert len(lines) == 3 + 12 + 1


def test_a_search_within_one_training_is_followed_by_its_own_epochs(make_study: Make) -> None:
    study = make_study(state="active", best=None, budget={}, algorithm={"name": "darts", "epochs": 50})
    report: Any = {"run": 0, "step": 4, "metrics": {"val_accuracy": 0.31}}
    console = terminal()

    snapshot = Snapshot(study, (run(0, kind="supernet"), run(1)), {0: report})
    console.print(view.live(snapshot))

    assert view.line(snapshot) == "digits: active, 4 runs, 1 failed, run 0 at epoch 4/50"
    assert shown(console)[-2].split()[:5] == ["0", "0", "epoch", "4/50", "val_accuracy=0.31"]
    assert view.line(Snapshot(study, snapshot.running, {})).endswith("run 0 at epoch -/50")


@pytest.mark.parametrize(("done", "text"), [(0, "0 runs"), (1, "1 run"), (2, "2 runs")])
def test_runs_are_counted(make_study: Make, done: int, text: str) -> None:
    counts = {**dict.fromkeys(make_study()["counts"], 0), "succeeded": done}
    assert view.headline(make_study(budget={}, counts=counts)) == text


def test_a_budget_of_trials_is_told(make_study: Make) -> None:
    study = make_study(budget={"max_trials": 4})
    assert view.headline(study) == f"4 runs, {study['spent']['trials']} of 4 trials, 1 failed"


def test_tables_fit_a_terminal_and_drop_empty_columns() -> None:
    console = terminal(width=30)

    view.print_table(console, ("a", "empty", "config"), [("1", "", "[x]" * 40), ("2", "", "y")])

    lines = shown(console)
    assert lines[0].split() == ["a", "config"]
    assert lines[1].startswith("1  [x][x]")
    assert lines[1].endswith("…")
    assert all(len(line) <= 30 for line in lines)


def test_tables_elsewhere_lose_nothing() -> None:
    console = Console(file=StringIO(), width=20)

    view.print_table(console, ("a", "config"), [("1", "x" * 200), ("200", "two\nlines")])

    assert shown(console) == ["a    config", "1    " + "x" * 200, "200  two lines"]


def test_a_table_without_rows_has_its_head() -> None:
    console = Console(file=StringIO(), width=20)

    view.print_table(console, ("a", "b"), [])

    assert shown(console) == ["a  b"]
