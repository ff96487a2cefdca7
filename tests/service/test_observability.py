"""What the service tells of itself: numbers, log lines, ids. Over the real app and a real database."""

from __future__ import annotations

import io
import json
import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from service.app import create_app
from service.database import Database
from service.dispatcher import Dispatcher
from service.lifecycle import create_study
from service.models import utcnow
from service.observability import logs
from service.observability.census import FRESH_SECONDS, CensusCollector
from service.observability.context import bound, current
from service.observability.endpoint import serve_metrics
from service.observability.metrics import Metrics
from service.observability.notes import note
from service.repositories.owned import Owned
from service.settings import Settings
from workers.protocol import FailureClass

TOKEN = "correct-horse-battery-staple"


def numbers(text: str) -> dict[str, float]:
    """Samples as `name{label=value,...}`, labels by name."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def await_lines(read: Callable[[], list[Any]]) -> list[Any]:
    """Requests are logged after they have been answered."""
    until = time.monotonic() + 10
    while not (lines := read()) and time.monotonic() < until:
        time.sleep(0.01)
    return lines


@pytest.fixture
def app(sqlite_database: Database) -> FastAPI:
    return create_app(Settings(trusted_hosts=("*",)), sqlite_database)


@pytest.fixture
def http(server: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url) as client:
        yield client


@pytest.fixture
def scrape(http: httpx.Client) -> Callable[[], dict[str, float]]:
    def get() -> dict[str, float]:
        answer = http.get("/metrics")
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        return numbers(answer.text)

    return get


@pytest.fixture
def log_lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Configures the log as JSON lines, and answers what was logged so far."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure("debug", "json", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:] = before
    root.setLevel(level)


def test_requests_are_counted_by_route_and_not_by_path(
    http: httpx.Client, scrape: Callable[[], dict[str, float]]
) -> None:
    for path in ("/api/v1/studies/one", "/api/v1/studies/two", "/api/v1/studies", "/nowhere/1", "/nowhere/2"):
        http.get(path)
    http.get("/static/assay.css")
    http.request("PROPFIND", "/api/v1/studies")

    found = scrape()

    missing = "assay_http_requests_total{method=GET,route=/api/v1/studies/{name},status=404}"
    assert found[missing] == 2
    assert found["assay_http_requests_total{method=GET,route=/api/v1/studies,status=200}"] == 1
    assert found["assay_http_requests_total{method=GET,route=unmatched,status=404}"] == 2
    assert found["assay_http_requests_total{method=GET,route=/static,status=200}"] == 1
    assert any(name.startswith("assay_http_requests_total{method=other,") for name in found)
    assert found["assay_http_request_seconds_count{method=GET,route=/api/v1/studies/{name}}"] == 2
    assert found["assay_http_requests_in_progress"] == 1  # this scrape
    assert not any("one" in name for name in found)


def test_faults_are_counted_and_carry_their_id(sqlite_database: Database) -> None:
    app = create_app(Settings(trusted_hosts=("*",)), sqlite_database)

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("as it must")

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get("/broken", headers={"X-Request-ID": "mine"})

    answer = anyio.run(ask)

    assert answer.status_code == 500
    assert answer.headers["x-request-id"] == "mine"
    found = numbers(sqlite_database.telemetry.metrics.render().decode())
    assert found["assay_http_requests_total{method=GET,route=/broken,status=500}"] == 1


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("a-1_b.c:2", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("two words", False),
        ("<script>", False),
        ("", False),
    ],
)
def test_the_id_of_a_request_is_taken_over_if_it_is_one(http: httpx.Client, given: str, taken: bool) -> None:
    answered = http.get("/healthz", headers={"X-Request-ID": given}).headers.get_list("x-request-id")

    assert len(answered) == 1
    assert (answered[0] == given) is taken
    assert taken or re.fullmatch("[0-9a-f]{32}", answered[0])


def test_two_requests_have_two_ids(http: httpx.Client) -> None:
    ids = {http.get("/healthz").headers["x-request-id"] for _ in range(2)}

    assert len(ids) == 2


def test_the_life_of_a_study_is_in_the_numbers(
    dispatcher: Dispatcher, turn: Callable[[], None], create: Callable[..., int], pool: Any
) -> None:
    database = dispatcher.database
    clock = [0.0]
    census = CensusCollector(database, lambda: clock[0])

    def look() -> dict[str, float]:
        clock[0] += FRESH_SECONDS
        return numbers(database.telemetry.metrics.render(census).decode())

    create(budget={"max_runs": 2})
    assert look()["assay_studies{state=active}"] == 1
    turn()
    turn()
    found = look()
    assert found["assay_runs{state=running}"] == 2
    assert found["assay_attempts_open{state=reporting}"] == 2
    assert found["assay_pool_busy_workers"] == 2
    assert found["assay_assignments_total{kind=pool}"] == 2
    assert found["assay_ask_seconds_count{algorithm=random}"] >= 1
    first, second = pool.open.values()
    pool.finish(first, loss=1.0)
    pool.fail(second, FailureClass.ERROR)
    turn()
    while pool.open:
        pool.finish(pool.first, loss=2.0)
        turn()
    turn()
    found = look()

    assert found["assay_runs{state=succeeded}"] == 1
    assert found["assay_runs{state=failed}"] == 1
    assert found["assay_runs{state=running}"] == 0
    assert found["assay_studies{state=completed}"] == 1
    assert found["assay_attempts_ended_total{state=succeeded}"] == 1
    assert found["assay_attempts_ended_total{state=error}"] == 1
    assert found["assay_events_total{type=run.succeeded}"] == 1
    assert found["assay_events_total{type=study.completed}"] == 1
    assert found["assay_dispatcher_turn_seconds_count"] >= 2
    assert found["assay_queue_oldest_seconds"] == 0


def test_transitions_are_logged_when_they_are_stored(
    log_lines: Callable[[], list[dict[str, Any]]], turn: Callable[[], None], create: Callable[..., int]
) -> None:
    create()
    turn()

    said = [(line["message"], line["level"], line["study"], line.get("run")) for line in log_lines() if "study" in line]
    assert said[:2] == [("study.created", "info", "s", None), ("run.pending", "debug", "s", 0)]


def test_a_study_that_is_taken_over_is_an_expired_lease(database: Database, study_payload: dict[str, Any]) -> None:
    now = utcnow()
    with database.session() as session:
        create_study(session, study_payload)
    for owner, at in (("a", now), ("a", now), ("b", now), ("b", now + timedelta(seconds=20))):
        with database.session() as session:
            Owned(session).claim(owner, at, 15, exclusive=False)

    found = numbers(database.telemetry.metrics.render().decode())
    assert found["assay_lease_expiries_total{kind=study}"] == 1


def test_what_is_rolled_back_is_not_counted(sqlite_database: Database) -> None:
    def fail() -> None:
        with sqlite_database.session() as session:
            note(session, lambda metrics: metrics.attempt_ended("oom"))
            raise KeyError("out of the transaction")

    with pytest.raises(KeyError):
        fail()
    with sqlite_database.session() as session:
        note(session, lambda metrics: metrics.attempt_ended("lost"))

    found = numbers(sqlite_database.telemetry.metrics.render().decode())
    assert found["assay_attempts_ended_total{state=lost}"] == 1
    assert "assay_attempts_ended_total{state=oom}" not in found


def test_the_census_asks_the_database_once_in_a_while(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    opened = database.session
    monkeypatch.setattr(database, "session", lambda *, write: (asked.append(write), opened(write=write))[1])
    clock = [100.0]
    census = CensusCollector(database, lambda: clock[0])

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: list(census.collect()), range(16)))
    assert asked == [False]
    clock[0] += FRESH_SECONDS
    list(census.collect())
    assert asked == [False, False]


def test_without_its_database_the_rest_is_told(tmp_path: Any) -> None:
    database = Database(f"sqlite:///{tmp_path}/none/assay.db")
    found = numbers(database.telemetry.metrics.render(CensusCollector(database)).decode())
    database.dispose()

    assert found["assay_database_up"] == 0
    assert "assay_runs{state=pending}" not in found
    assert any(name.startswith("assay_info{role=all,version=") for name in found)


def test_every_metric_is_documented(sqlite_database: Database) -> None:
    page = (Path(__file__).parents[2] / "docs" / "observability.md").read_text()
    text = sqlite_database.telemetry.metrics.render(CensusCollector(sqlite_database)).decode()
    names = {family.name for family in text_string_to_metric_families(text) if family.name.startswith("assay_")}

    assert {name for name in names if name not in page and not name.endswith("_created")} == set()


def test_metrics_have_a_port_of_their_own(sqlite_database: Database) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with serve_metrics(listener, sqlite_database):
        found = numbers(httpx.get(f"{url}/metrics").text)
        assert httpx.get(f"{url}/other").status_code == 404

    assert found["assay_database_up"] == 1
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/metrics")


def test_registries_are_separate() -> None:
    one, other = Metrics(), Metrics()
    one.reported(3)

    assert numbers(one.render().decode())["assay_reports_total"] == 3
    assert numbers(other.render().decode())["assay_reports_total"] == 0


def test_ids_are_bound_for_a_block_and_in_its_threads() -> None:
    with bound(study="s", run=3), bound(run=4, attempt=None):
        assert dict(current()) == {"study": "s", "run": 4}
        seen: list[dict[str, object]] = []
        thread = threading.Thread(target=lambda: seen.append(dict(current())))
        thread.start()
        thread.join()
        assert seen == [{}], "other threads work for somebody else"
    assert dict(current()) == {}


def test_log_lines_are_json_with_their_ids(log_lines: Callable[[], list[dict[str, Any]]]) -> None:
    with bound(study="digits", run=17):
        logging.getLogger("service.x").warning("it took %d s\nand a second line", 3)
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("service.x").exception("failed")

    first, second = log_lines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.pop("time"))
    assert first == {
        "level": "warning",
        "logger": "service.x",
        "message": "it took 3 s\nand a second line",
        "study": "digits",
        "run": 17,
    }
    assert second["level"] == "error"
    assert "ValueError: broken" in second["exception"]


def test_log_lines_for_people_end_with_their_ids() -> None:
    record = logging.LogRecord("service.x", logging.INFO, __file__, 1, "submitted", (), None)
    with bound(study="digits", run=17):
        line = logs.Lines().format(record)

    assert line.endswith("Z INFO service.x: submitted [study=digits run=17]")


@pytest.mark.parametrize(
    "text",
    [
        "cannot connect to postgresql://assay:hunter2-hunter2@db/assay",
        "Authorization: Bearer hunter2-hunter2",
        "got assay_5a1f0c2d9b7e4410_hunter2hunter2hunter2hunter2",
        "{'authorization': 'Basic hunter2-hunter2=='}",
        "password=hunter2-hunter2 host=db",
        'sent {"token": "hunter2-hunter2"}',
    ],
)
@pytest.mark.parametrize("formatter", [logs.Lines(), logs.JsonLines()])
def test_no_secret_is_logged(text: str, formatter: logging.Formatter) -> None:
    try:
        raise ValueError(text)
    except ValueError as error:
        failure = (type(error), error, error.__traceback__)
    record = logging.LogRecord("x", logging.ERROR, __file__, 1, "%s", (text,), failure)

    with bound(request_id=text):
        line = formatter.format(record)

    assert "hunter2" not in line
    assert "***" in line


def test_requests_are_logged_with_what_they_were(
    log_lines: Callable[[], list[dict[str, Any]]], http: httpx.Client
) -> None:
    http.get(
        "/api/v1/studies/digits?token=" + TOKEN, headers={"X-Request-ID": "r1", "Authorization": f"Bearer {TOKEN}"}
    )

    (line,) = await_lines(lambda: [line for line in log_lines() if line["logger"] == "service.access"])
    assert line["level"] == "debug"
    assert line["request_id"] == "r1"
    assert (line["method"], line["route"], line["status"]) == ("GET", "/api/v1/studies/{name}", 404)
    assert line["study"] == "digits"
    assert line["seconds"] > 0
    assert TOKEN not in json.dumps(log_lines())


def test_work_of_a_request_is_logged_with_its_id(
    log_lines: Callable[[], list[dict[str, Any]]], sqlite_database: Database
) -> None:
    app = create_app(Settings(access_log="off", trusted_hosts=("*",)), sqlite_database)

    @app.get("/works")
    def works() -> None:  # in a thread of FastAPI's
        logging.getLogger("service.x").info("at work")

    async def ask() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            await client.get("/works", headers={"X-Request-ID": "r2"})

    anyio.run(ask)

    lines = [line for line in log_lines() if line["logger"].startswith("service.")]
    assert [(line["message"], line["request_id"]) for line in lines] == [("at work", "r2")]


def test_a_stream_is_timed_until_it_begins(
    http: httpx.Client, scrape: Callable[[], dict[str, float]], create: Callable[..., int]
) -> None:
    create()
    with http.stream("GET", "/api/v1/studies/s/events") as stream:
        assert stream.status_code == 200
        lines = stream.iter_lines()  # which closes the stream when nobody holds it
        next(lines)
        found = scrape()
    assert found["assay_http_requests_in_progress"] == 2
