"""The dispatcher against a pool that does what the test says: every way in which a run can end, and every crash."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from search.history import RunState
from service.amendments import Amendments
from service.checkpoints import Checkpoints
from service.database import Database, DatabaseUnavailable
from service.dispatcher import Dispatcher
from service.lifecycle import cancel_study, pause_study, resume_study
from service.models import DEFAULT_PROJECT_ID, Attempt, Run, Study, utcnow
from service.repositories.events import Events
from service.repositories.owned import Owned
from service.repositories.reports import Reports
from service.repositories.runs import Runs
from service.repositories.standings import Standings
from service.states import StudyState
from service.study_work import StudyWork
from service.tracking import tracked
from workers.protocol import FailureClass

Create = Callable[..., int]
Turn = Callable[[], None]
Show = Callable[[], Study]


def runs_of(database: Database, study_id: int) -> list[Run]:
    with database.session(write=False) as session:
        return [row.run for row in Runs(session).page(study_id, 10_000)]


def event_types(database: Database, study_id: int) -> list[str]:
    with database.session(write=False) as session:
        return [event.type for event in Events(session).after(study_id, 0, 1000)]


def drive(pool: Any, turn: Turn, loss: Callable[[Any], float]) -> None:
    """Ends everything that is submitted until nothing more is."""
    turn()
    while pool.open:
        for assignment in list(pool.open.values()):
            pool.finish(assignment, loss=loss(assignment))
        turn()


def test_a_study_runs_to_its_end(create: Create, pool: Any, turn: Turn, show: Show, sqlite_database: Database) -> None:
    study_id = create()
    drive(pool, turn, lambda a: a.config["x0"])
    turn()
    study = show()
    assert (study.state, study.reason) == (StudyState.COMPLETED, "budget: max_runs: 4 runs were started")
    runs = runs_of(sqlite_database, study_id)
    assert [run.state for run in runs] == [RunState.SUCCEEDED] * 4
    assert [run.number for run in runs] == [0, 1, 2, 3]
    assert event_types(sqlite_database, study_id)[0] == "study.created"
    assert event_types(sqlite_database, study_id)[-2:] == ["study.tested", "study.completed"]
    with sqlite_database.session(write=False) as session:
        best = Standings(session).leader(study)
        evaluation = Runs(session).evaluation(study_id)
    assert best
    assert evaluation
    assert best.row.run.value == min(run.value for run in runs if run.value is not None)
    assert evaluation.run == best.row.run.number


def test_the_best_run_is_tested_once_and_its_checkpoint_kept(
    create: Create, pool: Any, turn: Turn, checkpoints: Checkpoints
) -> None:
    create()
    drive(pool, turn, lambda a: a.config["x0"])
    tests = [a for a in pool.submitted if a.task == "test"]
    assert len(tests) == 1
    best = min((a for a in pool.submitted if a.task == "train"), key=lambda a: a.config["x0"])
    assert tests[0].resume_from == best.checkpoint
    assert [path for path in checkpoints.folder.rglob("*") if path.is_file()] == [best.checkpoint]


def test_no_more_runs_than_parallelism_and_workers(create: Create, pool: Any, turn: Turn) -> None:
    create(parallelism=1)
    turn()
    assert len(pool.open) == 1
    create(name="t", parallelism=8)
    turn()
    assert len(pool.open) == 2


def test_free_workers_are_shared_between_studies(create: Create, pool: Any, turn: Turn) -> None:
    pool.workers = 4
    create(name="a", parallelism=8, budget={"max_runs": 8})
    create(name="b", parallelism=8, budget={"max_runs": 8})
    turn()
    assert len(pool.submitted) == 4
    assert len({assignment.seed for assignment in pool.submitted}) == 2, "same study seed, two trials of each"


def test_a_promotion_continues_from_the_checkpoint_of_its_trial(
    create: Create, pool: Any, turn: Turn, hyperband_payload: dict[str, Any], sqlite_database: Database
) -> None:
    study_id = create(hyperband_payload)
    drive(pool, turn, lambda a: a.config["x0"])
    by_number = {run.number: run for run in runs_of(sqlite_database, study_id)}
    promoted = [run for run in by_number.values() if run.resume_from is not None]
    assert promoted
    for run in promoted:
        source = by_number[run.resume_from or 0]
        assert (source.trial, source.rung) == (run.trial, run.rung - 1)
        assert source.checkpoint is None, "superseded by the promoted run's own"
    assignments = {a.checkpoint: a for a in pool.submitted}
    assert all(a.resume_from in assignments for a in assignments.values() if a.resume_from and a.task == "train")
    for a in assignments.values():
        if a.task == "train" and a.resume_from:
            assert assignments[a.resume_from].seed == a.seed, "a trial keeps its seed"
            assert not a.own, "it is another run's"


def test_a_failed_run_is_recorded_with_its_class_and_the_study_goes_on(
    create: Create, pool: Any, turn: Turn, show: Show, sqlite_database: Database
) -> None:
    study_id = create()
    turn()
    pool.fail(pool.first, FailureClass.DIVERGED, "val_loss is nan at step 3")
    pool.finish(pool.first, loss=float("nan"))
    drive(pool, turn, lambda a: 1.0)
    assert show().state == StudyState.COMPLETED
    first, second, *_ = runs_of(sqlite_database, study_id)
    assert (first.state, first.failure_class) == (RunState.FAILED, "diverged")
    assert first.failure_message == "val_loss is nan at step 3"
    assert first.failure_traceback
    assert (second.state, second.failure_class, second.metrics) == (RunState.FAILED, "diverged", None)


def test_a_study_in_which_nothing_succeeds_fails_and_says_why(
    create: Create, pool: Any, turn: Turn, show: Show
) -> None:
    create()
    turn()
    while pool.open:
        pool.fail(pool.first, FailureClass.ERROR, "no such file: train.csv")
        turn()
    assert show().state == StudyState.FAILED
    assert "no such file: train.csv" in (show().reason or "")


def test_a_lost_worker_gives_a_new_attempt_until_the_third(
    create: Create, pool: Any, turn: Turn, sqlite_database: Database
) -> None:
    study_id = create(parallelism=1)
    turn()
    first = pool.first
    pool.report(first, 1, loss=0.5)
    pool.fail(first, FailureClass.LOST)
    turn()
    again = pool.first
    assert (again.config, again.seed, again.resume_from) == (first.config, first.seed, first.resume_from)
    assert again.key != first.key
    assert again.checkpoint != first.checkpoint, "a lost worker that still writes does not disturb the new one"
    run = runs_of(sqlite_database, study_id)[0]
    assert (run.state, run.attempts) == (RunState.PENDING, 2)
    assert "run.retried" in event_types(sqlite_database, study_id)
    for _ in range(2):
        pool.fail(pool.first, FailureClass.LOST, "the worker died")
        turn()
    run = runs_of(sqlite_database, study_id)[0]
    assert (run.state, run.failure_class, run.attempts) == (RunState.FAILED, "lost", 3)
    with sqlite_database.session(write=False) as session:
        assert Reports(session).page(study_id, 10) == [], "the reports of a lost attempt are not shown"


def test_killed_dispatchers_do_not_count_as_lost_workers(
    create: Create, pool: Any, checkpoints: Checkpoints, sqlite_database: Database
) -> None:
    study_id = create(parallelism=1, retry={"lost": 1})
    for _ in range(3):  # each is killed: none hands over
        pool = type(pool)()
        dispatcher = Dispatcher(sqlite_database, pool, checkpoints, exclusive=True)
        dispatcher.step(0.0)
        assert len(pool.open) == 1
    states = []
    for _ in range(2):
        pool.fail(pool.first, FailureClass.LOST, "the worker died")
        dispatcher._next_look = 0.0
        dispatcher.step(0.0)
        states.append(runs_of(sqlite_database, study_id)[0].state)
    assert states == [RunState.PENDING, RunState.FAILED]
    dispatcher.hand_over()


def test_late_words_of_a_given_up_attempt_change_nothing(
    create: Create, pool: Any, turn: Turn, sqlite_database: Database
) -> None:
    study_id = create(parallelism=1)
    turn()
    first = pool.first
    pool.fail(first, FailureClass.LOST)
    turn()
    pool.open[first.key] = first
    pool.finish(first, loss=-1.0)
    turn()
    assert runs_of(sqlite_database, study_id)[0].state == RunState.RUNNING


def test_pausing_lets_open_runs_end_and_starts_none(
    create: Create, pool: Any, turn: Turn, show: Show, sqlite_database: Database
) -> None:
    create()
    turn()
    with sqlite_database.session() as session:
        pause_study(session, DEFAULT_PROJECT_ID, "s")
    pool.finish(pool.first, loss=1.0)
    pool.finish(pool.first, loss=2.0)
    turn()
    turn()
    assert not pool.open
    assert show().state == StudyState.PAUSED
    with sqlite_database.session() as session:
        resume_study(session, DEFAULT_PROJECT_ID, "s")
    drive(pool, turn, lambda a: 3.0)
    assert show().state == StudyState.COMPLETED
    assert len([a for a in pool.submitted if a.task == "train"]) == 4


def test_cancelling_kills_what_runs_and_ignores_its_results(
    create: Create, pool: Any, turn: Turn, show: Show, sqlite_database: Database
) -> None:
    study_id = create()
    turn()
    keys = set(pool.open)
    pool.finish(pool.first, loss=1.0)
    with sqlite_database.session() as session:
        cancel_study(session, DEFAULT_PROJECT_ID, "s")
    turn()
    turn()
    assert show().state == StudyState.CANCELLED
    assert set(pool.killed) <= keys
    assert not pool.open
    assert {run.state for run in runs_of(sqlite_database, study_id)} == {RunState.CANCELLED}


@pytest.mark.parametrize("speaks", [True, False])
def test_what_somebody_ended_is_killed_though_no_worker_is_free(
    create: Create, pool: Any, turn: Turn, sqlite_database: Database, speaks: bool
) -> None:
    study_id = create(parallelism=1)
    turn()
    (key,) = pool.open
    if not speaks:
        turn()  # its first word has been heard
    with sqlite_database.session() as session:
        study = Owned(session).lock(study_id)
        Amendments(StudyWork(session, study, tracked(session, study), Checkpoints(Path())), "ada").invalidate(0, "typo")
    turn()
    assert pool.killed == [key]
    turn()
    assert len(pool.open) == 1, "the worker has the next one"


def test_when_time_is_used_up_open_runs_are_stopped(
    create: Create, pool: Any, turn: Turn, show: Show, sqlite_database: Database
) -> None:
    study_id = create(budget={"max_seconds": 1000})
    turn()
    pool.finish(pool.first, loss=1.0)
    turn()
    with sqlite_database.session() as session:
        study = session.get(Study, study_id)
        assert study
        study.active_seconds = 1001
    turn()
    assert set(pool.stopped) == set(pool.open)
    for assignment in list(pool.open.values()):
        pool.finish(assignment, stopped=True, loss=5.0)
    drive(pool, turn, lambda a: 1.0)
    assert (show().state, show().reason) == (StudyState.COMPLETED, "budget: max_seconds is used up")
    assert [run.state for run in runs_of(sqlite_database, study_id)] == ["succeeded", "stopped", "stopped"]


def test_a_study_that_asks_for_more_than_there_is_says_what_it_waits_for(
    create: Create, pool: Any, turn: Turn, show: Show
) -> None:
    create(resources={"cpus": 1, "gpus": 1})
    turn()
    assert show().waiting == "workers: waiting for one with 1 CPUs and 1 GPUs"


def test_a_barrier_is_named_while_a_bracket_waits(
    create: Create, pool: Any, turn: Turn, show: Show, hyperband_payload: dict[str, Any]
) -> None:
    pool.workers = 64
    create(hyperband_payload, parallelism=64, algorithm={"name": "hyperband", "eta": 3, "max_open_brackets": 1})
    turn()
    assert (show().waiting or "").startswith("barrier: ")


def test_an_algorithm_that_raises_fails_its_study_alone(
    create: Create, pool: Any, turn: Turn, show: Callable[..., Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    import service.decisions

    real = service.decisions.ask_many

    def ask_many(spec: Any, history: Any, k: int) -> Any:
        if spec.seed == 13:
            raise ZeroDivisionError("a bug")
        return real(spec, history, k)

    monkeypatch.setattr(service.decisions, "ask_many", ask_many)
    create(name="broken", seed=13)
    create()
    drive(pool, turn, lambda a: 1.0)
    assert show("broken").state == StudyState.FAILED
    assert "a bug" in (show("broken").reason or "")
    assert show("s").state == StudyState.COMPLETED


@pytest.mark.parametrize("stored", [False, True], ids=["rolled back", "stored"])
@pytest.mark.parametrize("fails_at", range(12))
def test_a_commit_that_fails_loses_nothing_and_repeats_nothing(
    create: Create,
    pool: Any,
    checkpoints: Checkpoints,
    sqlite_database: Database,
    hyperband_payload: dict[str, Any],
    fails_at: int,
    stored: bool,
    show: Show,
    breaking: Callable[[bool], Any],
) -> None:
    """At whichever write the database breaks, the study ends as if it had not."""
    study_id = create(hyperband_payload, parallelism=1)
    flaky = breaking(stored)
    dispatcher = Dispatcher(flaky, pool, checkpoints, exclusive=True)
    turns = 0

    def turn() -> None:
        nonlocal turns
        dispatcher._next_look = 0.0
        flaky.failures = 1 if turns == fails_at else 0
        turns += 1
        try:
            dispatcher.step(0.0)
        except DatabaseUnavailable:
            dispatcher._next_look = 0.0
            dispatcher.step(0.0)

    drive(pool, turn, lambda a: a.config["x0"])
    turn()
    dispatcher.hand_over()
    _expect_undisturbed(sqlite_database, study_id)
    assert show().state == StudyState.COMPLETED
    assert len({(a.config["x0"], a.fidelity) for a in pool.submitted if a.task == "train"}) == 22


@pytest.mark.parametrize("killed_after", [0, 1, 2, 5, 9, 14, 21])
def test_a_killed_dispatcher_is_continued_by_the_next(
    create: Create,
    pool: Any,
    checkpoints: Checkpoints,
    sqlite_database: Database,
    hyperband_payload: dict[str, Any],
    killed_after: int,
) -> None:
    study_id = create(hyperband_payload, parallelism=1)
    killed = Dispatcher(sqlite_database, pool, checkpoints, exclusive=True)
    killed.step(0.0)
    for _ in range(killed_after):
        pool.finish(pool.first, loss=pool.first.config["x0"])
        killed.step(0.0)
    fresh_pool = type(pool)()
    successor = Dispatcher(sqlite_database, fresh_pool, checkpoints, exclusive=True)

    def turn() -> None:
        successor._next_look = 0.0
        successor.step(0.0)

    drive(fresh_pool, turn, lambda a: a.config["x0"])
    successor.hand_over()
    _expect_undisturbed(sqlite_database, study_id)
    with sqlite_database.session(write=False) as session:
        attempts = [session.get(Attempt, (study_id, killed_after, n)) for n in (1, 2)]
        if killed_after < 22:
            assert [a.state if a else None for a in attempts] == ["superseded", "succeeded"]


def _expect_undisturbed(database: Database, study_id: int) -> None:
    """One worker, so the study is the same however often it was disturbed: one cycle of (1..9, eta 3, ceil)."""
    runs = runs_of(database, study_id)
    assert [run.state for run in runs] == [RunState.SUCCEEDED] * 22
    assert [run.number for run in runs] == list(range(22))
    sizes: dict[tuple[int, int], int] = {}
    for run in runs:
        sizes[run.bracket, run.rung] = sizes.get((run.bracket, run.rung), 0) + 1
    assert sizes == {(0, 0): 9, (0, 1): 3, (0, 2): 1, (1, 1): 5, (1, 2): 1, (2, 2): 3}
    first = [run.trial for run in runs if run.resume_from is None]
    assert first == sorted(set(first)), "no trial was done twice"


def test_a_lease_that_was_taken_over_ends_the_work_of_its_former_owner(
    create: Create, pool: Any, checkpoints: Checkpoints, sqlite_database: Database
) -> None:
    study_id = create()
    former = Dispatcher(sqlite_database, pool, checkpoints, lease_seconds=-1)  # its leases are expired when taken
    former.step(0.0)
    key = pool.first.key
    successor_pool = type(pool)()
    successor = Dispatcher(sqlite_database, successor_pool, checkpoints)
    successor.step(0.0)
    assert len(successor_pool.open) == 2
    pool.finish(pool.first, loss=-100.0)
    former._next_look = float("inf")  # it has not noticed yet
    former.step(0.0)
    assert key not in [a.key for a in successor_pool.submitted]
    assert {run.state for run in runs_of(sqlite_database, study_id)} == {RunState.PENDING}, (
        "its late word is not stored"
    )
    successor.hand_over()


def test_handing_over_leaves_runs_pending_and_leases_free(
    create: Create, pool: Any, checkpoints: Checkpoints, sqlite_database: Database, show: Show
) -> None:
    study_id = create()
    dispatcher = Dispatcher(sqlite_database, pool, checkpoints)
    dispatcher.step(0.0)
    dispatcher.step(0.0)
    dispatcher.hand_over()
    assert not pool.open
    assert show().owner is None
    assert {run.state for run in runs_of(sqlite_database, study_id)} == {RunState.PENDING}
    with sqlite_database.session(write=False) as session:
        attempt = session.get(Attempt, (study_id, 0, 1))
    assert attempt
    assert attempt.state == "preempted"


def test_a_lone_worker_goes_round_the_studies(create: Create, pool: Any, turn: Turn, sqlite_database: Database) -> None:
    pool.workers = 1
    ids = [create(name=f"s{i}", budget={"max_runs": 50}) for i in range(3)]
    turn()
    for _ in range(12):
        pool.finish(pool.first, loss=1.0)
        turn()
    done = [sum(run.state == RunState.SUCCEEDED for run in runs_of(sqlite_database, study_id)) for study_id in ids]
    assert done == [4, 4, 4]


def test_a_fault_ends_its_study_alone(
    create: Create, pool: Any, turn: Turn, show: Callable[..., Study], checkpoints: Checkpoints
) -> None:
    broken = create(name="broken")
    checkpoints.folder.mkdir()
    (checkpoints.folder / str(broken)).write_text("a file where the study's folder should be")
    create()
    drive(pool, turn, lambda a: 1.0)
    turn()
    assert show("broken").state == StudyState.FAILED
    assert "a fault of the service: FileExistsError" in (show("broken").reason or "")
    assert show().state == StudyState.COMPLETED


def test_a_test_that_always_loses_its_worker_is_given_up(
    create: Create, pool: Any, turn: Turn, show: Show, sqlite_database: Database
) -> None:
    study_id = create(budget={"max_runs": 1})
    turn()
    pool.finish(pool.first, loss=1.0)
    for _ in range(10):
        turn()
        if pool.open:
            pool.fail(pool.first, FailureClass.LOST, "the worker died")
    assert show().state == StudyState.COMPLETED
    assert event_types(sqlite_database, study_id).count("study.tested") == 3


@pytest.mark.parametrize("noticed_by", ["its dispatcher", "the next one"])
def test_a_cancelled_study_leaves_the_checkpoint_of_its_best_run(
    create: Create,
    pool: Any,
    turn: Turn,
    dispatcher: Dispatcher,
    checkpoints: Checkpoints,
    sqlite_database: Database,
    hyperband_payload: dict[str, Any],
    noticed_by: str,
) -> None:
    create(hyperband_payload)
    turn()
    best = pool.first
    for _ in range(3):
        for assignment in list(pool.open.values()):
            pool.finish(assignment, loss=float(assignment is not best))
        turn()
    if noticed_by == "the next one":
        dispatcher.hand_over()
    with sqlite_database.session() as session:
        cancel_study(session, DEFAULT_PROJECT_ID, "s")
    if noticed_by == "the next one":
        successor = Dispatcher(sqlite_database, type(pool)(), checkpoints, exclusive=True)
        create(name="other")
        successor.step(0.0)
        successor.hand_over()
    else:
        turn()
    files = [path for path in (checkpoints.folder / "1").rglob("*") if path.is_file()]
    assert files == [best.checkpoint]


def test_at_full_fidelity_only_the_best_checkpoint_is_kept(
    create: Create, pool: Any, turn: Turn, checkpoints: Checkpoints
) -> None:
    create(budget={"max_runs": 9}, parallelism=1)
    turn()
    for loss in (5.0, 3.0, 4.0, 2.0):
        pool.finish(pool.first, loss=loss)
        turn()
        files = [path for path in checkpoints.folder.rglob("*") if path.is_file()]
        assert len(files) == 1
    assert files == [pool.submitted[3].checkpoint]


def test_the_time_without_a_service_does_not_count(
    create: Create, pool: Any, checkpoints: Checkpoints, sqlite_database: Database, show: Show
) -> None:
    study_id = create(budget={"max_seconds": 1000})
    with sqlite_database.session() as session:
        study = session.get(Study, study_id)
        assert study
        assert study.active_since
        study.active_since -= timedelta(hours=1)
    dispatcher = Dispatcher(sqlite_database, pool, checkpoints, exclusive=True)
    dispatcher.step(0.0)
    assert show().elapsed(utcnow()) < 60
    dispatcher.hand_over()


def test_constraints_of_the_space_are_kept(
    create: Create, pool: Any, turn: Turn, study_payload: dict[str, Any], sqlite_database: Database
) -> None:
    space = {**study_payload["space"], "constraints": [{"linear": {"x0": 1, "x1": 1}, "le": 0}]}
    study_id = create(space=space, budget={"max_runs": 10})
    drive(pool, turn, lambda a: 1.0)
    with sqlite_database.session(write=False) as session:
        configs = [row.trial.config for row in Runs(session).page(study_id, 10_000)]
    assert len(configs) == 10
    assert all(config["x0"] + config["x1"] <= 0 for config in configs)


def test_time_that_is_up_while_runs_wait_ends_the_study_with_what_there_is(
    create: Create, pool: Any, checkpoints: Checkpoints, show: Show, sqlite_database: Database
) -> None:
    study_id = create(budget={"max_seconds": 1000})
    former = Dispatcher(sqlite_database, pool, checkpoints, exclusive=True)
    former.step(0.0)
    pool.finish(pool.first, loss=1.0)
    former.step(0.0)
    former.hand_over()  # what runs is pending again
    with sqlite_database.session() as session:
        Owned(session).lock(study_id).active_seconds = 1001
    successor = Dispatcher(sqlite_database, pool, checkpoints, exclusive=True)

    def turn() -> None:
        successor._next_look = 0.0
        successor.step(0.0)

    drive(pool, turn, lambda a: 1.0)
    turn()
    successor.hand_over()
    assert (show().state, show().reason) == (StudyState.COMPLETED, "budget: max_seconds is used up")
    assert [run.state for run in runs_of(sqlite_database, study_id)] == ["succeeded", "cancelled", "cancelled"]
