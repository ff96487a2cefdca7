"""The pages of trials, runs and workers: attempts, logs, files, leases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.app import create_app
from service.dashboard import log_tail, workers_page
from service.dashboard.log_tail import plain
from service.database import Database
from service.models import Attempt, Run, utcnow
from service.repositories.workers import _IS_LOST, Workers
from service.settings import Settings
from service.store import keys

TextOf = Callable[[str], str]
Browse = Callable[..., httpx.Response]

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
EXTERNAL: dict[str, Any] = {"objective": {"type": "external"}}


@pytest.fixture
def app(sqlite_database: Database, tmp_path: Path) -> FastAPI:
    return create_app(Settings(data_dir=tmp_path), sqlite_database)


@pytest.fixture
def api(app: FastAPI) -> Callable[..., Any]:
    """Asks the API, and answers the JSON."""

    def ask(method: str, path: str, **options: Any) -> Any:
        async def send() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
                return await client.request(method, f"/api/v1{path}", **options)

        answer = asyncio.run(send())
        assert answer.is_success, answer.text
        return answer.json()

    return ask


@pytest.fixture
def claimed(api: Callable[..., Any], stage_on: Callable[..., Any], sqlite_database: Database) -> dict[str, Any]:
    """A run of the study `s` in the hands of a worker with a hostile name."""
    stage_on(sqlite_database, **EXTERNAL)
    claim = api("POST", "/studies/s/claims", json={"worker": HOSTILE, "lease_seconds": 60})
    (assignment,) = claim["assignments"]
    return dict(assignment)


def harmless(text: str) -> None:
    assert "&lt;script&gt;alert(1)" in text
    assert "<script>alert" not in text
    assert "<img src=x" not in text


def test_a_run_tells_of_its_attempts(claimed: Any, api: Any, text_of: TextOf) -> None:
    text = text_of("/studies/s/runs/0")
    harmless(text)
    assert "in 5" in text, "until the lease ends"
    assert 'data-hx-trigger="assay-poll from:body"' in text, "it is kept fresh while it is open"
    api(
        "POST",
        "/runs/1-0/fail",
        json={"token": claimed["token"], "class": "error", "message": HOSTILE, "traceback": HOSTILE},
    )
    text = text_of("/studies/s/runs/0/parts/run")
    harmless(text)
    assert "Traceback" in text
    assert 'data-state="error"' in text
    assert "assay-poll" not in text, "nothing of it changes any more"


def test_what_came_late_and_where_it_was_made_is_folded(
    claimed: Any, api: Any, text_of: TextOf, sqlite_database: Database
) -> None:
    with sqlite_database.session() as session:
        attempt = session.get_one(Attempt, (1, 0, 1))
        attempt.provenance, attempt.late = {"library": HOSTILE}, {"metrics": {"loss": 1.0}}
        attempt.cpu_seconds, attempt.gpu_seconds = 90.0, 30.0
    text = text_of("/studies/s/runs/0")
    harmless(text)
    assert '<details class="said" id="provenance-1">' in text
    assert '<details class="said" id="late-1">' in text
    assert "1 min 30 s CPU, 30 s GPU" in text
    cost = text_of("/studies/s/parts/cost")
    assert "1 min 30 s CPU, 30 s GPU" in cost


def test_only_the_last_attempts_are_listed(
    claimed: Any, text_of: TextOf, sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.dashboard.run_pages.MOST_ATTEMPTS", 2)
    with sqlite_database.session() as session:
        for number in (2, 3):
            session.add(Attempt(study_id=1, run=0, number=number, token=f"t{number}", state="lost", owner="external"))
        session.get_one(Run, (1, 0)).attempts = 3
    text = text_of("/studies/s/runs/0")
    assert "the last 2 of 3" in text
    assert 'id="attempt-1"' not in text
    assert 'id="attempt-3"' in text


def test_a_log_is_shown_from_its_end(
    claimed: Any, app: FastAPI, text_of: TextOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_tail, "MOST_LINES", 3)
    assert 'id="log"' not in text_of("/studies/s/runs/0")
    path = Path(app.state.store.location(keys.log(1, 0, 1)))
    path.parent.mkdir(parents=True)
    path.write_bytes(f"first\nsecond\n\x1b[31m{HOSTILE}\x1b[0m\n\xff 10%\r 99%\r100%\n".encode("latin-1"))
    text = text_of("/studies/s/runs/0")
    harmless(text)
    log = text.partition('id="log"')[2].partition("</pre>")[0]
    assert "first" not in log
    assert "second" in log
    assert "\x1b" not in log
    assert log.endswith("\n100%</code>")
    assert "its end" in text
    assert "being written" in text
    assert 'href="/api/v1/studies/s/runs/0/log"' in text
    monkeypatch.setattr(log_tail, "MOST_BYTES", 40)
    assert "second" not in text_of("/studies/s/runs/0")


def test_a_terminals_words_are_taken_out() -> None:
    assert plain("\x1b[1;32mok\x1b[0m\x1b]0;title\x07 \x00\x7f\tend\r\n a\rb") == "ok \tend\nb"


def test_files_can_be_downloaded(claimed: Any, api: Any, text_of: TextOf, browse: Browse) -> None:
    name = "a&b<img src=x>.txt"
    path = f"/runs/{claimed['id']}/artifacts/a%26b%3Cimg%20src=x%3E.txt"
    file = api("PUT", path, params={"token": claimed["token"]}, content=b"x" * 1500)
    text = text_of("/studies/s/runs/0")
    assert name not in text
    assert (
        f'<a href="/api/v1/studies/s/artifacts/{file["id"]}/content" download="a&amp;b&lt;img src=x&gt;.txt">' in text
    )
    assert "1.5 kB" in text
    assert browse(f"/api/v1/studies/s/artifacts/{file['id']}/content").content == b"x" * 1500


def test_a_trial_has_its_runs(stage: Any, text_of: TextOf, browse: Browse) -> None:
    stage.end(stage.start(0, fidelity=1), 0.5)
    stage.end(stage.start(0, fidelity=3, rung=1), None, HOSTILE)
    text = text_of("/studies/s/trials/0")
    assert 'href="/studies/s/runs/0"' in text
    assert 'href="/studies/s/runs/1"' in text
    harmless(text)
    for path in ("trials/1", "runs/2", "runs/2/parts/run"):
        assert browse(f"/studies/s/{path}").status_code == 404
        assert browse(f"/studies/t/{path}").status_code == 404


def test_workers_at_work_and_lost(claimed: Any, api: Any, text_of: TextOf, sqlite_database: Database) -> None:
    for path in ("/workers", "/parts/workers"):
        text = text_of(path)
        harmless(text)
        assert 'href="/studies/s/runs/0"' in text
        assert "external" in text
        assert "No worker was lost" in text
    with sqlite_database.session() as session:
        attempt = session.get_one(Attempt, (1, 0, 1))
        attempt.state, attempt.ended_at, attempt.message = "lost", utcnow(), "it was not heard of"
    text = text_of("/workers")
    assert "Nobody has a run" in text
    assert "it was not heard of" in text
    with sqlite_database.session() as session:
        session.get_one(Attempt, (1, 0, 1)).ended_at = utcnow() - timedelta(hours=2)
    assert "No worker was lost" in text_of("/workers")


def test_the_list_of_workers_is_bounded(
    stage_on: Any, sqlite_database: Database, api: Any, text_of: TextOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage_on(sqlite_database, **EXTERNAL, parallelism=4)
    api("POST", "/studies/s/claims", json={"worker": "w", "count": 3})
    monkeypatch.setattr(workers_page, "MOST_HELD", 2)
    text = text_of("/workers")
    assert "the 2 that began first" in text
    assert text.count('<th scope="row"') == 2


def test_workers_are_those_of_the_project_alone(database: Database, stage_on: Any) -> None:
    stage = stage_on(database)
    stage.start(0)
    with database.session() as session:
        session.add(Attempt(study_id=stage.study_id, run=0, number=1, token="t", state="leased", owner="d"))
    with database.session(write=False) as session:
        assert [one.study for one in Workers(session, 1).holding(10)] == ["s"]
        assert Workers(session, 2).holding(10) == []
        assert Workers(session, 1).lost(utcnow() - timedelta(hours=1), 10) == []


def test_the_lost_are_found_by_an_index(sqlite_database: Database) -> None:
    with sqlite_database.session(write=False) as session:
        query = Workers(session, 1)._attempts()
        text = str(
            query.where(_IS_LOST, Attempt.ended_at >= utcnow()).compile(
                session.get_bind(), compile_kwargs={"literal_binds": True}
            )
        )
        plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {text}").fetchall()
    assert any("ix_attempts_lost" in row[-1] for row in plan), plan
