"""The client against a real HTTP server that answers as the API does, or as it should not."""

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

import assay
from assay import errors
from assay.sse import Message

API = "/api/v1"
Make = Callable[..., dict[str, Any]]


@pytest.fixture
def client(service: Any) -> Any:
    with assay.Client(service.url, timeout=5) as client:
        yield client


def test_create_sends_the_study_as_json(service: Any, client: assay.Client, make_study: Make) -> None:
    service.routes[f"POST {API}/studies"] = lambda request: (201, make_study(request.body["name"]))

    study = client.studies.create({"name": "größe \ud800", "space": {"parameters": []}})

    assert study["name"] == "größe \ud800"
    assert service.requests[0].headers["Content-Type"] == "application/json"


def test_names_are_quoted(service: Any, client: assay.Client, make_study: Make) -> None:
    service.routes[f"GET {API}/studies/a%2Fb%3Fc%20d"] = (200, make_study("a/b?c d"))

    assert client.studies.get("a/b?c d")["name"] == "a/b?c d"


@pytest.mark.parametrize("verb", ["pause", "resume", "cancel"])
def test_verbs(service: Any, client: assay.Client, make_study: Make, verb: str) -> None:
    service.routes[f"POST {API}/studies/digits/{verb}"] = (200, make_study(state="paused"))

    assert getattr(client.studies, verb)("digits")["state"] == "paused"


def test_lists_turn_the_pages_and_pass_filters(service: Any, client: assay.Client) -> None:
    pages = {None: ([0, 1], "1"), "1": ([2], "2"), "2": ([], None)}

    def page(request: Any) -> tuple[int, Any]:
        items, following = pages[request.query.get("after")]
        return 200, {"items": [{"number": number} for number in items], "next": following}

    service.routes[f"GET {API}/studies/digits/runs"] = page

    assert [run["number"] for run in client.studies.runs("digits", state="failed", trial=0)] == [0, 1, 2]
    assert [(r.query["state"], r.query["trial"]) for r in service.requests] == [("failed", "0")] * 3


def test_single_things(service: Any, client: assay.Client) -> None:
    base = f"GET {API}/studies/digits"
    service.routes |= {
        f"{base}/trials/3": (200, {"number": 3}),
        f"{base}/runs/7": (200, {"number": 7}),
        f"{base}/best": (200, {"run": 7}),
        f"{base}/front": (200, {"items": [{"run": 7}, {"run": 4}]}),
        f"{base}/incumbents": (200, {"items": [{"run": 1}, {"run": 7}]}),
        f"{base}/reports": (200, {"items": [{"id": 1}], "next": None}),
        f"GET {API}/families": (200, {"items": []}),
        "GET /readyz": (200, {"status": "ok"}),
    }

    assert client.studies.trial("digits", 3)["number"] == 3
    assert client.studies.run("digits", 7)["number"] == 7
    assert client.studies.best("digits")["run"] == 7
    assert [leader["run"] for leader in client.studies.front("digits")["items"]] == [7, 4]
    assert [step["run"] for step in client.studies.incumbents("digits")] == [1, 7]
    assert [report["id"] for report in client.studies.reports("digits", run=7)] == [1]
    assert client.families() == {"items": []}
    assert client.ready()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.Invalid),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (413, errors.Invalid),
        (422, errors.Invalid),
        (500, errors.ProblemError),
        (503, errors.ProblemError),
    ],
)
def test_problem_documents_become_errors(
    service: Any, client: assay.Client, make_problem: Make, status: int, kind: type[errors.ProblemError]
) -> None:
    document = make_problem(
        status, "No", "not like this", [{"path": "space[0].low", "pointer": "/space/0/low", "message": "too low"}]
    )
    service.routes[f"POST {API}/studies"] = (status, document)

    with pytest.raises(errors.ProblemError) as caught:
        client.studies.create({})

    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.title, caught.value.detail) == (status, "No", "not like this")
    assert caught.value.errors == (errors.FieldProblem("space[0].low", "/space/0/low", "too low"),)
    assert str(caught.value) == ("space[0].low: too low" if kind is errors.Invalid else "not like this")


@pytest.mark.parametrize(
    "answer", [(200, "<html>"), (404, "<html>"), (502, "Bad gateway"), (404, {"message": "no"}), (307, {})]
)
def test_somebody_else_at_the_address_is_said_so(service: Any, client: assay.Client, answer: tuple[int, Any]) -> None:
    service.routes[f"GET {API}/studies/digits"] = answer

    with pytest.raises(errors.UnexpectedAnswer, match="is this the address of the service"):
        client.studies.get("digits")


def test_nobody_at_the_address() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with assay.Client(f"http://127.0.0.1:{unused.getsockname()[1]}") as client:
            assert not client.ready()
            with pytest.raises(errors.ConnectionFailed, match="cannot reach"):
                client.studies.get("digits")


def test_an_answer_that_does_not_come(service: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with (
            assay.Client(url, timeout=0.1) as client,
            pytest.raises(errors.ConnectionFailed, match="did not answer in time"),
        ):
            client.studies.get("digits")


class Flaky:
    """A server that closes the first `breaks` connections without an answer and counts all."""

    def __init__(self, service: Any, path: str, breaks: int, answer: Any) -> None:
        self.calls = 0
        self.breaks = breaks
        self.answer = answer
        service.routes[path] = self

    def __call__(self, request: Any) -> tuple[int, Any] | None:
        self.calls += 1
        if self.calls <= self.breaks:
            request._handler.close_connection = True
            return None
        return 200, self.answer


def test_reading_is_tried_again(service: Any, client: assay.Client, make_study: Make) -> None:
    route = Flaky(service, f"GET {API}/studies/digits", 2, make_study())

    assert client.studies.get("digits")["name"] == "digits"
    assert route.calls == 3


def test_writing_is_never_repeated(service: Any, client: assay.Client, make_study: Make) -> None:
    route = Flaky(service, f"POST {API}/studies", 1, make_study())

    with pytest.raises(errors.ConnectionFailed):
        client.studies.create({})
    assert route.calls == 1


@pytest.mark.parametrize(
    ("url", "seen"), [("localhost:80", "http://localhost:80/"), ("https://a.b/c/", "https://a.b/c/")]
)
def test_addresses_are_completed(url: str, seen: str) -> None:
    with assay.Client(url) as client:
        assert client.url == seen


@pytest.mark.parametrize("url", ["ftp://a", "http://", "http://a:port", "http://\n"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(errors.ConnectionFailed, match="is not an address"):
        assay.Client(url)


def test_the_address_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_URL", "http://there:1")
    with assay.Client() as client:
        assert client.url == "http://there:1/"
    monkeypatch.delenv("ASSAY_URL")
    with assay.Client() as client:
        assert client.url == "http://127.0.0.1:8080/"


def test_a_proxy_is_not_asked_for_this_machine(service: Any, make_study: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    service.routes[f"GET {API}/studies/digits"] = (200, make_study())

    with assay.Client(service.url) as client:
        assert client.studies.get("digits")["name"] == "digits"


def message(seq: int, kind: str) -> bytes:
    return f"id: {seq}\nevent: {kind}\ndata: {json.dumps({'seq': seq, 'type': kind})}\n\n".encode()


def test_events_are_taken_up_where_the_stream_broke(
    service: Any, client: assay.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assay.studies._RECONNECT", 0.0)
    kinds = ["study.created", "run.pending", "run.running", "run.succeeded", "study.completed"]

    def events(request: Any) -> None:
        seen = int(request.headers["Last-Event-ID"])
        report = b'event: report\ndata: {"run": 0}\n\n'
        # two events per connection, which then breaks inside a message
        chunks = [message(seq, kind) for seq, kind in enumerate(kinds, 1) if seen < seq <= seen + 2]
        last = b"event: end\ndata: {}\n\n" if seen == 4 else b"id: 99\nevent: run.pending\ndata: {"
        request.stream(*chunks, report, last)

    service.routes[f"GET {API}/studies/digits/events"] = events

    seen = list(client.studies.events("digits"))

    assert [m.type for m in seen if m.seq is not None] == kinds
    assert [m.seq for m in seen if m.seq is not None] == [1, 2, 3, 4, 5]
    assert seen.count(Message("report", None, {"run": 0})) == 3


def test_events_of_an_unknown_study(client: assay.Client) -> None:
    with pytest.raises(errors.NotFound):
        next(client.studies.events("nothing"))


def test_events_give_up_on_a_service_that_stays_away(
    service: Any, client: assay.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assay.studies._PATIENCE", 0.0)
    monkeypatch.setattr("assay.studies._RECONNECT", 0.01)
    service.add({"name": "digits", "state": "active"})
    service.routes[f"GET {API}/studies/digits/events"] = lambda request: request.stream(message(1, "study.created"))
    stream = client.studies.events("digits")

    assert next(stream).seq == 1
    service.close()
    with pytest.raises(errors.ConnectionFailed):
        list(stream)


def test_wait(service: Any, client: assay.Client, make_study: Make) -> None:
    states = iter(["active", "paused", "active", "failed"])
    service.routes[f"GET {API}/studies/digits"] = lambda request: (200, make_study(state=next(states)))

    assert client.studies.wait("digits", interval=0.01)["state"] == "failed"


def test_wait_has_an_end(service: Any, client: assay.Client, make_study: Make) -> None:
    service.routes[f"GET {API}/studies/digits"] = (200, make_study(state="active"))

    with pytest.raises(errors.WaitTimeout, match="digits has not ended after"):
        client.studies.wait("digits", timeout=0.05, interval=0.01)
