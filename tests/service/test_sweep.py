"""Files that no row names are removed, and no others."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from search.history import RunState
from service.database import Database
from service.models import DEFAULT_PROJECT_ID, Artifact, Attempt, Dataset, Run, Study, Trial
from service.states import AttemptState, StudyState
from service.store import Store, keys, open_store
from service.store.sweep import sweep, sweeping


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    url = str(tmp_path / "store") if request.param == "folder" else f"memory://{uuid.uuid4().hex}"
    return open_store(url, tmp_path / "scratch")


def put(store: Store, key: str) -> str:
    with store.incoming(10) as file:
        file.write(b"x")
        file.finish()
        store.put(file.path, key)
    return key


def every_key(store: Store) -> set[str]:
    return {entry.key for folder in ("datasets", "artifacts", "logs", "checkpoints") for entry in store.list(folder)}


def study_with_a_run(database: Database) -> int:
    with database.session() as session:
        study = Study(project_id=DEFAULT_PROJECT_ID, name="s", state=StudyState.ACTIVE, spec={})
        session.add(study)
        session.flush()
        session.add(Trial(study_id=study.id, number=0, config={}))
        session.flush()
        session.add(
            Run(
                study_id=study.id, number=0, trial=0, state=RunState.RUNNING, kind="train", bracket=0, rung=0,
                origin={}, attempts=2, added_event=1,
            )
        )  # fmt: skip
        session.flush()
        for number, state in ((1, AttemptState.ERROR), (2, AttemptState.REPORTING)):
            ended = sa.func.now() if state is AttemptState.ERROR else None
            session.add(
                Attempt(
                    study_id=study.id, run=0, number=number, token=str(number), state=state, owner="o", ended_at=ended
                )
            )
        return study.id


def test_what_no_row_names_goes(database: Database, store: Store) -> None:
    study_id = study_with_a_run(database)
    dataset = put(store, keys.new_dataset(1, "csv"))
    artifact = put(store, keys.new_artifact(study_id, 0, 1))
    live = put(store, keys.log(study_id, 0, 2))
    checkpoint = put(store, "checkpoints/1/000000-1")
    for garbage in (keys.new_dataset(1, "csv"), keys.new_artifact(study_id, 0, 1), keys.log(study_id, 0, 1)):
        put(store, garbage)
    put(store, keys.log(999, 0, 1))
    described = {"bytes": 1, "sha256": "0" * 64}
    with database.session() as session:
        session.add(
            Dataset(
                project_id=1, name="d", format="csv", rows=1, columns=[], path=dataset, created_by="me", **described
            )
        )
        session.add(
            Artifact(
                study_id=study_id, run=0, attempt=1, kind="file", name="a", media_type="x/y", path=artifact, **described
            )
        )
    assert sweep(database, store) == 0, "it is all too young: rows may be on their way"
    assert len(every_key(store)) == 8
    assert sweep(database, store, grace=timedelta(0)) == 4
    assert every_key(store) == {dataset, artifact, live, checkpoint}
    with database.session() as session:
        session.execute(sa.delete(Study))
        session.execute(sa.delete(Dataset))
    assert sweep(database, store, grace=timedelta(0)) == 3
    assert every_key(store) == {checkpoint}, "checkpoints of the pool are looked after by the dispatcher"


def test_what_a_crash_left_on_its_way_goes(database: Database, store: Store) -> None:
    with store.incoming(10) as young:
        old = store.waiting / "left"
        old.write_bytes(b"half of a file")
        yesterday = time.time() - 2 * 86_400
        os.utime(old, (yesterday, yesterday))
        assert sweep(database, store) == 1
        assert (old.exists(), young.path.exists()) == (False, True)


def test_it_sweeps_beside_the_service(sqlite_database: Database, store: Store, wait_until: Callable[..., None]) -> None:
    with store.incoming(10):
        old = store.waiting / "left"
        old.write_bytes(b"half of a file")
        os.utime(old, (0, 0))
        with sweeping(sqlite_database, store):
            wait_until(lambda: not old.exists())


@pytest.fixture
def wait_until() -> Callable[..., None]:
    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, "it never came true"
            time.sleep(0.02)

    return wait
