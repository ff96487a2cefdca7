"""What every database must do for us, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa

from search import StudySpec
from search.history import Run as Decision
from search.history import RunState, Slot
from service.database import Database, DatabaseError
from service.models import DEFAULT_PROJECT_ID, Run, Study, utcnow
from service.repositories.errors import NameTaken, NotFound
from service.repositories.events import Events
from service.repositories.owned import Owned
from service.repositories.reports import Reports
from service.repositories.runs import Runs
from service.repositories.standings import Standings
from service.repositories.studies import Studies
from service.states import AttemptState, NotAllowed, StudyState
from service.tracking import Tracked

JUDGED = StudySpec.from_json(
    {
        "space": {
            "parameters": [{"name": "x", "type": "float", "low": 0, "high": 1}],
            "fidelity": {"name": "epochs", "low": 1, "high": 3},
        },
        "metrics": [{"name": "loss", "direction": "minimize"}],
        "algorithm": {"name": "random"},
    }
)
SPEC = {"space": {"parameters": []}, "note": "Größe 東京", "order": {"z": 1, "a": [1.5, None, True]}}


def add_study(database: Database, name: str = "s") -> int:
    with database.session() as session:
        study = Studies(session, DEFAULT_PROJECT_ID).add(name, SPEC)
        Events(session).append(study, "study.created")
        return study.id


def decision(number: int, trial: int, fidelity: float | None = 1, rung: int = 0, resume: int | None = None) -> Decision:
    return Decision(
        number, trial, {"x": 0.1 * trial}, Slot(0, rung, fidelity), origin={"rule": "test"}, resume_from=resume
    )


def finish(database: Database, study_id: int, number: int, value: float) -> None:
    with database.session() as session:
        study, run = Owned(session).lock(study_id), Runs(session).get(study_id, number).run
        Events(session).move_run(study, run, RunState.RUNNING)
        run.value, run.metrics = value, {"loss": value}
        Events(session).move_run(study, run, RunState.SUCCEEDED)


def add_runs(database: Database, study_id: int, *decisions: Decision) -> None:
    with database.session() as session:
        study = Owned(session).lock(study_id)
        for one in decisions:
            Runs(session).add(study, [one])


def test_a_study_comes_back_as_it_was_stored(database: Database) -> None:
    add_study(database, "größe-1")
    with database.session(write=False) as session:
        study = Studies(session, DEFAULT_PROJECT_ID).get("größe-1")
    assert study.spec == SPEC
    assert list(study.spec["order"]) == ["z", "a"], "the order of keys is part of a study: parameters keep theirs"
    assert study.created_at.utcoffset() == timedelta(0)
    assert study.state == StudyState.ACTIVE


def test_a_name_is_taken_once(database: Database) -> None:
    add_study(database)
    with pytest.raises(NameTaken), database.session() as session:
        Studies(session, DEFAULT_PROJECT_ID).add("s", SPEC)


def test_a_missing_study_is_named_with_near_ones(database: Database) -> None:
    add_study(database, "digits-lenet")
    with database.session() as session, pytest.raises(NotFound, match="did you mean digits-lenet"):
        Studies(session, DEFAULT_PROJECT_ID).get("digits-lent")


def test_an_error_rolls_everything_back(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.session() as session:
        Studies(session, DEFAULT_PROJECT_ID).add("s", SPEC)
        _ = 1 / 0
    with database.session(write=False) as session:
        assert Studies(session, DEFAULT_PROJECT_ID).find("s") is None


def test_studies_are_paged_newest_first(database: Database) -> None:
    ids = [add_study(database, f"s{i}") for i in range(5)]
    with database.session(write=False) as session:
        first = Studies(session, DEFAULT_PROJECT_ID).page(2)
        second = Studies(session, DEFAULT_PROJECT_ID).page(10, after=first[-1].id)
    assert [study.id for study in (*first, *second)] == ids[::-1]


def test_events_count_up_without_gaps_under_concurrent_writers(database: Database) -> None:
    study_id = add_study(database)

    def write() -> None:
        for _ in range(10):
            with database.session() as session:
                Events(session).append(Owned(session).lock(study_id), "run.running")

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.session(write=False) as session:
        events = Events(session)
        assert [event.seq for event in events.after(study_id, 0, 100)] == list(range(1, 42))
        assert [event.seq for event in events.after(study_id, 38, 2)] == [39, 40]


def test_two_deciders_cannot_add_the_same_run(database: Database) -> None:
    study_id = add_study(database)
    add_runs(database, study_id, decision(0, 0))
    with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
        add_runs(database, study_id, decision(0, 0))
    with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
        add_runs(database, study_id, decision(1, 0, resume=0))  # the same trial in the same rung
    with database.session(write=False) as session:
        assert [row.run.number for row in Runs(session).page(study_id, 10)] == [0]


def test_a_run_comes_back_with_its_config(database: Database) -> None:
    study_id = add_study(database)
    add_runs(database, study_id, decision(0, 0), decision(1, 1), decision(2, 0, fidelity=3, rung=1, resume=0))
    with database.session(write=False) as session:
        row = Runs(session).get(study_id, 2)
        assert (row.run.trial, row.run.rung, row.run.fidelity, row.run.resume_from) == (0, 1, 3, 0)
        assert row.trial.config == {"x": 0.0}
        assert row.run.state == RunState.PENDING
        with pytest.raises(NotFound, match="no run 7"):
            Runs(session).get(study_id, 7)


def test_runs_and_trials_are_paged_and_filtered(database: Database) -> None:
    study_id = add_study(database)
    add_runs(database, study_id, *(decision(i, i) for i in range(4)), decision(4, 1, fidelity=3, rung=1, resume=1))
    finish(database, study_id, 0, 0.5)
    finish(database, study_id, 1, 0.4)
    with database.session(write=False) as session:
        runs = Runs(session)
        assert [row.run.number for row in runs.page(study_id, 2, after=1)] == [2, 3]
        assert [row.run.number for row in runs.page(study_id, 9, state=RunState.SUCCEEDED)] == [0, 1]
        assert [row.run.number for row in runs.page(study_id, 9, trial=1)] == [1, 4]
        assert [trial.number for trial, _ in runs.trials(study_id, 2, after=0)] == [1, 2]
        # trial 1 succeeded in its first rung and waits in its second: it is pending
        assert [trial.number for trial, _ in runs.trials(study_id, 9, state=RunState.SUCCEEDED)] == [0]
        assert [trial.number for trial, _ in runs.trials(study_id, 9, state=RunState.PENDING)] == [1, 2, 3]
        assert [run.number for run in runs.trial(study_id, 1)[1]] == [1, 4]
        study = session.get_one(Study, study_id)
        assert study.counts == {"succeeded": 2, "pending": 3}
        assert (study.trials, study.fidelity) == (4, 1 + 3 + 1 + 1)


def test_standings_are_what_the_search_says(database: Database) -> None:
    study_id = add_study(database)
    add_runs(database, study_id, *(decision(i, i) for i in range(3)))
    assert _standings(database, study_id) == (None, [])
    for number, value in enumerate((0.3, 0.1, 0.1)):
        finish(database, study_id, number, value)
        _judge(database, study_id)
    assert _standings(database, study_id) == (1, [0, 1]), "ties go to the lower trial"
    add_runs(database, study_id, decision(3, 0, fidelity=3, rung=1, resume=0))
    _judge(database, study_id)
    assert _standings(database, study_id) == (1, [0, 1]), "a rung without results does not count"
    finish(database, study_id, 3, 0.9)
    _judge(database, study_id)
    assert _standings(database, study_id) == (3, [0, 1, 3])


def _judge(database: Database, study_id: int) -> None:
    with database.session() as session:
        study = Owned(session).lock(study_id)
        known = Tracked(study_id, JUDGED)
        known.catch_up(session, study)
        Standings(session).update(study, JUDGED, known.history)


def _standings(database: Database, study_id: int) -> tuple[int | None, list[int]]:
    with database.session(write=False) as session:
        standings = Standings(session)
        leader = standings.leader(Studies(session, DEFAULT_PROJECT_ID).get("s"))
        trace = standings.trace(study_id)
        assert [row.run.number for _, row in trace] == list(standings.numbers(study_id))
        return leader and leader.row.run.number, [taken.run for taken, _ in trace]


def test_transitions_that_the_table_does_not_know_are_refused(database: Database) -> None:
    study_id = add_study(database)
    add_runs(database, study_id, decision(0, 0))
    with database.session() as session:
        study, run = Owned(session).lock(study_id), Runs(session).get(study_id, 0).run
        with pytest.raises(NotAllowed, match="it is pending, and cannot become succeeded"):
            Events(session).move_run(study, run, RunState.SUCCEEDED)
        with pytest.raises(NotAllowed, match="it is active, and cannot become active"):
            Events(session).move_study(study, StudyState.ACTIVE)
        assert study.last_event == 2, "what is refused leaves no event"


def test_the_time_paused_does_not_count(database: Database) -> None:
    study_id = add_study(database)
    with database.session() as session:
        study, events = Owned(session).lock(study_id), Events(session)
        study.active_since = utcnow() - timedelta(seconds=60)
        events.move_study(study, StudyState.PAUSED)
        assert study.elapsed(utcnow() + timedelta(hours=1)) == pytest.approx(60, abs=5)
        events.move_study(study, StudyState.ACTIVE)
        assert study.elapsed(utcnow() + timedelta(seconds=30)) == pytest.approx(90, abs=5)


def test_a_study_has_one_owner_at_a_time(database: Database) -> None:
    study_id = add_study(database)
    now = utcnow()

    def claim(owner: str, seconds_later: float = 0.0, *, exclusive: bool = False) -> list[int]:
        with database.session() as session:
            later = now + timedelta(seconds=seconds_later)
            return [study.id for study in Owned(session).claim(owner, later, 10, exclusive=exclusive)]

    assert claim("a") == [study_id]
    assert claim("b") == []
    assert claim("a", 8) == [study_id], "the owner renews its lease"
    assert claim("b", 11) == [], "renewed until 18"
    assert claim("b", 19) == [study_id], "an expired lease is free"
    assert claim("a", 20) == []
    assert claim("a", 20, exclusive=True) == [study_id], "nobody else can be alive"
    with database.session() as session:
        Owned(session).release("a")
    assert claim("b", 21) == [study_id]


def test_concurrent_claims_have_one_winner(database: Database) -> None:
    for i in range(5):
        add_study(database, f"s{i}")
    barrier, won = threading.Barrier(4), []

    def claim(owner: str) -> None:
        barrier.wait()
        with database.session() as session:
            won.extend(study.id for study in Owned(session).claim(owner, utcnow(), 60, exclusive=False))

    threads = [threading.Thread(target=claim, args=(f"owner-{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == len(set(won)), "no study has two owners"


def test_attempts_are_counted_and_fenced(database: Database) -> None:
    study_id = add_study(database)
    add_runs(database, study_id, decision(0, 0))
    with database.session() as session:
        runs = Runs(session)
        run = runs.get(study_id, 0).run
        runs.lease(run, "token-1", "owner")
        session.flush()
        runs.end_attempt(run, AttemptState.LOST)
        runs.end_attempt(run, AttemptState.SUCCEEDED)  # the first word stands
        runs.lease(run, "token-2", "owner")
        session.flush()
        assert run.attempts == 2
        assert runs.attempts_ended(run, AttemptState.LOST) == 1
        assert runs.attempt(run).token == "token-2"


def test_reports_of_lost_attempts_are_kept_but_not_shown(database: Database) -> None:
    study_id = add_study(database)
    add_runs(database, study_id, decision(0, 0), decision(1, 1))

    def report(run: int, attempt: int, step: int, loss: float) -> dict[str, object]:
        metrics = {"loss": loss}
        row = {"study_id": study_id, "run": run, "attempt": attempt, "step": step, "metrics": metrics}
        return {**row, "seconds": 0.1, "created_at": utcnow()}

    with database.session() as session:
        runs, reports = Runs(session), Reports(session)
        run = runs.get(study_id, 0).run
        runs.lease(run, "t1", "owner")
        reports.add([report(0, 1, 1, 0.9), report(0, 1, 2, 0.8)])
        reports.add([report(0, 1, 2, 0.1)])  # the same step again: the first word stands
        reports.add([])
        assert [r.metrics["loss"] for r, _ in reports.page(study_id, 10)] == [0.9, 0.8]
        runs.lease(run, "t2", "owner")
        session.flush()
        assert reports.page(study_id, 10) == []
        reports.add([report(0, 2, 1, 0.7)])
        page = reports.page(study_id, 10, trial=0)
        assert [(r.attempt, r.metrics["loss"], trial) for r, trial in page] == [(2, 0.7, 0)]
        assert reports.page(study_id, 10, after=page[-1][0].id) == []
        assert reports.page(study_id, 10, run=1) == []


def test_readers_do_not_wait_for_a_writer(database: Database) -> None:
    study_id = add_study(database)
    with database.session() as writer:
        Owned(writer).lock(study_id).waiting = "something"
        writer.flush()
        with database.session(write=False) as reader:
            assert Studies(reader, DEFAULT_PROJECT_ID).get("s").waiting is None


def test_a_run_without_its_trial_is_refused(database: Database) -> None:
    study_id = add_study(database)
    with pytest.raises(Exception, match=r"(?i)foreign key"), database.session() as session:
        study = session.get(Study, study_id)
        assert study is not None
        session.add(
            Run(
                study_id=study_id,
                number=0,
                trial=5,
                state="pending",
                kind="train",
                bracket=0,
                rung=0,
                origin={},
                added_event=1,
            )
        )


def test_many_processes_may_migrate_at_once(database_url: str, new_empty_database_url: Callable[[str], str]) -> None:
    url = new_empty_database_url(sa.make_url(database_url).get_backend_name())
    errors: list[DatabaseError] = []

    def migrate() -> None:
        one = Database(url)
        try:
            one.migrate()
            one.ping()
        except DatabaseError as error:
            errors.append(error)
        finally:
            one.dispose()

    threads = [threading.Thread(target=migrate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_reader_sees_one_state(database: Database) -> None:
    study_id = add_study(database)
    add_runs(database, study_id, decision(0, 0))
    with database.session(write=False) as session:
        before = len(Runs(session).page(study_id, 10_000))
        add_runs(database, study_id, decision(1, 1))
        assert len(Runs(session).page(study_id, 10_000)) == before
    with database.session(write=False) as session:
        assert len(Runs(session).page(study_id, 10_000)) == before + 1


def test_a_reader_writes_nothing_on_postgresql(new_database_url: Callable[[str], str]) -> None:
    database = Database(new_database_url("postgresql"))
    with pytest.raises(sa.exc.SQLAlchemyError, match="read-only"), database.session(write=False) as session:
        Studies(session, DEFAULT_PROJECT_ID).add("s", SPEC)
    database.dispose()
