"""Runs that give way: they save where they are, wait, and go on from there, whoever carries them out next."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from search.history import RunState
from service.checkpoints import Checkpoints
from service.database import Database
from service.dispatcher import Dispatcher
from service.models import DEFAULT_PROJECT_ID, Attempt, Project, Run
from service.repositories.reports import Reports
from service.repositories.runs import Runs
from workers.protocol import FailureClass, Resources

Create = Callable[..., int]
Turn = Callable[[], None]


def attempts_of(database: Database, study_id: int, number: int) -> list[Attempt]:
    with database.session(write=False) as session:
        return list(Runs(session).attempts(Runs(session).get(study_id, number).run))


def run_of(database: Database, study_id: int, number: int = 0) -> Run:
    with database.session(write=False) as session:
        return Runs(session).get(study_id, number).run


def steps_of(database: Database, study_id: int, number: int = 0) -> list[float]:
    """The learning curve of a run, as people see it."""
    with database.session(write=False) as session:
        return [report.step for report, _ in Reports(session).page(study_id, 100, run=number)]


def ended(dispatcher: Dispatcher) -> None:
    """The dispatcher is asked to end before it has begun with another turn."""
    stopping = threading.Event()
    stopping.set()
    dispatcher.run(stopping)


@pytest.fixture
def study_id(create: Create, hyperband_payload: dict[str, Any]) -> int:
    """A study of one run at a time; none may be handed back by its worker."""
    return create({**hyperband_payload, "parallelism": 1, "retry": {"preempted": 0}})


@pytest.fixture
def successor(sqlite_database: Database, pool: Any, checkpoints: Checkpoints) -> Dispatcher:
    return Dispatcher(sqlite_database, pool, checkpoints, exclusive=True)


def test_a_run_goes_on_where_its_dispatcher_ended(
    study_id: int, pool: Any, dispatcher: Dispatcher, successor: Dispatcher, sqlite_database: Database
) -> None:
    dispatcher.step(0.0)
    first = pool.first
    for step in (1, 2, 3):
        pool.report(first, step, loss=1.0)
    pool.steps[first.key] = 2  # the third report was more than what was saved
    ended(dispatcher)
    assert run_of(sqlite_database, study_id).state == RunState.PENDING
    (attempt,) = attempts_of(sqlite_database, study_id, 0)
    assert (attempt.state, attempt.checkpoint_step) == ("preempted", 2)

    successor.step(0.0)
    second = pool.first
    assert (second.config, second.seed) == (first.config, first.seed)
    assert second.resume_from == first.checkpoint != second.checkpoint
    assert (first.own, second.own) == (False, True)
    assert steps_of(sqlite_database, study_id) == [1, 2]
    pool.report(second, 3, loss=0.5)
    pool.finish(second, loss=0.5)
    successor.step(0.0)
    run = run_of(sqlite_database, study_id)
    assert (run.state, run.attempts, run.value) == (RunState.SUCCEEDED, 2, 0.5)
    assert steps_of(sqlite_database, study_id) == [1, 2, 3]
    assert second.checkpoint.exists()
    assert not first.checkpoint.exists(), "there is a later one"
    successor.hand_over()


def test_a_run_that_is_preempted_again_keeps_its_last_checkpoint(
    study_id: int, pool: Any, turn: Turn, dispatcher: Dispatcher, sqlite_database: Database
) -> None:
    turn()
    given = []
    for step in (1, 2, 3):
        given.append(pool.first)
        pool.give_back(pool.first, step)
        turn()
    last = pool.first
    assert [one.resume_from for one in [*given, last]] == [None, *(one.checkpoint for one in given)]
    assert [one.checkpoint.exists() for one in given] == [False, False, True]
    pool.fail(last, FailureClass.DIVERGED)
    turn()
    assert run_of(sqlite_database, study_id).state == RunState.FAILED
    assert not given[-1].checkpoint.exists(), "nobody goes on from it"


def test_what_does_not_answer_in_time_is_ended_and_begun_anew(
    study_id: int, pool: Any, sqlite_database: Database, checkpoints: Checkpoints, successor: Dispatcher
) -> None:
    dispatcher = Dispatcher(sqlite_database, pool, checkpoints, exclusive=True, drain_seconds=0.1)
    dispatcher.step(0.0)
    key = pool.first.key
    ended(dispatcher)
    assert pool.killed == [key]
    (attempt,) = attempts_of(sqlite_database, study_id, 0)
    assert (attempt.state, attempt.checkpoint) == ("preempted", None)
    successor.step(0.0)
    assert pool.first.resume_from is None
    successor.hand_over()


def test_leases_are_kept_and_nothing_is_taken_while_runs_give_way(
    study_id: int, create: Create, pool: Any, sqlite_database: Database, checkpoints: Checkpoints, show: Any
) -> None:
    seconds = {"lease_seconds": 15.0, "renewal_seconds": 0.001, "drain_seconds": 0.1}
    dispatcher = Dispatcher(sqlite_database, pool, checkpoints, **seconds)
    dispatcher.step(0.0)
    before = show().lease_expires
    create(name="late")
    dispatcher.drain()
    assert show().lease_expires > before
    assert show("late").owner is None
    dispatcher.hand_over()


def test_a_lost_checkpoint_costs_time_only(study_id: int, pool: Any, turn: Turn, sqlite_database: Database) -> None:
    turn()
    first = pool.first
    pool.report(first, 1, loss=1.0)
    pool.give_back(first, 1)
    first.checkpoint.unlink()
    turn()
    again = pool.first
    assert again.resume_from is None
    pool.report(again, 1, loss=1.0)
    pool.report(again, 2, loss=1.0)
    pool.finish(again, loss=1.0)
    turn()
    assert steps_of(sqlite_database, study_id) == [1, 2]
    assert run_of(sqlite_database, study_id).state == RunState.SUCCEEDED


def test_a_run_that_a_rule_has_ended_does_not_go_on(
    create: Create, hyperband_payload: dict[str, Any], pool: Any, turn: Turn, sqlite_database: Database
) -> None:
    rule = {"rule": "median", "trials": 1, "grace": 1}
    algorithm = {"name": "random", "stop": rule}
    study_id = create({**hyperband_payload, "algorithm": algorithm, "parallelism": 1})
    turn()
    pool.report(pool.first, 1, loss=0.0)
    pool.finish(pool.first, loss=0.0)
    turn()
    pool.report(pool.first, 1, loss=9.0)
    pool.give_back(pool.first, 1)
    turn()
    run = run_of(sqlite_database, study_id, 1)
    assert (run.state, run.metrics) == (RunState.STOPPED, {"loss": 1.0})


def test_the_pool_is_told_what_waits_for_room(create: Create, pool: Any, turn: Turn) -> None:
    create(parallelism=3)
    create(name="wide", resources={"cpus": 4, "gpus": 1}, parallelism=2)
    turn()
    turn()
    assert len(pool.open) == 2
    assert pool.wanted == {Resources(1): 1, Resources(4, 1): 2}
    while pool.open:
        pool.finish(pool.first, loss=1.0)
        turn()
    assert pool.wanted == {Resources(4, 1): 2}


PREEMPTIBLE = {"cpus": 1, "preemptible": True}


def test_the_youngest_run_of_the_lowest_priority_gives_way_to_a_study_without_room(
    create: Create, pool: Any, turn: Turn, sqlite_database: Database
) -> None:
    low = create(name="low", priority=-1, resources=PREEMPTIBLE)
    turn()
    older, younger = pool.open.values()
    pool.steps = {older.key: 1, younger.key: 1}
    create(name="high", priority=1, parallelism=1)
    turn()
    turn()
    assert next(iter(pool.open)) == older.key
    assert len(pool.open) == 2
    assert run_of(sqlite_database, low, 1).state == RunState.PENDING
    high = pool.submitted[-1]
    assert high.checkpoint.parent != younger.checkpoint.parent
    turn()
    pool.finish(high, loss=1.0)
    turn()
    assert pool.submitted[-1].checkpoint.parent == high.checkpoint.parent, "whoever ranks higher goes on first"
    assert next(iter(pool.open)) == older.key, "and it takes one run's room, no more"


def test_the_room_goes_to_the_study_that_a_run_gave_way_to(create: Create, pool: Any, turn: Turn) -> None:
    """With one worker neither study has a run under way then; the shares so far are not what decides."""
    pool.workers = 1
    create(name="low", priority=-1, resources=PREEMPTIBLE, parallelism=1)
    turn()
    low = pool.first.checkpoint.parent
    create(name="high", priority=1, parallelism=1, budget={"max_runs": 2})
    turns = 0
    while not pool.open or pool.first.checkpoint.parent == low:
        pool.steps = dict.fromkeys(pool.open, 1)
        turn()
        turns += 1
        assert turns < 8, "the study of higher priority is to have the room"
    assert len(pool.submitted) == 2, "one run gave way, once"


@pytest.mark.parametrize(
    ("resources", "priority", "wanted"),
    [
        ({"cpus": 1}, 1, {"cpus": 1}),
        (PREEMPTIBLE, 0, {"cpus": 1}),
        (PREEMPTIBLE, 1, {"cpus": 1, "gpus": 1}),
    ],
    ids=["it does not allow it", "the other ranks no higher", "it would not make room"],
)
def test_a_run_gives_way_only_if(
    resources: dict[str, Any], priority: int, wanted: dict[str, Any], create: Create, pool: Any, turn: Turn
) -> None:
    create(name="low", resources=resources)
    turn()
    running = list(pool.open)
    pool.steps = dict.fromkeys(running, 1)
    create(name="high", priority=priority, resources=wanted)
    for _ in range(3):
        turn()
    assert list(pool.open) == running


def test_one_run_gives_way_however_long_it_takes_it(create: Create, pool: Any, turn: Turn) -> None:
    create(name="low", resources=PREEMPTIBLE)
    turn()
    create(name="high", priority=1)
    for _ in range(3):
        turn()
    assert pool.preempted == [list(pool.open)[-1]]


def test_no_run_gives_way_to_a_study_that_its_quota_holds(
    create: Create, pool: Any, turn: Turn, sqlite_database: Database
) -> None:
    create(name="low", resources=PREEMPTIBLE)
    turn()
    running = list(pool.open)
    pool.steps = dict.fromkeys(running, 1)
    with sqlite_database.session() as session:
        session.get_one(Project, DEFAULT_PROJECT_ID).max_runs = 2
    create(name="high", priority=1)
    for _ in range(4):
        turn()
    assert list(pool.open) == running
    assert pool.wanted == {}
