"""Many threads at one desk: each gets its own answer, and the fault of one is nobody else's."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from service import desk as desks
from service.checkpoints import Checkpoints
from service.database import Database, DatabaseUnavailable
from service.desk import Desk
from service.external.work import External
from service.lifecycle import create_study
from service.models import DEFAULT_PROJECT_ID, Attempt, Event, Run, Study
from service.repositories.errors import NotFound
from service.study_work import StudyWork

THREADS = 32


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Desk:
    return Desk(database, Checkpoints(tmp_path / "checkpoints"))


@pytest.fixture
def external(database: Database, study_payload: dict[str, Any]) -> Callable[..., int]:
    def make(name: str = "s", **changes: Any) -> int:
        study = {**study_payload, "name": name, "objective": {"type": "external"}, "parallelism": 1000, **changes}
        with database.session() as session:
            return create_study(session, study).id

    return make


def say(work: StudyWork, word: str) -> int:
    return work.events.append(work.study, "test.said", data={"word": word})


def said(database: Database, study_id: int) -> list[str]:
    with database.session(write=False) as session:
        query = sa.select(Event).where(Event.study_id == study_id, Event.type == "test.said").order_by(Event.seq)
        return [event.data["word"] for event in session.scalars(query)]


def complete(attempt: Attempt, work: StudyWork) -> None:
    External(work).complete(attempt.run, attempt.token, {"loss": float(attempt.run)}, None, {})


class Held:
    """Keeps the desk busy with an operation, so that others wait for it and come together into the next transaction."""

    def __init__(self, desk: Desk, study_id: int) -> None:
        self._go_on = threading.Event()
        self._begun = threading.Event()
        self._thread = threading.Thread(target=desk.act, args=(study_id, self._hold))
        self._thread.start()
        assert self._begun.wait(10)
        self._queue = desk._queues[study_id]

    def _hold(self, work: StudyWork) -> None:
        self._begun.set()
        assert self._go_on.wait(30)

    def wait_for(self, waiting: int) -> None:
        """Until so many wait."""
        while len(self._queue._waiting) < waiting:
            time.sleep(0.001)

    def release(self) -> None:
        self._go_on.set()
        self._thread.join()


def together(desk: Desk, study_id: int, operations: list[Callable[[StudyWork], Any]]) -> list[Any]:
    """What each operation answers or raises when all of them are in one transaction."""

    def act(operation: Callable[[StudyWork], Any]) -> Any:
        try:
            return desk.act(study_id, operation)
        except Exception as error:  # noqa: BLE001 (whatever it is, the test looks at it)
            return error

    held = Held(desk, study_id)
    with ThreadPoolExecutor(len(operations)) as pool:
        futures = []
        for operation in operations:
            futures.append(pool.submit(act, operation))
            held.wait_for(len(futures))
        held.release()
        return [future.result(60) for future in futures]


def test_every_thread_gets_its_own_answer(desk: Desk, external: Callable[..., int], database: Database) -> None:
    study_id = external()

    def talk(thread: int) -> list[int]:
        return [desk.act(study_id, lambda work, n=n: say(work, f"{thread}-{n}")) for n in range(10)]

    with ThreadPoolExecutor(THREADS) as pool:
        answers = [seq for seqs in pool.map(talk, range(THREADS)) for seq in seqs]
    words = said(database, study_id)
    assert sorted(words) == sorted(f"{thread}-{n}" for thread in range(THREADS) for n in range(10))
    with database.session(write=False) as session:
        seqs = session.scalars(sa.select(Event.seq).where(Event.type == "test.said")).all()
    assert sorted(answers) == sorted(seqs), "each was told the number of its own event"


def test_threads_share_out_a_study(desk: Desk, external: Callable[..., int], database: Database) -> None:
    study_id = external(budget={"max_runs": 200})

    def carry_out(thread: int) -> list[int]:
        mine: list[int] = []
        while True:
            claimed = desk.act(study_id, lambda work: External(work).claim(f"w{thread}", 1, 60.0))
            if not claimed.attempts:
                return mine
            attempt: Attempt = claimed.attempts[0][0]
            desk.act(study_id, partial(complete, attempt))
            mine.append(attempt.run)

    with ThreadPoolExecutor(THREADS) as pool:
        runs = [number for mine in pool.map(carry_out, range(THREADS)) for number in mine]
    assert sorted(runs) == list(range(200)), "each run once, and no gap"
    with database.session(write=False) as session:
        study = session.get_one(Study, study_id)
        assert study.counts == {"succeeded": 200}
        assert {run.attempts for run in session.scalars(sa.select(Run))} == {1}


def test_what_is_waiting_goes_into_one_transaction(
    desk: Desk, external: Callable[..., int], database: Database
) -> None:
    study_id = external()
    sessions: list[Any] = []

    def operation(work: StudyWork) -> str:
        sessions.append(work.session)
        return "done"

    assert together(desk, study_id, [operation] * 5) == ["done"] * 5
    assert len({id(session) for session in sessions}) == 1


def test_a_refusal_is_told_to_whoever_asked(desk: Desk, external: Callable[..., int], database: Database) -> None:
    study_id = external()

    def refused(work: StudyWork) -> None:
        raise NotFound("there is no such thing")

    answers = together(desk, study_id, [lambda work: say(work, "a"), refused, lambda work: say(work, "b")])
    assert [type(answer) for answer in answers] == [int, NotFound, int]
    assert said(database, study_id) == ["a", "b"]


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("fault", ["in the code", "in the database"])
def test_a_fault_of_one_is_nobody_elses(
    desk: Desk, external: Callable[..., int], database: Database, place: int, fault: str
) -> None:
    study_id = external()

    def broken(work: StudyWork) -> None:
        say(work, "never")
        if fault == "in the code":
            raise ZeroDivisionError
        work.session.execute(sa.text("INSERT INTO studies (id) VALUES (1)"))  # breaks a constraint

    operations: list[Callable[[StudyWork], Any]] = [lambda work: say(work, "a"), lambda work: say(work, "b")]
    operations.insert(place, broken)
    answers = together(desk, study_id, operations)
    assert isinstance(answers.pop(place), ZeroDivisionError if fault == "in the code" else sa.exc.IntegrityError)
    assert all(isinstance(answer, int) for answer in answers)
    assert said(database, study_id) == ["a", "b"], "once each, and nothing of what broke"


def test_what_is_known_of_a_study_is_not_ahead_of_what_is_stored(
    desk: Desk, external: Callable[..., int], database: Database
) -> None:
    study_id = external()

    def claim_and_break(work: StudyWork) -> None:
        External(work).claim("ann", 2, 60.0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        desk.act(study_id, claim_and_break)
    claimed = desk.act(study_id, lambda work: External(work).claim("bob", 2, 60.0))
    assert [attempt.run for attempt, _ in claimed.attempts] == [0, 1]


def test_a_database_that_does_not_answer_is_told_to_all(
    external: Callable[..., int], tmp_path: Path, database: Database
) -> None:
    study_id = external()
    desk = Desk(database, Checkpoints(tmp_path))

    def lose_the_connection(work: StudyWork) -> None:
        say(work, "never")
        raise sa.exc.OperationalError("SELECT 1", {}, Exception("the connection is lost"))

    operations = [lambda work: say(work, "a"), lose_the_connection, lambda work: say(work, "b")]
    answers = together(desk, study_id, operations)
    assert [type(answer) for answer in answers] == [DatabaseUnavailable] * 3
    assert said(database, study_id) == []
    assert desk.act(study_id, lambda work: say(work, "again")) > 0
    assert said(database, study_id) == ["again"]


def test_a_study_that_is_not_there(desk: Desk, external: Callable[..., int]) -> None:
    external()
    with pytest.raises(NotFound, match="no study with the id 99"):
        desk.act(99, lambda work: None)
    with pytest.raises(NotFound):
        desk.find(DEFAULT_PROJECT_ID, "nobody")


def test_only_the_studies_used_last_are_remembered(
    desk: Desk, external: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desks, "KNOWN_STUDIES", 2)
    monkeypatch.setattr(desks, "KNOWN_NAMES", 2)
    ids = [external(f"s{n}") for n in range(4)]
    for study_id in ids:
        desk.act(study_id, lambda work: External(work).claim("ann", 1, 60.0))
    assert list(desk._queues) == ids[2:]
    for number, study_id in enumerate(ids):
        assert desk.find(DEFAULT_PROJECT_ID, f"s{number}") == study_id
        claimed = desk.act(study_id, lambda work: External(work).claim("bob", 1, 60.0))
        assert [attempt.run for attempt, _ in claimed.attempts] == [1], "what was forgotten is read again"


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_study_that_somebody_works_on_is_not_forgotten(
    desk: Desk, external: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desks, "KNOWN_STUDIES", 2)
    ids = [external(f"s{n}") for n in range(4)]
    held = Held(desk, ids[0])
    for study_id in ids[1:]:
        desk.act(study_id, lambda work: None)
    assert set(desk._queues) == {ids[0], ids[3]}
    held.release()


def test_coroutines_and_threads_take_turns(desk: Desk, external: Callable[..., int], database: Database) -> None:
    study_id = external()

    async def talk() -> list[int]:
        """As a thread that waits would, each one word after the other."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(THREADS) as pool:
            return await asyncio.gather(
                *(desk.act_async(study_id, lambda work, n=n: say(work, f"a{n}")) for n in range(100)),
                *(
                    loop.run_in_executor(pool, desk.act, study_id, lambda work, n=n: say(work, f"b{n}"))
                    for n in range(100)
                ),
            )

    answers = asyncio.run(talk())
    assert sorted(said(database, study_id)) == sorted(f"{who}{n}" for who in "ab" for n in range(100))
    assert len(set(answers)) == 200


def test_coroutines_hear_of_what_went_wrong(desk: Desk, external: Callable[..., int], database: Database) -> None:
    study_id = external()

    def broken(work: StudyWork) -> None:
        say(work, "never")
        raise ZeroDivisionError

    async def ask() -> list[Any]:
        held = Held(desk, study_id)
        operations: list[Callable[[StudyWork], Any]] = [
            lambda work: say(work, "a"),
            broken,
            lambda work: say(work, "b"),
        ]
        asked = [asyncio.create_task(desk.act_async(study_id, operation)) for operation in operations]
        await asyncio.to_thread(held.wait_for, len(asked))
        held.release()
        return await asyncio.gather(*asked, return_exceptions=True)

    answers = asyncio.run(ask())
    assert [type(answer) for answer in answers] == [int, ZeroDivisionError, int]
    assert said(database, study_id) == ["a", "b"]
    with pytest.raises(NotFound):
        asyncio.run(desk.act_async(99, lambda work: None))
    with pytest.raises(NotFound):
        asyncio.run(desk.find_async(DEFAULT_PROJECT_ID, "nobody"))


def test_nobody_waits_for_who_has_gone(desk: Desk, external: Callable[..., int], database: Database) -> None:
    study_id = external()

    async def leave() -> int:
        held = Held(desk, study_id)
        gone = asyncio.create_task(desk.act_async(study_id, lambda work: say(work, "gone")))
        await asyncio.to_thread(held.wait_for, 1)  # it is to lead what comes next
        gone.cancel()
        other = asyncio.create_task(desk.act_async(study_id, lambda work: say(work, "other")))
        await asyncio.to_thread(held.wait_for, 2)
        held.release()
        return await asyncio.wait_for(other, 30)

    assert asyncio.run(leave()) > 0
    assert desk.act(study_id, lambda work: say(work, "last")) > 0
    assert said(database, study_id) == ["gone", "other", "last"], "what was asked for is done"


def test_the_runs_of_all_who_wait_are_read_at_once(
    desk: Desk, external: Callable[..., int], database: Database
) -> None:
    study_id = external(budget={"max_runs": 5})
    claimed = desk.act(study_id, lambda work: External(work).claim("ann", 5, 60.0))
    selects: list[str] = []

    def count(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if "FROM runs" in statement:
            selects.append(statement)

    async def end() -> list[Any]:
        held = Held(desk, study_id)
        asked = [
            asyncio.create_task(desk.act_async(study_id, partial(complete, attempt), attempt.run))
            for attempt, _ in claimed.attempts
        ]
        await asyncio.to_thread(held.wait_for, len(asked))
        sa.event.listen(database.engine, "before_cursor_execute", count)
        held.release()
        return await asyncio.gather(*asked)

    asyncio.run(end())
    sa.event.remove(database.engine, "before_cursor_execute", count)
    assert len(selects) == 1
    with database.session(write=False) as session:
        assert session.get_one(Study, study_id).counts == {"succeeded": 5}


def test_what_others_changed_of_a_study_is_seen(desk: Desk, external: Callable[..., int], database: Database) -> None:
    study_id = external()
    desk.act(study_id, lambda work: say(work, "first"))
    with database.session() as session:
        session.get_one(Study, study_id).priority = 3
    other = Desk(database, desk.checkpoints)
    assert other.act(study_id, lambda work: say(work, "second")) > 0
    assert desk.act(study_id, lambda work: work.study.priority) == 3
    assert desk.act(study_id, lambda work: say(work, "third")) == other.act(
        study_id, lambda work: work.study.last_event
    )
