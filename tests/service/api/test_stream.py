"""The stream of events, over a socket."""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from fastapi.sse import format_sse_event

from assay.sse import Message, messages
from service.database import Database
from service.models import DEFAULT_PROJECT_ID
from service.stream import Batch, Position, begin


@contextmanager
def following(live: httpx.Client, study: str, **options: Any) -> Iterator[Iterator[Message]]:
    with live.stream("GET", f"studies/{study}/events", **options) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield messages(answer.iter_bytes())


def test_a_finished_study_is_told_from_the_first_event_to_the_end(live: httpx.Client, finished: str) -> None:
    with following(live, finished) as stream:
        told = list(stream)

    events = [message for message in told if message.seq is not None]
    assert [message.seq for message in events] == list(
        range(1, live.get(f"studies/{finished}").json()["last_event"] + 1)
    )
    assert events[0].type == "study.created"
    assert events[-1].type == "study.completed"
    assert all(message.type == message.data["type"] and message.seq == message.data["seq"] for message in events)
    reports = [message.data for message in told if message.type == "report"]
    assert reports == live.get(f"studies/{finished}/reports").json()["items"]
    assert told[-1].type == "end"
    assert told[-1].data["state"] == "completed"


def test_reports_stand_between_the_start_and_the_end_of_their_run(live: httpx.Client, finished: str) -> None:
    with following(live, finished) as stream:
        told = [message.type for message in stream if message.data.get("run") == 0]

    assert told[:5] == ["run.pending", "run.running", "report", "report", "run.succeeded"]


@pytest.mark.parametrize(
    "options",
    [
        {"params": {"after": 10}},
        {"headers": {"Last-Event-ID": "10"}},
        {"params": {"after": 3}, "headers": {"Last-Event-ID": "10"}},
    ],
    ids=["after", "Last-Event-ID", "the header goes first"],
)
def test_a_stream_goes_on_where_the_client_was(live: httpx.Client, finished: str, options: dict[str, Any]) -> None:
    with following(live, finished, **options) as stream:
        told = list(stream)

    assert next(message.seq for message in told if message.seq) == 11
    last = live.get(f"studies/{finished}").json()["last_event"]
    assert [message.seq for message in told if message.seq] == list(range(11, last + 1))


def test_reports_since_the_last_event_are_told_again(sqlite_database: Database, finished: str) -> None:
    """They have no id, so a client cannot say which it has; one too many is better than one too few."""
    whole = begin(sqlite_database, DEFAULT_PROJECT_ID, finished, 0)
    later = [begin(sqlite_database, DEFAULT_PROJECT_ID, finished, event) for event in range(1, 60)]

    assert whole.report == 0
    assert [position.report for position in later] == sorted(position.report for position in later)
    assert later[0].report == 0
    assert later[-1].report > 0


def test_a_position_beyond_the_last_event_is_the_end(live: httpx.Client, finished: str) -> None:
    with following(live, finished, params={"after": 1_000_000}) as stream:
        told = list(stream)

    assert [message.type for message in told if message.type != "report"] == ["end"]


def test_what_happens_is_told_while_it_happens(live: httpx.Client, study: dict[str, Any]) -> None:
    with following(live, "s") as stream:
        assert next(stream).type == "study.created"
        live.post("studies/s/pause")
        assert next(stream).type == "study.paused"
        live.post("studies/s/cancel")
        assert [message.type for message in stream] == ["study.cancelled", "end"]


def test_an_unknown_study_is_a_problem_not_a_stream(live: httpx.Client) -> None:
    answer = live.get("studies/nobody/events")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("identity", ["x", "-1", str(2**31)])
def test_a_bad_position_is_refused(live: httpx.Client, study: dict[str, Any], identity: str) -> None:
    assert live.get("studies/s/events", headers={"Last-Event-ID": identity}).status_code == 422
    assert live.get("studies/s/events", params={"after": identity}).status_code == 422


def test_open_streams_do_not_hold_a_stopping_server_up(server: Any, live: httpx.Client, study: dict[str, Any]) -> None:
    with following(live, "s") as first, following(live, "s") as second:
        assert next(first).type == next(second).type == "study.created"
        assert server.stop()
        assert list(itertools.chain(first, second)) == []


def test_a_stream_ends_when_its_client_goes_away(server: Any, live: httpx.Client, study: dict[str, Any]) -> None:
    with following(live, "s") as stream:
        next(stream)
        assert server.requests == 1

    deadline = time.monotonic() + 30
    while server.requests and time.monotonic() < deadline:
        time.sleep(0.05)
    assert server.requests == 0


def test_clients_that_leave_at_any_moment_leave_no_error_behind(
    server: Any, live: httpx.Client, finished: str, caplog: pytest.LogCaptureFixture
) -> None:
    for chunks in range(20):
        with live.stream("GET", f"studies/{finished}/events") as answer:
            for _ in zip(range(chunks % 5), answer.iter_raw(100), strict=False):
                pass
    deadline = time.monotonic() + 30
    while server.requests and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []


def test_a_client_that_leaves_while_much_is_told_leaves_no_warning_behind(
    server: Any, finished: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """asyncio warns of further writes to a lost connection until the server has had a turn to learn of the loss."""
    url, left = httpx.URL(server.url), threading.Event()
    client = socket.create_connection((url.host, url.port))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def read_while_the_client_leaves(read: Callable[..., Batch], *given: Any) -> Batch:
        batch = read(*given)
        client.close()
        left.set()
        return batch

    monkeypatch.setattr("service.stream.run_in_threadpool", read_while_the_client_leaves)
    client.sendall(f"GET /api/v1/studies/{finished}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert left.wait(30)
    deadline = time.monotonic() + 30
    while server.requests and time.monotonic() < deadline:
        time.sleep(0.05)
    assert server.requests == 0
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_silent_stream_is_kept_alive(
    live: httpx.Client, study: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.stream.KEEPALIVE_SECONDS", 0.5)
    with live.stream("GET", "studies/s/events", params={"after": 1}) as answer:
        assert any(chunk == b": ping\n\n" for chunk in answer.iter_bytes())


def test_a_sleeping_stream_holds_no_connection(
    live: httpx.Client, study: dict[str, Any], sqlite_database: Database
) -> None:
    with following(live, "s") as stream:
        next(stream)
        pool: Any = sqlite_database.engine.pool
        assert min(pool.checkedout() for _ in range(1000)) == 0


def test_more_than_a_batch_arrives_whole_and_in_order(
    live: httpx.Client, finished: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.stream.BATCH", 7)
    with following(live, finished) as stream:
        told = list(stream)

    sequence = [message.seq for message in told if message.seq]
    assert sequence == list(range(1, len(sequence) + 1))
    assert len([message for message in told if message.type == "report"]) == 44
    assert told[-1].type == "end"
    for run in range(22):
        words = [
            message.type for message in told if message.data.get("run") == run and message.type[:3] in ("run", "rep")
        ]
        assert words == ["run.pending", "run.running", "report", "report", "run.succeeded"]


def test_many_streams_at_once(live: httpx.Client, study: dict[str, Any], portal: Any) -> None:
    async def follow_all() -> list[str]:
        async with httpx.AsyncClient(base_url=live.base_url, timeout=30) as client:

            async def follow() -> str:
                async with client.stream("GET", "studies/s/events") as answer:
                    return (await answer.aread()).decode()

            tasks = [asyncio.create_task(follow()) for _ in range(60)]
            await asyncio.sleep(0)
            await client.post("studies/s/cancel")
            return await asyncio.gather(*tasks)

    assert all("event: end" in text for text in portal.call(follow_all))


def test_for_a_client_that_takes_nothing_nothing_more_is_read(
    server: Any, live: httpx.Client, study: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that it costs the service no memory, however much it has to catch up."""
    megabyte, reads = format_sse_event(comment="x" * 2**20), 0

    def read(database: Database, position: Position) -> Batch:
        nonlocal reads
        reads += 1
        return Batch(megabyte, position, full=True, end=False)

    monkeypatch.setattr("service.stream._read", read)
    with live.stream("GET", "studies/s/events"):
        before, deadline = -1, time.monotonic() + 30
        while reads != before and time.monotonic() < deadline:
            before = reads
            time.sleep(0.5)
        assert reads == before
        assert 0 < reads < 64, "as much as fits into the buffers of a connection"
    deadline = time.monotonic() + 30
    while server.requests and time.monotonic() < deadline:
        time.sleep(0.05)
    assert server.requests == 0
