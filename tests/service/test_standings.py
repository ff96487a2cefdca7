"""Stopping rules, replicates and constraints on their way through the dispatcher and the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from search import incumbents
from search.history import RunState
from service.checkpoints import Checkpoints
from service.database import Database
from service.dispatcher import Dispatcher
from service.engagement import engage
from service.models import DEFAULT_PROJECT_ID, Run, Study
from service.repositories.events import Events
from service.repositories.runs import Runs
from service.repositories.standings import Standings
from service.repositories.studies import Studies
from service.states import StudyState
from service.tracking import tracked
from workers.protocol import FailureClass

Create = Callable[..., int]
Turn = Callable[[], None]
Show = Callable[[], Study]

LONG = {"fidelity": {"name": "epochs", "low": 1, "high": 9}}
CONSTRAINED = {
    "space": {"parameters": [{"name": "lr", "type": "float", "low": 1e-3, "high": 1, "log": True}]},
    "objective": {"type": "train", "family": "mlp", "dataset": "digits"},
    "metrics": [{"name": "val_loss", "direction": "minimize"}, {"name": "val_accuracy", "at_least": 0.5}],
    "parallelism": 1,
    "checks": False,
}


def runs_of(database: Database, study_id: int) -> list[Run]:
    with database.session(write=False) as session:
        return [row.run for row in Runs(session).page(study_id, 10_000)]


def drive(pool: Any, turn: Turn, metrics: Callable[[Any], dict[str, float]]) -> None:
    turn()
    while pool.open:
        for assignment in list(pool.open.values()):
            pool.finish(assignment, **metrics(assignment))
        turn()


@pytest.fixture
def long(study_payload: dict[str, Any]) -> dict[str, Any]:
    """Trainings of nine epochs, one at a time."""
    return {**study_payload, "space": {**study_payload["space"], **LONG}, "parallelism": 1}


def test_a_rule_stops_a_run_and_says_why(
    create: Create, pool: Any, turn: Turn, show: Show, sqlite_database: Database, long: dict[str, Any]
) -> None:
    study_id = create(long, algorithm={"name": "random", "stop": {"rule": "threshold", "value": 0.5, "grace": 2}})
    turn()
    hopeless = pool.first
    pool.report(hopeless, 1, loss=3.0)
    turn()
    assert pool.stopped == []
    pool.report(hopeless, 2, loss=2.0)
    turn()
    assert pool.stopped == [hopeless.key]
    pool.finish(hopeless, stopped=True, loss=2.0)
    drive(pool, turn, lambda assignment: {"loss": 0.25})

    first, *others = runs_of(sqlite_database, study_id)
    assert (first.state, first.metrics, first.value) == (RunState.STOPPED, {"loss": 2.0}, None)
    assert first.stopped_by is not None
    assert {"rule": "threshold", "step": 2, "loss": 2.0, "threshold": 0.5}.items() <= first.stopped_by.items()
    assert [run.state for run in others] == [RunState.SUCCEEDED] * 3
    assert show().state == StudyState.COMPLETED
    with sqlite_database.session(write=False) as session:
        events = Events(session).after(study_id, 0, 100)
    assert [event.data for event in events if event.type == "run.stopped"] == [first.stopped_by]


def test_a_run_that_ends_before_it_can_be_stopped_counts(
    create: Create, pool: Any, turn: Turn, sqlite_database: Database, long: dict[str, Any]
) -> None:
    study_id = create(long, algorithm={"name": "random", "stop": {"rule": "threshold", "value": 0.5}})
    turn()
    run = pool.first
    pool.report(run, 8, loss=2.0)
    pool.finish(run, loss=0.125)
    turn()
    stored = runs_of(sqlite_database, study_id)[0]
    assert (stored.state, stored.value, stored.stopped_by) == (RunState.SUCCEEDED, 0.125, None)


def test_a_run_that_does_not_get_better_has_a_result(
    create: Create, pool: Any, turn: Turn, sqlite_database: Database, long: dict[str, Any]
) -> None:
    study_id = create(long, algorithm={"name": "random", "stop": {"rule": "patience", "reports": 2}})
    turn()
    run = pool.first
    for step in range(1, 4):
        pool.report(run, step, loss=0.5)
    turn()
    assert pool.stopped == [run.key]
    pool.finish(run, stopped=True, loss=0.5)
    turn()
    stored = runs_of(sqlite_database, study_id)[0]
    assert (stored.state, stored.value) == (RunState.SUCCEEDED, 0.5)
    assert stored.stopped_by
    assert stored.stopped_by["rule"] == "patience"


def test_a_decision_to_stop_holds_for_the_next_attempt(
    create: Create, pool: Any, turn: Turn, sqlite_database: Database, long: dict[str, Any]
) -> None:
    study_id = create(long, algorithm={"name": "random", "stop": {"rule": "threshold", "value": 0.5, "grace": 2}})
    turn()
    for step in (1, 2):
        pool.report(pool.first, step, loss=2.0)
    pool.fail(pool.first, FailureClass.LOST)
    turn()
    again = pool.first
    pool.report(again, 1, loss=0.1)  # had it been so lucky the first time, it would have gone on
    turn()
    assert again.key not in pool.stopped
    pool.report(again, 2, loss=0.1)
    turn()
    assert again.key in pool.stopped
    pool.finish(again, stopped=True, loss=0.1)
    turn()
    assert runs_of(sqlite_database, study_id)[0].state == RunState.STOPPED


def test_what_was_reported_is_known_after_a_restart(
    create: Create, pool: Any, checkpoints: Checkpoints, sqlite_database: Database, long: dict[str, Any]
) -> None:
    """The history that is loaded has the reports where they were, so the next owner decides as the first would."""
    study_id = create(
        long, parallelism=2, algorithm={"name": "random", "stop": {"rule": "asha-stop", "eta": 3, "grace": 1}}
    )
    first = Dispatcher(sqlite_database, pool, checkpoints, exclusive=True)
    first.step(0.0)
    for step in (1, 2):
        for place, assignment in enumerate(pool.open.values()):
            pool.report(assignment, step, loss=float(place))
        first.step(0.0)
    cached = first._engagements[study_id].tracked.history
    with sqlite_database.session(write=False) as session:
        study = Studies(session, DEFAULT_PROJECT_ID).get("s")
        engagement = engage(study, tracked(session, study))
    assert engagement.tracked.history.events == cached.events
    assert len(cached.events) == 6
    assert engagement.pending == [0, 1]
    assert len(set(pool.stopped)) == 1


def test_the_best_keeps_the_constraints(
    create: Create, pool: Any, turn: Turn, show: Show, sqlite_database: Database, checkpoints: Checkpoints
) -> None:
    study_id = create(**CONSTRAINED)
    results = iter([(1.0, 0.25), (5.0, 0.75), (0.1, 0.0), (4.0, 0.5)])

    def metrics(assignment: Any) -> dict[str, float]:
        loss, accuracy = next(results) if assignment.task == "train" else (9.0, 0.9)
        return {"val_loss": loss, "val_accuracy": accuracy}

    drive(pool, turn, metrics)
    turn()
    with sqlite_database.session(write=False) as session:
        study = Studies(session, DEFAULT_PROJECT_ID).get("s")
        leader = Standings(session).leader(study)
        evaluation = Runs(session).evaluation(study_id)
        assert Standings(session).numbers(study_id) == [0, 1, 3]
    assert leader
    assert (leader.row.run.number, leader.standing.feasible) == (3, True)
    assert [run.violation for run in runs_of(sqlite_database, study_id)] == [0.5, 0.0, 1.0, 0.0]
    assert evaluation
    assert evaluation.run == 3
    kept = [path for path in checkpoints.folder.rglob("*") if path.is_file()]
    assert checkpoints.path(str(leader.row.run.checkpoint)) in kept
    assert len(kept) == 4, "all of the few best, for an ensemble"
    assert show().state == StudyState.COMPLETED


def test_the_lead_is_confirmed_by_replicates(create: Create, pool: Any, turn: Turn, sqlite_database: Database) -> None:
    """The first of four is lucky once; trained again it is the worst."""
    study_id = create(parallelism=1, budget={"max_runs": 8}, replicates={"max": 2, "top": 2}, seed=3)
    seeds: dict[str, list[int]] = {}

    def metrics(assignment: Any) -> dict[str, float]:
        config = str(assignment.config)
        known = seeds.setdefault(config, [])
        if assignment.task == "train":
            known.append(assignment.seed)
        place = list(seeds).index(config)
        return {"loss": (0.0 if len(known) == 1 else 100.0) if place == 0 else 10.0 + place}

    drive(pool, turn, metrics)
    turn()
    runs = runs_of(sqlite_database, study_id)
    repeated = [run for run in runs if run.replicate]
    assert {run.trial for run in repeated} >= {0, 1}
    assert all(len(set(of_config)) == len(of_config) for of_config in seeds.values()), "a seed for each replicate"
    with sqlite_database.session(write=False) as session:
        study = Studies(session, DEFAULT_PROJECT_ID).get("s")
        leader = Standings(session).leader(study)
        trace = Standings(session).trace(study_id)
        engagement = engage(study, tracked(session, study))
    assert leader
    assert leader.row.run.trial == 1
    assert (leader.metrics, leader.standing.results, leader.standing.confirmed) == ({"loss": 11.0}, 2, True)
    assert [row.run.trial for _, row in trace][:1] == [0]
    assert [taken.run for taken, _ in trace] == incumbents(engagement.spec, engagement.tracked.history)
    assert leader.row.run.checkpoint, "it is there for the final test"
