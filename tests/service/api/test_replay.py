"""What the service stores of a study is what the search decides; and when a row was changed, that is found."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi.sse import KEEPALIVE_COMMENT

from assay.sse import Message, messages
from search import Added
from search.replay import Difference, Record, Verified, verify
from service.checkpoints import Checkpoints
from service.database import Database, DatabaseUnavailable
from service.dispatcher import Dispatcher
from service.lifecycle import cancel_study
from service.models import DEFAULT_PROJECT_ID, Report, Run, Trial
from service.record import stored_record
from service.repositories.studies import Studies
from service.routes import replay
from service.states import StudyState
from service.verification import Broken, Progress, Verification
from workers.pools.local import LocalPool
from workers.protocol import FailureClass

Create = Callable[..., int]
EPOCHS = {"name": "epochs", "low": 1, "high": 9}
SIZE = {"name": "x2", "type": "int", "low": 1, "high": 8, "when": {"parameter": "kind", "equals": "b"}}
KIND = {"name": "kind", "type": "categorical", "choices": ["a", "b"]}


@pytest.fixture
def play(sqlite_database: Database, create: Create, checkpoints: Checkpoints) -> Iterator[Callable[..., str]]:
    """Creates a study and carries it out on two workers, up to its end or to so many runs."""
    pool = LocalPool(2)
    dispatcher = Dispatcher(sqlite_database, pool, checkpoints, exclusive=True)

    def until_done(runs: int | None = None, **changes: Any) -> str:
        name = str(changes.get("name", "s"))
        create(**changes)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            dispatcher.step(0.05)
            with sqlite_database.session(write=False) as session:
                study = Studies(session, DEFAULT_PROJECT_ID).get(name)
                added = session.scalar(sa.select(sa.func.count()).where(Run.study_id == study.id)) or 0
                if StudyState(study.state).finished or (runs is not None and added >= runs):
                    return name
        raise AssertionError("the study does not end")

    yield until_done
    dispatcher.hand_over()
    pool.shutdown()


@pytest.fixture
def record(sqlite_database: Database) -> Callable[[], Record]:
    """Of the study `s`."""

    def read() -> Record:
        with sqlite_database.session(write=False) as session:
            return stored_record(session, Studies(session, DEFAULT_PROJECT_ID).get("s"))

    return read


def space(database_space: dict[str, Any], *parameters: dict[str, Any], fidelity: bool = True) -> dict[str, Any]:
    found = {"parameters": [*database_space["parameters"], *parameters]}
    return {**found, "fidelity": EPOCHS} if fidelity else found


@pytest.mark.parametrize(
    "changes",
    [
        {"algorithm": {"name": "hyperband"}},
        {"algorithm": {"name": "bohb"}},
        {"algorithm": {"name": "asha"}},
        {"algorithm": {"name": "pbt", "population": 4}},
        {"algorithm": {"name": "tpe"}, "replicates": {"max": 2, "top": 2}},
    ],
    ids=["hyperband", "bohb", "asha", "pbt", "replicates"],
)
def test_what_was_stored_is_verified(
    play: Callable[..., str], record: Callable[[], Record], study_payload: dict[str, Any], changes: dict[str, Any]
) -> None:
    objective = {"type": "function", "function": "branin", "failure_rate": 0.1}
    play(budget={"max_runs": 24}, space=space(study_payload["space"], KIND, SIZE), objective=objective, **changes)

    stored = record()
    runs = sum(isinstance(event, Added) for event in stored.events)
    assert stored.finished
    assert runs >= 20
    assert verify(stored) == Verified(runs, 0)


@pytest.mark.parametrize("rule", [{"rule": "median", "trials": 2}, {"rule": "patience", "reports": 2}])
def test_stops_are_verified_where_workers_were_lost_too(
    create: Create,
    turn: Callable[[], None],
    pool: Any,
    record: Callable[[], Record],
    study_payload: dict[str, Any],
    rule: dict[str, Any],
) -> None:
    create(space=space(study_payload["space"]), algorithm={"name": "tpe", "stop": rule}, budget={"max_runs": 20})
    steps: dict[str, int] = {}
    lost: set[float] = set()
    turn()
    while pool.open:
        for key, assignment in list(pool.open.items()):
            x = assignment.config["x0"]
            step = steps[key] = steps.get(key, 0) + 1
            loss = x**2 + max(1 / step, 0.3)
            if assignment.task == "test" or step > 9 or key in pool.stopped:
                pool.finish(assignment, stopped=key in pool.stopped, loss=loss)
            elif step == 3 and len(lost) < 5 and x not in lost:
                lost.add(x)
                pool.fail(assignment, FailureClass.LOST)
            else:
                pool.report(assignment, step, loss=loss)
        turn()
    stored = record()

    assert len(lost) == 5
    assert stored.finished
    assert stored.stops
    assert verify(stored) == Verified(20, len(stored.stops))


def test_what_was_cancelled_is_verified_up_to_there(
    play: Callable[..., str], record: Callable[[], Record], sqlite_database: Database
) -> None:
    play(runs=3, budget={"max_runs": 1000})
    assert isinstance(verify(record()), Verified)
    with sqlite_database.session() as session:
        cancel_study(session, DEFAULT_PROJECT_ID, "s")

    assert not record().finished
    assert isinstance(verify(record()), Verified)


def test_the_end_by_the_clock_is_no_decision_of_the_search(
    play: Callable[..., str], record: Callable[[], Record], study_payload: dict[str, Any]
) -> None:
    objective = {"type": "function", "function": "branin", "seconds_per_step": 0.05}
    play(budget={"max_seconds": 0.7}, space=space(study_payload["space"]), objective=objective)

    assert not record().finished
    assert isinstance(verify(record()), Verified)


def test_a_deleted_last_run_is_missed_at_the_end(
    finished: str, record: Callable[[], Record], sqlite_database: Database
) -> None:
    with sqlite_database.session() as session:
        for table, column in ((Report, Report.run), (Run, Run.number)):
            session.execute(sa.delete(table).where(column == 21))
    found = verify(record())

    assert isinstance(found, Difference)
    assert (found.decision, found.run, found.runs) == ("end", 21, 21)


# --- over HTTP


@pytest.fixture
def verifying(live: httpx.Client) -> Callable[[str], list[Message]]:
    def ask(name: str) -> list[Message]:
        with live.stream("POST", f"studies/{name}/verify") as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            return list(messages(answer.iter_bytes()))

    return ask


def change(database: Database, table: type[Run] | type[Trial], number: int, **values: Any) -> None:
    with database.session() as session:
        session.execute(sa.update(table).where(table.number == number).values(**values))


def test_a_study_is_verified(verifying: Callable[[str], list[Message]], finished: str) -> None:
    *progress, last = verifying(finished)

    assert progress
    assert progress[0].data == {"events": 0, "of": 44}
    assert {message.type for message in progress} == {"progress"}
    assert last == Message("verification", None, {"verified": True, "runs": 22, "stops": 0, "difference": None})


def test_a_changed_row_is_found(
    verifying: Callable[[str], list[Message]], finished: str, sqlite_database: Database
) -> None:
    with sqlite_database.session(write=False) as session:
        study = Studies(session, DEFAULT_PROJECT_ID).get(finished)
        config = session.get_one(Trial, (study.id, 5)).config
    change(sqlite_database, Trial, 5, config={**config, "x0": 1.25})

    (result,) = [message.data for message in verifying(finished) if message.type != "progress"]

    assert not result["verified"]
    assert (result["runs"], result["stops"]) == (5, 0)
    assert result["difference"] | {"position": None} == {
        "position": None,
        "run": 5,
        "decision": "suggestion",
        "rounding": False,
        "fields": [
            {
                "path": "config.x0",
                "stored": 1.25,
                "derived": config["x0"],
                "distance": pytest.approx(abs(1.25 - config["x0"]) / max(1.25, abs(config["x0"]))),
            }
        ],
    }


def test_an_unknown_study_is_a_problem(live: httpx.Client) -> None:
    answer = live.post("studies/nobody/verify")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_verifications_wait_for_their_turn_before_they_load_anything(
    server: Any, live: httpx.Client, finished: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    load = replay._record

    def loading(project_id: int, name: str, database: Database) -> Record:
        loaded.append(name)
        return load(project_id, name, database)

    monkeypatch.setattr(replay, "_record", loading)
    monkeypatch.setattr(replay, "PULSE_SECONDS", 0.05)
    first, second = places(server, replay.AT_ONCE)
    with live.stream("POST", f"studies/{finished}/verify") as answer:
        told = answer.iter_bytes()
        assert [next(told) for _ in range(4)] == [KEEPALIVE_COMMENT] * 4
        assert loaded == []
        first.leave()
        assert list(messages(told))[-1].type == "verification"
    assert loaded == [finished]
    second.leave()


def test_too_many_verifications_are_refused(server: Any, live: httpx.Client, finished: str) -> None:
    taken = places(server, replay.AT_ONCE + replay.WAITING)
    answer = live.post(f"studies/{finished}/verify")

    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["type"] == "urn:assay:busy"
    assert live.post("studies/nobody/verify").status_code == 404

    for place in taken:
        place.leave()
    with live.stream("POST", f"studies/{finished}/verify") as answer:
        assert list(messages(answer.iter_bytes()))[-1].type == "verification"


def test_a_study_that_is_not_valid_any_more_is_a_problem(
    live: httpx.Client, finished: str, sqlite_database: Database
) -> None:
    with sqlite_database.session() as session:
        study = Studies(session, DEFAULT_PROJECT_ID).get(finished)
        study.spec = {**study.spec, "algorithm": {"name": "of another version"}}

    assert live.post(f"studies/{finished}/verify").status_code == 422


def test_a_database_that_is_gone_when_the_turn_comes_is_a_problem(
    verifying: Callable[[str], list[Message]], finished: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Record:
        raise DatabaseUnavailable("the database does not answer")

    monkeypatch.setattr(replay, "_record", fail)
    (problem,) = verifying(finished)
    assert (problem.type, problem.data["status"]) == ("problem", 503)


def places(server: Any, count: int) -> list[Any]:
    """So many places in the queue, taken; all others are free."""
    found = [server.app.state.verifications.enter() for _ in range(count)]
    assert None not in found
    return found


def test_a_client_that_leaves_ends_its_verification(
    server: Any, live: httpx.Client, finished: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it was waiting or under way."""
    ended = []
    close = Verification.close
    monkeypatch.setattr(Verification, "news", lambda verification: time.sleep(0.05) or Progress(0, 44))
    monkeypatch.setattr(Verification, "close", lambda verification: ended.append(close(verification)))
    with live.stream("POST", f"studies/{finished}/verify") as answer:
        told = messages(answer.iter_bytes())
        assert next(told).type == next(told).type == next(told).type == "progress"
        assert server.requests == 1

    deadline = time.monotonic() + 30
    while server.requests and time.monotonic() < deadline:
        time.sleep(0.05)
    assert server.requests == 0
    assert ended == [None]
    places(server, replay.AT_ONCE + replay.WAITING)


def test_a_stopping_server_waits_for_none(
    server: Any, live: httpx.Client, finished: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Verification, "news", lambda verification: time.sleep(0.05) or Progress(0, 44))
    with live.stream("POST", f"studies/{finished}/verify") as answer:
        told = messages(answer.iter_bytes())
        assert next(told).type == "progress"
        assert server.stop()
        assert {message.type for message in told} <= {"progress"}


def test_a_verification_that_breaks_is_a_problem_with_an_incident(
    verifying: Callable[[str], list[Message]],
    finished: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(Verification, "news", lambda verification: Broken("exit code -9"))
    with caplog.at_level(logging.ERROR):
        last = verifying(finished)[-1]

    assert last.type == "problem"
    assert last.data["status"] == 500
    incident = last.data["detail"].split()[-1]
    assert f"incident {incident}: the verification of 's' failed: exit code -9" in caplog.text


def test_what_goes_wrong_in_the_process_is_told(finished: str, record: Callable[[], Record]) -> None:
    """Here it dies, and there it is given what it cannot read."""
    dead, confused = Verification(record()), Verification(Record(None, record().events))  # type: ignore[arg-type]
    try:
        dead.start()
        confused.start()
        dead._process.kill()
        assert news_of(dead) == Broken("its process ended with exit code -9")
        broken = news_of(confused)
        assert isinstance(broken, Broken)
        assert "AttributeError" in broken.why
    finally:
        dead.close()
        confused.close()


def news_of(verification: Verification) -> object:
    while isinstance(news := verification.news(), Progress):
        pass
    return news


def test_the_process_loads_the_search_and_no_more() -> None:
    script = "import sys, service.verification; print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)

    assert "search.replay" in answer.stdout.split()
    assert {"fastapi", "sqlalchemy", "torch"}.isdisjoint(answer.stdout.split())
