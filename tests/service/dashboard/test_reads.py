"""What the dashboard reads from the database, against the plain truth, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from search.history import RunState
from service.database import Database
from service.repositories.dashboard import DashboardReads
from service.repositories.trial_order import Cursor, Sort

EPOCHS = {"name": "epochs", "low": 1, "high": 9}


def pages(database: Database, study_id: int, sort: Sort, maximize: bool, state: RunState | None = None) -> list[int]:
    """The numbers of all trials, page by page of two."""
    found: list[int] = []
    after: Cursor | None = None
    while True:
        with database.session(write=False) as session:
            page = DashboardReads(session, study_id).trials(sort, 2, maximize=maximize, state=state, after=after)
            found += [trial.number for trial, _ in page.trials]
        if page.next is None:
            return found
        assert len(page.trials) == 2
        after = Cursor.parse(str(page.next))


@pytest.fixture
def table(database: Database, stage_on: Callable[..., Any], study_payload: dict[str, Any]) -> Any:
    """Trials whose values are, by number: 0.3, none (failed), 0.1, 0.3, none (running), 0.2."""
    stage = stage_on(database, space={**study_payload["space"], "fidelity": EPOCHS})
    for trial, value in enumerate([0.3, None, 0.1, 0.3, 0.9, 0.7]):
        run = stage.start(trial, fidelity=1)
        if trial != 4:
            stage.end(run, value)
    stage.end(stage.start(5, fidelity=3, rung=1), 0.2)
    return stage


@pytest.mark.parametrize(
    ("sort", "maximize", "expected"),
    [
        (Sort.NEWEST, False, [5, 4, 3, 2, 1, 0]),
        (Sort.OLDEST, False, [0, 1, 2, 3, 4, 5]),
        (Sort.BEST, False, [2, 5, 0, 3, 1, 4]),
        (Sort.WORST, False, [0, 3, 5, 2, 1, 4]),
        (Sort.BEST, True, [0, 3, 5, 2, 1, 4]),
        (Sort.WORST, True, [2, 5, 0, 3, 1, 4]),
    ],
)
def test_trials_in_every_order_page_by_page(
    database: Database, table: Any, sort: Sort, maximize: bool, expected: list[int]
) -> None:
    assert pages(database, table.study_id, sort, maximize) == expected


@pytest.mark.parametrize(
    ("state", "expected"),
    [(RunState.SUCCEEDED, [2, 5, 0, 3]), (RunState.FAILED, [1]), (RunState.RUNNING, [4]), (RunState.STOPPED, [])],
)
def test_trials_in_one_state(database: Database, table: Any, state: RunState, expected: list[int]) -> None:
    assert pages(database, table.study_id, Sort.BEST, False, state) == expected


def test_a_trial_comes_with_all_its_runs(database: Database, table: Any) -> None:
    with database.session(write=False) as session:
        page = DashboardReads(session, table.study_id).trials(Sort.NEWEST, 1, maximize=False)
        ((trial, runs),) = page.trials
        assert trial.config == {"x0": 5.0, "x1": 1.0}
        assert [(run.number, run.fidelity) for run in runs] == [(5, 1), (6, 3)]


def test_points_are_thinned_but_keep_what_is_asked_for(database: Database, stage_on: Callable[..., Any]) -> None:
    stage = stage_on(database)
    for trial in range(20):
        stage.end(stage.start(trial), None if trial == 3 else float(trial))
    with database.session(write=False) as session:
        reads = DashboardReads(session, stage.study_id)
        everything = reads.points(100, keep=[])
        some = reads.points(5, keep=[0, 7])
    assert [point.run for point in everything] == [run for run in range(20) if run != 3]
    assert everything[3].order == 5, "the order counts the runs that failed, too"
    assert [point.run for point in some] == [0, 7, 11, 15, 19]
    assert [point.value for point in some] == [0, 7, 11, 15, 19]


def test_a_curve_goes_on_over_the_runs_of_its_trial(database: Database, stage_on: Callable[..., Any]) -> None:
    stage = stage_on(database)
    first, other = stage.start(0), stage.start(1)
    stage.report(first, s1=0.9, s2=0.8)
    stage.report(other, s1=0.5)
    stage.end(first, 0.8)
    again = stage.start(0, rung=1)
    stage.report(again, s2=0.81, s3=0.7)
    with database.session(write=False) as session:
        reads = DashboardReads(session, stage.study_id)
        curves = {curve.trial: (curve.steps, curve.values) for curve in reads.curves([0, 1], "loss", 100)}
        assert curves == {0: ([1, 2, 3], [0.9, 0.81, 0.7]), 1: ([1], [0.5])}
        assert reads.curves([0, 1], "accuracy", 100) == [], "a metric that nobody reports has no curves"
        assert reads.running_trials(10) == [0, 1]


def test_a_long_curve_is_thinned_to_its_end(database: Database, stage_on: Callable[..., Any]) -> None:
    stage = stage_on(database)
    stage.report(stage.start(0), **{f"s{step}": step / 1000 for step in range(1, 1001)})
    with database.session(write=False) as session:
        (curve,) = DashboardReads(session, stage.study_id).curves([0], "loss", 50)
    assert 40 <= len(curve.steps) <= 52
    assert curve.steps[-1] == 1000
    assert list(curve.values) == [step / 1000 for step in curve.steps]


def test_the_leading_trials_come_from_the_highest_fidelity(database: Database, table: Any) -> None:
    with database.session(write=False) as session:
        reads = DashboardReads(session, table.study_id)
        assert reads.leading_trials(10, maximize=False) == [5, 2, 0, 3]
        assert reads.leading_trials(2, maximize=False) == [5, 2]


def test_what_breaks_a_constraint_comes_after_all_that_keep_them(
    database: Database, stage_on: Callable[..., Any]
) -> None:
    constrained = {
        "objective": {"type": "function", "function": "binh-korn"},
        "metrics": [{"name": "f1", "direction": "minimize"}, {"name": "g1", "at_most": 1.0}],
    }
    stage = stage_on(database, **constrained)
    for trial, (f1, g1) in enumerate([(0.1, 3.0), (0.4, 0.0), (0.2, 2.0), (0.3, 1.0), (0.5, 2.0)]):
        stage.end(stage.start(trial), f1, f1=f1, g1=g1)
    stage.end(stage.start(5), None)

    assert pages(database, stage.study_id, Sort.BEST, False) == [3, 1, 2, 4, 0, 5]
    assert pages(database, stage.study_id, Sort.WORST, False) == [0, 4, 2, 1, 3, 5]
