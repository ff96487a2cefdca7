"""A study of the pool whose checkpoints lie in a store on other machines, from its creation to its end."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from service.checkpoints import Checkpoints
from service.database import Database
from service.dispatcher import Dispatcher
from service.models import DEFAULT_PROJECT_ID, Attempt, Run
from service.repositories.runs import Runs
from service.repositories.studies import Studies
from service.states import StudyState
from service.store import Missing, StorageError, Store, open_store
from workers.checkpoints import Checkpoint
from workers.pools.local import LocalPool


@pytest.fixture(params=["memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        yield open_store(f"memory://{uuid.uuid4().hex}", tmp_path / "scratch")
        return
    s3fs = pytest.importorskip("s3fs", reason="the extra s3 is not installed")
    moto = pytest.importorskip("moto.server", reason="moto is not installed")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        bucket = f"assay-{uuid.uuid4().hex}"  # all servers of a process share what they hold
        s3fs.S3FileSystem.clear_instance_cache()  # of an earlier server
        s3fs.S3FileSystem(skip_instance_cache=True).mkdir(bucket)
        yield open_store(f"s3://{bucket}/service", tmp_path / "scratch")
    server.stop()


def test_a_study_is_promoted_and_resumed_over_the_store(
    store: Store,
    tmp_path: Path,
    sqlite_database: Database,
    create: Callable[..., int],
    hyperband_payload: dict[str, Any],
) -> None:
    study_id = create({**hyperband_payload, "budget": {"max_runs": 13}})
    checkpoints = Checkpoints(tmp_path / "checkpoints", store)
    pool = LocalPool(2)
    dispatcher = Dispatcher(sqlite_database, pool, checkpoints, exclusive=True)
    deadline = time.monotonic() + 120
    most = 0
    while time.monotonic() < deadline:
        dispatcher.step(0.2)
        most = max(most, len(list(store.list(f"checkpoints/{study_id}"))))
        with sqlite_database.session(write=False) as session:
            study = Studies(session, DEFAULT_PROJECT_ID).get("s")
            if StudyState(study.state).finished:
                break
    dispatcher._next_look = 0.0
    dispatcher.step(0.0)  # tidies up behind the study
    dispatcher.hand_over()
    pool.shutdown()
    assert (study.state, study.reason) == (StudyState.COMPLETED, study.reason)
    with sqlite_database.session(write=False) as session:
        rows = [row.run for row in Runs(session).page(study_id, 10_000)]
        kept = Runs(session).kept_checkpoints(study_id)
    assert [run for run in rows if run.failure_message] == []
    assert any(run.resume_from is not None for run in rows), "some were promoted, and went on from a checkpoint"
    assert most > 1
    assert {entry.key for entry in store.list("checkpoints")} == {f"checkpoints/{name}" for name in kept}
    assert not (tmp_path / "checkpoints").exists(), "nothing lies on this machine's disk"


def test_a_supernets_epochs_are_told_from_the_store(store: Store, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints", store)
    attempt, run = Attempt(study_id=7, run=0, number=2), Run(study_id=7, number=0, kind="supernet")
    assert checkpoints.saved_by(attempt, run) is None, "nothing was saved yet"
    saved = tmp_path / "saved"
    Checkpoint({"family": "cell"}, 17, {"val_accuracy": 0.5}, {"w": torch.ones(300)}, {}).save(saved)
    store.put(saved, "checkpoints/7/000000-2")
    assert checkpoints.saved_by(attempt, run) == ("7/000000-2", 17.0)
    saved.write_bytes(b"something else")
    store.put(saved, "checkpoints/7/000000-2")
    assert checkpoints.saved_by(attempt, run) is None


def test_a_store_that_cannot_be_read_costs_time_only(tmp_path: Path) -> None:
    class Broken:
        local, url = False, "s3://nowhere"

        def read(self, *_: Any) -> Iterator[bytes]:
            raise StorageError("no answer")

    checkpoints = Checkpoints(tmp_path / "checkpoints", cast("Store", Broken()))
    attempt, run = Attempt(study_id=7, run=0, number=2), Run(study_id=7, number=0, kind="supernet")
    assert checkpoints.saved_by(attempt, run) is None


def test_names_and_removal(tmp_path: Path) -> None:
    store = open_store(f"memory://{uuid.uuid4().hex}", tmp_path / "scratch")
    checkpoints = Checkpoints(tmp_path / "checkpoints", store)
    for key in ("checkpoints/7/000001-1", "checkpoints/7/000002-1", "checkpoints/8/000001-1", "artifacts/7/000001-1/a"):
        source = tmp_path / "source"
        source.write_text(key)
        store.put(source, key)
    assert sorted(checkpoints.studies()) == [7, 8]
    assert checkpoints.path("7/000001-1") == Path("checkpoints/7/000001-1")
    checkpoints.keep_only(7, ["7/000002-1"])
    checkpoints.remove("assay:artifacts/7/000001-1/a")
    for kept in ("s3://elsewhere/8/000001-1", "../checkpoints/8/000001-1", "checkpoints/8/000001-1"):
        checkpoints.remove(kept)
    left = sorted(entry.key for folder in ("checkpoints", "artifacts") for entry in store.list(folder))
    assert left == ["checkpoints/7/000002-1", "checkpoints/8/000001-1"]
    checkpoints.remove("8/000001-1")
    with pytest.raises(Missing):
        store.entry("checkpoints/8/000001-1")


def test_on_a_shared_disk_nothing_is_sent_around(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "artifacts"), tmp_path / "scratch")
    checkpoints = Checkpoints(tmp_path / "checkpoints", store)
    assert checkpoints.store_url is None
    name = checkpoints.new(1, 2, 3)
    assert checkpoints.path(name) == tmp_path / "checkpoints" / "1" / "000002-3"
