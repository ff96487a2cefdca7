"""Following a study through what happens to it and to the service."""

from collections.abc import Callable
from typing import Any

import pytest

import assay
from assay.progress import follow

API = "/api/v1"
Make = Callable[..., dict[str, Any]]
END = b"event: end\ndata: {}\n\n"


def test_a_study_that_has_ended_is_one_snapshot(service: Any, make_study: Make) -> None:
    service.add(make_study())

    with assay.Client(service.url) as client:
        (snapshot,) = follow(client, "digits")

    assert snapshot.ended
    assert [request.path for request in service.requests] == [f"{API}/studies/digits"], "no stream is opened"


def test_reports_reach_the_snapshots(service: Any, make_study: Make) -> None:
    service.add(make_study(state="active"))
    running = [{"number": 3, "trial": 1}]
    service.routes[f"GET {API}/studies/digits/runs"] = (200, {"items": running, "next": None})

    def events(request: Any) -> None:
        if request.headers["Last-Event-ID"] == "7":
            request.stream(
                b'event: report\ndata: {"run": 3, "step": 1}\n\nevent: report\ndata: {"run": 3, "step": 2}\n\n',
                b"id: 8\nevent: run.running\ndata: {}\n\n",
            )
        else:
            service.routes[f"GET {API}/studies/digits"] = (200, make_study(state="completed"))
            request.stream(b"id: 9\nevent: study.completed\ndata: {}\n\n" + END)

    service.routes[f"GET {API}/studies/digits/events"] = events

    with assay.Client(service.url) as client:
        snapshots = list(follow(client, "digits"))

    assert snapshots[0].running == tuple(running)
    assert snapshots[1].latest == {3: {"run": 3, "step": 2}}
    assert snapshots[-1].ended


def test_a_restart_of_the_service_is_outlasted(service: Any, make_study: Make) -> None:
    service.add(make_study(state="active"))
    service.routes[f"GET {API}/studies/digits/events"] = lambda request: request.stream(
        b"id: 8\nevent: run.running\ndata: {}\n\n"
    )
    with assay.Client(service.url) as client:
        snapshots = follow(client, "digits")
        assert not next(snapshots).ended
        assert not next(snapshots).ended, "the stream was heard, and it broke"
        service.close()
        with pytest.raises(assay.ConnectionFailed):
            client.studies.get("digits")
        restarted = service.again()
        try:
            restarted.add(make_study(state="completed"))
            restarted.routes[f"GET {API}/studies/digits/events"] = lambda request: request.stream(
                b"id: 9\nevent: study.completed\ndata: {}\n\n" + END
            )
            assert list(snapshots)[-1].ended
        finally:
            restarted.close()
        assert {r.headers["Last-Event-ID"] for r in restarted.requests if r.path.endswith("/events")} <= {"8"}


def test_an_unknown_study(service: Any) -> None:
    with assay.Client(service.url) as client, pytest.raises(assay.NotFound):
        next(follow(client, "nothing"))
