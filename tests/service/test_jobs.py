"""Jobs beside the runs, against a pool that does what the test says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from search.history import RunState
from service.database import Database
from service.job_schemas import Finalize
from service.jobs.finalization import cancel, finalize
from service.jobs.runner import JobRunner
from service.lifecycle import cancel_study, resume_study
from service.models import DEFAULT_PROJECT_ID, Job, Study, utcnow
from service.problems import Refused
from service.repositories.events import Events
from service.repositories.jobs import Jobs
from service.repositories.owned import Owned
from service.states import StudyState
from workers.protocol import Assignment, FailureClass, Finished, Result

Turn = Callable[[], None]
Show = Callable[[], Study]
TRAIN: dict[str, Any] = {
    "space": {"parameters": [{"name": "width", "type": "int", "low": 16, "high": 64, "default": 24}]},
    "objective": {"type": "train", "family": "mlp", "dataset": "digits", "epochs": 2},
    "metrics": [{"name": "val_accuracy", "direction": "maximize"}],
    "seed": 1,
}


@pytest.fixture
def jobs(sqlite_database: Database, show: Show) -> Callable[[], Sequence[Job]]:
    def read() -> Sequence[Job]:
        with sqlite_database.session(write=False) as session:
            return Jobs(session).of(show().id)

    return read


def settle(pool: Any, turn: Turn, assignment: Assignment, **details: Any) -> None:
    """Ends a job."""
    metrics = details.pop("metrics", {})
    del pool.open[assignment.key]
    if assignment.checkpoint:
        assignment.checkpoint.write_bytes(b"model")
    made = Result(metrics, checkpointed=assignment.checkpoint is not None, details=details)
    pool.events.append(Finished(assignment.key, made))
    turn()


def pass_checks(pool: Any, turn: Turn) -> None:
    turn()
    while any(one.task == "job" for one in pool.open.values()):
        for one in list(pool.open.values()):
            assert one.job is not None, "no run begins before the checks have ended"
            settle(pool, turn, one, passed=True)
        turn()


def test_a_study_that_trains_is_looked_into_before_its_first_run(
    create: Callable[..., int], pool: Any, turn: Turn, show: Show, jobs: Callable[[], Sequence[Job]]
) -> None:
    create(**TRAIN)
    assert [job.kind for job in jobs()] == ["baseline", "overfit", "lr_range"]
    turn()
    assert [one.job.kind for one in pool.open.values()] == ["baseline", "overfit"], "as many as there are workers"
    assert all(one.config == {"width": 24} for one in pool.open.values())
    assert show().waiting.startswith("checks: 3")
    pass_checks(pool, turn)
    assert [job.state for job in jobs()] == [RunState.SUCCEEDED] * 3
    assert show().checks == 0
    assert [one.task for one in pool.open.values()] == ["train", "train"]


@pytest.mark.parametrize(
    ("checks", "kinds"),
    [(False, []), ({"baseline": False}, ["overfit", "lr_range"]), (True, ["baseline", "overfit", "lr_range"])],
)
def test_checks_can_be_left_out(
    checks: Any, kinds: list[str], create: Callable[..., int], jobs: Callable[[], Sequence[Job]]
) -> None:
    create(**TRAIN, checks=checks)
    assert [job.kind for job in jobs()] == kinds


def test_what_is_not_trained_here_is_not_looked_into(
    create: Callable[..., int], pool: Any, turn: Turn, jobs: Callable[[], Sequence[Job]]
) -> None:
    create()
    turn()
    assert jobs() == []
    assert len(pool.open) == 2


def test_a_study_that_cannot_learn_by_heart_pauses_and_may_be_resumed(
    create: Callable[..., int], pool: Any, turn: Turn, show: Show, sqlite_database: Database
) -> None:
    create(**TRAIN, checks={"baseline": False, "lr_range": False})
    turn()
    found = {"score": "accuracy", "wanted": 0.98, "value": 0.3, "epochs": 300, "examples": 64}
    settle(pool, turn, pool.first, passed=False, why="the loss hardly falls", **found)
    study = show()
    assert study.state == StudyState.PAUSED
    assert study.reason is not None
    assert "learn 64 examples by heart (accuracy 0.3" in study.reason
    assert "the loss hardly falls" in study.reason
    assert not pool.open
    with sqlite_database.session() as session:
        resume_study(session, DEFAULT_PROJECT_ID, "s")
    turn()
    assert [one.task for one in pool.open.values()] == ["train", "train"]


def test_a_check_that_fails_holds_nothing_up(
    create: Callable[..., int], pool: Any, turn: Turn, jobs: Callable[[], Sequence[Job]]
) -> None:
    create(**TRAIN, checks={"baseline": False, "lr_range": False})
    turn()
    pool.fail(pool.first, FailureClass.ERROR, "no such data")
    turn()
    (job,) = jobs()
    assert (job.state, job.failure["message"]) == (RunState.FAILED, "no such data")
    turn()
    assert [one.task for one in pool.open.values()] == ["train", "train"]


def test_a_lost_worker_costs_an_attempt_and_the_third_one_the_job(
    create: Callable[..., int], pool: Any, turn: Turn, jobs: Callable[[], Sequence[Job]]
) -> None:
    create(**TRAIN, checks={"baseline": False, "lr_range": False})
    for attempt in (1, 2, 3):
        turn()
        (job,) = jobs()
        assert (job.attempts, job.state) == (attempt, RunState.RUNNING)
        pool.fail(pool.first, FailureClass.LOST)
        turn()
    assert jobs()[0].state == RunState.FAILED


def test_jobs_of_a_dead_dispatcher_are_taken_over(
    create: Callable[..., int], pool: Any, turn: Turn, jobs: Callable[[], Sequence[Job]], sqlite_database: Database
) -> None:
    study_id = create(**TRAIN, checks={"baseline": False, "lr_range": False})
    with sqlite_database.session() as session:
        Owned(session).lock(study_id)
        Jobs(session).start(Jobs(session).get(study_id, 0), "gone", "somebody", 30)
    turn()
    assert not pool.open, "its lease still runs"
    with sqlite_database.session() as session:
        Jobs(session).get(study_id, 0).lease_expires = utcnow() - timedelta(seconds=1)
    turn()
    assert pool.first.job.kind == "overfit"
    assert jobs()[0].attempts == 2


def test_cancelling_ends_the_checks_too(
    create: Callable[..., int], pool: Any, turn: Turn, jobs: Callable[[], Sequence[Job]], sqlite_database: Database
) -> None:
    create(**TRAIN)
    turn()
    with sqlite_database.session() as session:
        cancel_study(session, DEFAULT_PROJECT_ID, "s")
    turn()
    assert {job.state for job in jobs()} == {RunState.CANCELLED}
    assert len(pool.killed) == 2


def test_a_fault_of_the_service_ends_one_job_and_nothing_else(
    create: Callable[..., int],
    pool: Any,
    turn: Turn,
    show: Show,
    jobs: Callable[[], Sequence[Job]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("what nobody thought of")

    monkeypatch.setattr(JobRunner, "_assignment", broken)
    create(**TRAIN, checks={"baseline": False, "lr_range": False})
    turn()
    (job,) = jobs()
    assert job.state == RunState.FAILED
    assert "what nobody thought of" in job.failure["message"]
    assert show().checks == 0
    turn()
    assert [one.task for one in pool.open.values()] == ["train", "train"]


def test_giving_a_job_back_is_no_attempt(
    create: Callable[..., int], pool: Any, turn: Turn, jobs: Callable[[], Sequence[Job]], dispatcher: Any
) -> None:
    create(**TRAIN, checks={"baseline": False, "lr_range": False})
    for _ in range(5):
        turn()
        assert jobs()[0].attempts == 1
        dispatcher.hand_over()
        assert (jobs()[0].state, jobs()[0].attempts) == (RunState.PENDING, 0)
        turn()
        pool.give_back(pool.first, 1)
        turn()
        turn()
        assert pool.first.job.kind == "overfit", "a node that goes takes no job with it"
        dispatcher.hand_over()
    turn()
    assert (jobs()[0].state, jobs()[0].attempts) == (RunState.RUNNING, 1), "ten times given back, and still the first"


def test_a_study_has_no_more_jobs_under_way_than_runs(
    create: Callable[..., int], pool: Any, turn: Turn, jobs: Callable[[], Sequence[Job]]
) -> None:
    create(**{**TRAIN, "parallelism": 1})
    turn()
    assert [job.state for job in jobs()].count(RunState.RUNNING) == 1


def complete(create: Callable[..., int], pool: Any, turn: Turn, scores: dict[int, float]) -> int:
    study_id = create(**TRAIN, checks=False, budget={"max_runs": 4})
    turn()
    number = 0
    while pool.open:
        for one in list(pool.open.values()):
            if one.task == "test":
                pool.finish(one, test_accuracy=0.9)
            else:
                pool.finish(one, val_accuracy=scores[number])
                number += 1
        turn()
    return study_id


def test_a_finalization_confirms_then_trains_once_more_and_mixes(
    create: Callable[..., int],
    pool: Any,
    turn: Turn,
    show: Show,
    jobs: Callable[[], Sequence[Job]],
    sqlite_database: Database,
) -> None:
    study_id = complete(create, pool, turn, {0: 0.90, 1: 0.95, 2: 0.94, 3: 0.70})
    assert show().state == StudyState.COMPLETED
    with sqlite_database.session() as session:
        finalize(session, Owned(session).lock(study_id), Finalize(top=2, seeds=3), "me")
    turn()
    assert [(job.kind, job.trial) for job in jobs()] == [("confirm", 1)] * 3 + [("confirm", 2)] * 3
    seeds = {job.seed for job in jobs() if job.trial == 1}
    assert len(seeds) == 3
    assert seeds == {job.seed for job in jobs() if job.trial == 2}, "the same seeds, so that they compare"
    scores = {1: iter([0.90, 0.91, 0.92]), 2: iter([0.96, 0.97, 0.96])}
    by_config = {str(job.config): job.trial for job in jobs()}
    while pool.open:
        for one in list(pool.open.values()):
            assert one.metrics == ("val_accuracy",), "those of the study, by which it is judged"
            if one.job.kind == "confirm":
                settle(pool, turn, one, metrics={"val_accuracy": next(scores[by_config[str(one.config)]])})
            elif one.job.kind == "refit":
                assert by_config[str(one.config)] == 2, "the best mean, not the best single result"
                assert one.job.options["card"]["confirmed"]["scores"] == [0.96, 0.97, 0.96]
                settle(pool, turn, one, metrics={"test_accuracy": 0.95}, card={"trial": 2})
            else:
                told = {
                    kind: [m.trial for m in one.job.members if m.source == kind] for kind in ("run", "confirmation")
                }
                assert told == {"run": [1, 2, 0, 3], "confirmation": [1] * 3 + [2] * 3}
                assert one.job.options == {"best": 2}
                kept = [member.checkpoint for member in one.job.members if member.source == "confirmation"]
                assert all(path.exists() for path in kept)
                settle(pool, turn, one, single={}, ensemble={})
        turn()
    assert [job.kind for job in jobs()][6:] == ["refit", "ensemble"]
    assert {job.state for job in jobs()} == {RunState.SUCCEEDED}
    assert [job.number for job in jobs() if job.model] == [6]
    assert not any(path.exists() for path in kept), "nobody needs them any more"
    with sqlite_database.session(write=False) as session:
        types = [event.type for event in Events(session).after(study_id, 0, 1000)]
        last = Events(session).after(study_id, 0, 1000)[-1]
    assert types[-1] == "study.finalized"
    assert last.data == {"finalization": 1, "state": "succeeded"}
    assert types.count("study.finalizing") == 1


def begin(database: Database, study_id: int, **wishes: Any) -> None:
    with database.session() as session:
        finalize(session, Owned(session).lock(study_id), Finalize(**wishes), "me")


def call_off(database: Database, study_id: int) -> int:
    with database.session() as session:
        return cancel(session, Owned(session).lock(study_id))


def events_of(database: Database, study_id: int) -> list[tuple[str, Any]]:
    with database.session(write=False) as session:
        found = [(event.type, event.data) for event in Events(session).after(study_id, 0, 1000)]
    return [one for one in found if one[0].startswith("study.finali")]


def test_what_a_confirmation_kept_goes_with_a_finalization_that_was_cancelled_as_it_ended(
    create: Callable[..., int], pool: Any, turn: Turn, dispatcher: Any, sqlite_database: Database
) -> None:
    study_id = complete(create, pool, turn, dict.fromkeys(range(4), 0.9))
    begin(sqlite_database, study_id, top=2, seeds=2)
    turn()
    confirmation = pool.first
    confirmation.checkpoint.write_bytes(b"model")
    call_off(sqlite_database, study_id)
    dispatcher.jobs.record(Finished(confirmation.key, Result({"val_accuracy": 0.9}, checkpointed=True)))
    turn()
    assert not confirmation.checkpoint.exists()


def test_a_cancelled_finalization_ends_what_runs_and_can_be_begun_anew(
    create: Callable[..., int],
    pool: Any,
    turn: Turn,
    jobs: Callable[[], Sequence[Job]],
    sqlite_database: Database,
) -> None:
    study_id = complete(create, pool, turn, dict.fromkeys(range(4), 0.9))
    begin(sqlite_database, study_id, top=2, seeds=2)
    turn()
    settle(pool, turn, pool.first, metrics={"val_accuracy": 0.9})
    kept = [one.checkpoint for one in pool.open.values()]
    for path in kept:
        path.write_bytes(b"half of it")
    already = len(pool.killed)
    assert call_off(sqlite_database, study_id) == 1
    turn()
    assert len(pool.killed) == already + 2
    assert not pool.open
    assert not any(path.exists() for path in kept)
    assert [job.state for job in jobs()] == [RunState.SUCCEEDED] + [RunState.CANCELLED] * 3
    with pytest.raises(Refused, match="no finalization of the study is under way"):
        call_off(sqlite_database, study_id)
    begin(sqlite_database, study_id, top=1, seeds=1)
    turn()
    while pool.open:
        settle(pool, turn, pool.first, metrics={"val_accuracy": 0.9, "test_accuracy": 0.9}, card={})
        turn()
    assert events_of(sqlite_database, study_id) == [
        ("study.finalizing", {"finalization": 1}),
        ("study.finalized", {"finalization": 1, "state": "cancelled"}),
        ("study.finalizing", {"finalization": 2}),
        ("study.finalized", {"finalization": 2, "state": "succeeded"}),
    ]


def test_a_word_that_comes_after_the_cancellation_counts_for_nothing(
    create: Callable[..., int], pool: Any, turn: Turn, jobs: Callable[[], Sequence[Job]], sqlite_database: Database
) -> None:
    study_id = complete(create, pool, turn, dict.fromkeys(range(4), 0.9))
    begin(sqlite_database, study_id, top=1, seeds=1)
    turn()
    late = pool.first
    pool.events.append(Finished(late.key, Result({"val_accuracy": 0.9})))
    call_off(sqlite_database, study_id)
    turn()
    turn()
    assert [(job.kind, job.state, job.metrics) for job in jobs()] == [("confirm", RunState.CANCELLED, None)]
    assert len(events_of(sqlite_database, study_id)) == 2


def test_one_fault_of_the_service_does_not_end_a_finalization_whose_other_parts_go_on(
    create: Callable[..., int], pool: Any, turn: Turn, sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    study_id = complete(create, pool, turn, dict.fromkeys(range(4), 0.9))
    begin(sqlite_database, study_id, top=1, seeds=2)
    whole = JobRunner._assignment

    def broken(self: JobRunner, session: Any, study: Study, job: Job, key: str) -> Assignment:
        if job.number == 0:
            raise KeyError("what nobody thought of")
        return whole(self, session, study, job, key)

    monkeypatch.setattr(JobRunner, "_assignment", broken)
    turn()
    assert events_of(sqlite_database, study_id) == [("study.finalizing", {"finalization": 1})]
    while pool.open:
        settle(pool, turn, pool.first, metrics={"val_accuracy": 0.9, "test_accuracy": 0.9}, card={})
        turn()
    assert events_of(sqlite_database, study_id)[1:] == [("study.finalized", {"finalization": 1, "state": "succeeded"})]


def test_what_confirmations_keep_survives_a_restart_and_nothing_else_does(
    create: Callable[..., int], pool: Any, turn: Turn, sqlite_database: Database, dispatcher: Any
) -> None:
    study_id = complete(create, pool, turn, dict.fromkeys(range(4), 0.9))
    begin(sqlite_database, study_id, top=1, seeds=3)
    turn()
    kept = pool.first.checkpoint
    settle(pool, turn, pool.first, metrics={"val_accuracy": 0.9})
    dispatcher._tidy([study_id])
    assert kept.exists()
    call_off(sqlite_database, study_id)
    dispatcher._tidy([study_id])
    assert not kept.exists()


def test_only_a_finished_study_with_a_result_is_finalized_and_one_at_a_time(
    create: Callable[..., int], pool: Any, turn: Turn, sqlite_database: Database
) -> None:
    study_id = complete(create, pool, turn, dict.fromkeys(range(4), 0.9))
    other = create(name="t", **TRAIN)
    external = create(name="u")
    with sqlite_database.session() as session:
        lock = Owned(session).lock
        with pytest.raises(Refused, match="when it has ended"):
            finalize(session, lock(other), Finalize(), "me")
        with pytest.raises(Refused, match="objective train"):
            finalize(session, lock(external), Finalize(), "me")
        finalize(session, lock(study_id), Finalize(top=1, seeds=1), "me")
        with pytest.raises(Refused, match="under way"):
            finalize(session, lock(study_id), Finalize(), "me")
