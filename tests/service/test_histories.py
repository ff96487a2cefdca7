"""Histories that are kept: the same as read anew, never behind, and not without bound."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.service.fill import large_study
from search.history import Ended, RunState
from service import histories as module
from service.database import Database
from service.histories import Histories
from service.models import DEFAULT_PROJECT_ID, Run
from service.repositories.errors import NotFound
from service.repositories.events import Events
from service.repositories.owned import Owned
from service.tracking import stored_history


def end(database: Database, study_id: int, number: int) -> None:
    with database.session() as session:
        study = Owned(session).lock(study_id)
        run = session.get_one(Run, (study_id, number))
        Events(session).move_run(study, run, RunState.FAILED)


def test_it_is_read_once_and_goes_on_from_there(database: Database) -> None:
    large_study(database, "s", 40)
    kept = Histories(database)
    with kept.see(DEFAULT_PROJECT_ID, "s") as seen:
        study_id, first = seen.study.id, seen.tracked.history
        assert list(first.events) == list(stored_history(seen.session, seen.study).events)
    end(database, study_id, 30)
    with kept.see(DEFAULT_PROJECT_ID, "s") as seen:
        assert seen.tracked.history is first
        assert isinstance(first.events[-1], Ended)
        assert list(first.events) == list(stored_history(seen.session, seen.study).events)


def test_many_at_once_see_every_end_once(database: Database) -> None:
    large_study(database, "s", 40)
    kept = Histories(database)
    with kept.see(DEFAULT_PROJECT_ID, "s") as seen:
        study_id, running = seen.study.id, [n for n in seen.tracked.history.open if n < 32]

    def look(_: int) -> int:
        with kept.see(DEFAULT_PROJECT_ID, "s") as seen:
            assert seen.tracked.seq == seen.study.last_event
            return seen.tracked.history.open_count

    with ThreadPoolExecutor(4) as threads:
        looks = [threads.submit(look, n) for n in range(12)]
        for number in running:
            end(database, study_id, number)
        assert all(future.result() <= 16 for future in looks)
    assert look(0) == 16 - len(running)


def test_what_was_not_asked_for_longest_makes_room(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_RUNS", 60)
    kept, first = Histories(database), {}
    for name in ("a", "b"):
        large_study(database, name, 40)
        with kept.see(DEFAULT_PROJECT_ID, name) as seen:
            first[name] = seen.tracked
    with kept.see(DEFAULT_PROJECT_ID, "b") as seen:
        assert seen.tracked is first["b"]
    with kept.see(DEFAULT_PROJECT_ID, "a") as seen:
        assert seen.tracked is not first["a"]


def test_nobody_sees_a_study_of_another_project(database: Database) -> None:
    large_study(database, "s", 20)
    with pytest.raises(NotFound), Histories(database).see(DEFAULT_PROJECT_ID + 1, "s"):
        pass
