"""Events in pages, for those who look now and then; and that every new leader is an event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import jsonschema
import pytest
import sqlalchemy as sa

from service.database import Database
from service.models import Event, Incumbent


def pages(api: httpx.Client, study: str, limit: int, after: int = 0) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    next_: str | None = str(after)
    while next_ is not None:
        params = {"format": "json", "limit": str(limit), "after": next_}
        page = api.get(f"studies/{study}/events", params=params).json()
        assert len(page["items"]) <= limit
        found, next_ = found + page["items"], page["next"]
    return found


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_events_come_in_pages(api: httpx.Client, finished: str, limit: int) -> None:
    last = api.get(f"studies/{finished}").json()["last_event"]

    assert [event["seq"] for event in pages(api, finished, limit)] == list(range(1, last + 1))
    assert [event["seq"] for event in pages(api, finished, limit, after=last - 2)] == [last - 1, last]
    assert pages(api, finished, limit, after=last) == pages(api, finished, limit, after=last + 1000) == []


@pytest.mark.parametrize(
    ("accept", "format_", "expected"),
    [
        (None, None, "text/event-stream"),
        ("*/*", None, "text/event-stream"),
        ("text/event-stream", None, "text/event-stream"),
        ("text/event-stream, application/json", None, "text/event-stream"),
        ("application/json", None, "application/json"),
        ("application/json;q=0.9, text/plain", None, "application/json"),
        ("text/event-stream", "json", "application/json"),
        ("application/json", "stream", "text/event-stream"),
    ],
)
def test_whoever_asks_gets_what_he_takes(
    api: httpx.Client, finished: str, accept: str | None, format_: str | None, expected: str
) -> None:
    answer = api.get(
        f"studies/{finished}/events",
        params={"format": format_} if format_ else {},
        headers={"Accept": accept} if accept else {},
    )

    assert answer.status_code == 200
    assert answer.headers["content-type"].split(";")[0] == expected


@pytest.mark.parametrize("params", [{"format": "xml"}, {"format": "json", "limit": 0}, {"format": "json", "after": -1}])
def test_what_cannot_be_asked(api: httpx.Client, finished: str, params: dict[str, Any]) -> None:
    assert api.get(f"studies/{finished}/events", params=params).status_code == 422


def test_the_events_of_a_study_that_is_not_there(api: httpx.Client) -> None:
    assert api.get("studies/nobody/events", params={"format": "json"}).status_code == 404


def test_a_page_is_as_the_description_says(api: httpx.Client, finished: str) -> None:
    description = api.get("http://localhost/openapi.json").json()
    content = description["paths"]["/api/v1/studies/{name}/events"]["get"]["responses"]["200"]["content"]

    assert set(content) == {"application/json", "text/event-stream"}
    schema = {**content["application/json"]["schema"], "components": description["components"]}
    jsonschema.validate(api.get(f"studies/{finished}/events?format=json").json(), schema)


def test_every_new_leader_is_an_event(api: httpx.Client, finished: str) -> None:
    told = [event for event in pages(api, finished, 1000) if event["type"] == "study.incumbent"]
    trace = api.get(f"studies/{finished}/incumbents").json()["items"]

    assert len(trace) > 1
    assert [(event["run"], event["trial"]) for event in told] == [(one["run"], one["trial"]) for one in trace]
    assert [event["data"] for event in told] == [
        {"metrics": one["metrics"], "fidelity": one["fidelity"]} for one in trace
    ]


def test_a_leader_is_told_after_the_end_of_its_run(api: httpx.Client, finished: str) -> None:
    events = pages(api, finished, 1000)

    for place, event in enumerate(events):
        if event["type"] == "study.incumbent":
            ended = [one for one in events[:place] if one["type"] == "run.succeeded"]
            assert event["run"] in [one["run"] for one in ended]
            assert (
                event["data"]["metrics"] == next(one for one in ended if one["run"] == event["run"])["data"]["metrics"]
            )


def test_leaders_of_one_turn_are_placed_at_its_last_end(
    sqlite_database: Database, create: Any, pool: Any, turn: Callable[[], None]
) -> None:
    """Not at the events that tell of the leaders before them: who reads the history up to there would miss ends."""
    study = create(parallelism=2)
    turn()
    turn()
    for loss, assignment in zip((2.0, 1.0), list(pool.open.values()), strict=True):
        pool.finish(assignment, loss=loss)
    turn()

    with sqlite_database.session(write=False) as session:
        rows = session.scalars(sa.select(Event).where(Event.study_id == study).order_by(Event.seq)).all()
        leaders = session.scalars(sa.select(Incumbent).order_by(Incumbent.place)).all()
    types = {row.seq: row.type for row in rows}
    assert [leader.run for leader in leaders] == [0, 1]
    assert [types[leader.event] for leader in leaders] == ["run.succeeded", "run.succeeded"]
    assert [row.run for row in rows if row.type == "study.incumbent"] == [0, 1]
