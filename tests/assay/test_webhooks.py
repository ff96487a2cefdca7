"""What receivers of webhooks check, and what the client and the commands say to the service."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from assay import Client, Conflict, SignatureInvalid
from assay.cli import app
from assay.exit_codes import ExitCode
from assay.webhooks import sign, verify

API = "/api/v1"
SECRET = "a secret for the tests"
BODY = json.dumps({"type": "study.completed", "study": "digits"}).encode()
SENT = 1_900_000_000


def headers(body: bytes = BODY, secret: str = SECRET, sent: int = SENT) -> dict[str, str]:
    return {"Assay-Timestamp": str(sent), "Assay-Signature": sign(body, secret, sent), "Host": "example.org"}


def check(body: bytes = BODY, given: dict[str, str] | None = None, at: float = SENT) -> dict[str, Any]:
    return verify(body, headers() if given is None else given, SECRET, now=lambda: at)


# --- signatures


def test_what_the_service_sent_is_read() -> None:
    assert check() == {"type": "study.completed", "study": "digits"}


def test_a_signature_that_somebody_else_computed() -> None:
    """HMAC-SHA256 with the key `key` over `1.{}`, by openssl."""
    found = subprocess.run(
        ["openssl", "dgst", "-sha256", "-hmac", "key"], input=b"1.{}", capture_output=True, check=True
    ).stdout.decode()
    digest = found.split("= ")[1].strip()

    assert sign(b"{}", "key", 1) == f"v1={digest}"


@pytest.mark.parametrize("change", [str.lower, str.upper, str.title])
def test_names_of_headers_are_in_any_case(change: Callable[[str], str]) -> None:
    assert check(given={change(name): value for name, value in headers().items()})


def test_one_signature_of_several_is_enough() -> None:
    """While a secret is changed, or when there is another way to sign."""
    given = headers()
    given["Assay-Signature"] = f"v2=abc, v1={'0' * 64} , {given['Assay-Signature']}"

    assert check(given=given)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"Assay-Timestamp": None}, "not signed"),
        ({"Assay-Signature": None}, "not signed"),
        ({"Assay-Timestamp": "soon"}, "not a time"),
        ({"Assay-Timestamp": "-1"}, "not a time"),
        ({"Assay-Timestamp": "1e9"}, "not a time"),
        ({"Assay-Timestamp": "١٢٣"}, "not a time"),
        ({"Assay-Timestamp": "9" * 5000}, "not a time"),
        ({"Assay-Timestamp": str(SENT + 1)}, "not that of this body"),
        ({"Assay-Signature": ""}, "not that of this body"),
        ({"Assay-Signature": "v1="}, "not that of this body"),
        ({"Assay-Signature": "v1=ü"}, "not that of this body"),
        ({"Assay-Signature": sign(BODY, SECRET, SENT).removeprefix("v1=")}, "not that of this body"),
        ({"Assay-Signature": sign(BODY, SECRET, SENT).upper()}, "not that of this body"),
        ({"Assay-Signature": sign(BODY, "another secret", SENT)}, "not that of this body"),
        ({"Assay-Signature": sign(BODY + b" ", SECRET, SENT)}, "not that of this body"),
    ],
    ids=str,
)
def test_what_the_service_did_not_send(changes: dict[str, str | None], why: str) -> None:
    given = {name: value for name, value in {**headers(), **changes}.items() if value is not None}

    with pytest.raises(SignatureInvalid, match=why):
        check(given=given)


@given(st.binary(max_size=50), st.integers(0, 400))
def test_no_other_body_has_the_signature(body: bytes, bit: int) -> None:
    flipped = bytearray(BODY)
    flipped[bit // 8 % len(BODY)] ^= 1 << bit % 8

    for other in (body, bytes(flipped)):
        with pytest.raises(SignatureInvalid):
            check(body=other)


@pytest.mark.parametrize(
    ("at", "fresh"), [(0, True), (299, True), (300, True), (301, False), (-300, True), (-301, False)]
)
def test_a_request_that_somebody_kept_is_refused(at: int, fresh: bool) -> None:
    if fresh:
        assert check(at=SENT + at)
    else:
        with pytest.raises(SignatureInvalid, match="within the last 300 seconds"):
            check(at=SENT + at)


def test_receivers_need_nothing_but_the_standard_library() -> None:
    script = "import sys, assay.webhooks; print({'httpx', 'typer', 'rich', 'yaml'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert found.stdout == "set()\n"


# --- the client and the commands


@pytest.fixture
def cli(service: Any) -> Callable[..., Result]:
    def run(*args: str, **env: str) -> Result:
        return CliRunner().invoke(app, args, env={"ASSAY_URL": service.url, "COLUMNS": "80", "TERM": "dumb", **env})

    return run


def webhook(**changes: Any) -> dict[str, Any]:
    found = {
        "id": 3,
        "url": "https://ci.example.org/hook",
        "events": ["study.completed", "study.failed"],
        "study": None,
        "active": True,
        "failing_since": None,
        "created_by": "ada",
        "created_at": "2030-01-01T00:00:00Z",
    }
    return {**found, **changes}


def delivery(**changes: Any) -> dict[str, Any]:
    found = {
        "number": 7,
        "id": "0123456789abcdef",
        "event": "ping",
        "study": None,
        "seq": None,
        "state": "delivered",
        "attempts": 1,
        "status": 204,
        "error": None,
        "created_at": "2030-01-01T00:00:00Z",
        "due_at": None,
        "delivered_at": "2030-01-01T00:00:01Z",
    }
    return {**found, **changes}


def event(seq: int, **changes: Any) -> dict[str, Any]:
    found = {"seq": seq, "type": "study.paused", "run": None, "trial": None, "data": {}, "created_at": "2030"}
    return {**found, **changes}


def test_the_client_has_a_method_for_every_route(service: Any) -> None:
    base = f"{API}/webhooks"
    service.routes |= {
        f"POST {base}": (201, {**webhook(), "secret": SECRET}),
        f"GET {base}": (200, {"items": [webhook()], "next": None}),
        f"GET {base}/3": (200, webhook()),
        f"PATCH {base}/3": (200, webhook(active=False)),
        f"DELETE {base}/3": (204, ""),
        f"POST {base}/3/test": (202, delivery(state="pending")),
        f"GET {base}/3/deliveries": (200, {"items": [delivery()], "next": None}),
        f"GET {base}/3/deliveries/7": (200, delivery()),
        f"POST {base}/3/deliveries/7/redeliver": (202, delivery(state="pending")),
    }
    with Client(service.url) as client:
        hooks = client.webhooks
        assert hooks.create("https://a/", events=("study.failed",), study="s", secret=SECRET)["secret"] == SECRET
        assert service.requests[-1].body == {
            "url": "https://a/", "events": ["study.failed"], "study": "s", "secret": SECRET,
        }  # fmt: skip
        hooks.create("https://a/")
        assert service.requests[-1].body == {"url": "https://a/"}
        assert list(hooks.list()) == [webhook()] == [hooks.get(3)]
        assert hooks.change(3, active=False, study=None)["active"] is False
        assert service.requests[-1].body == {"active": False, "study": None}
        assert hooks.test(3)["state"] == hooks.redeliver(3, 7)["state"] == "pending"
        assert list(hooks.deliveries(3, state="failed")) == [hooks.delivery(3, 7)] == [delivery()]
        assert service.requests[-2].query["state"] == "failed"
        hooks.delete(3)
        assert service.requests[-1].method == "DELETE"


def test_the_client_turns_the_pages_of_events(service: Any) -> None:
    def answer(request: Any) -> tuple[int, Any]:
        assert request.query["format"] == "json"
        after = int(request.query["after"])
        return 200, {"items": [event(after + 1)], "next": str(after + 1) if after < 7 else None}

    service.routes[f"GET {API}/studies/digits/events"] = answer
    with Client(service.url) as client:
        assert [one["seq"] for one in client.studies.recorded("digits")] == list(range(1, 9))
        assert [one["seq"] for one in client.studies.recorded("digits", after=5)] == [6, 7, 8]


def test_create_prints_the_secret(service: Any, cli: Any) -> None:
    service.routes[f"POST {API}/webhooks"] = (201, {**webhook(), "secret": SECRET})

    result = cli("webhook", "create", "https://a/", "--event", "study.failed", "--event", "study.completed")

    assert (result.exit_code, result.stdout) == (0, f"id:     3\nsecret: {SECRET}\n")
    assert service.requests[-1].body == {"url": "https://a/", "events": ["study.failed", "study.completed"]}


def test_a_secret_may_come_from_the_environment(service: Any, cli: Any) -> None:
    """Where others that look at the processes of the machine do not see it."""
    service.routes[f"POST {API}/webhooks"] = (201, {**webhook(), "secret": SECRET})

    result = cli("webhook", "create", "https://a/", "--json", ASSAY_WEBHOOK_SECRET=SECRET)

    assert json.loads(result.stdout)["id"] == 3
    assert service.requests[-1].body["secret"] == SECRET


def test_list(service: Any, cli: Any) -> None:
    items = [webhook(), webhook(id=4, active=False, failing_since="2030-01-02T00:00:00Z", study="digits")]
    service.routes[f"GET {API}/webhooks"] = (200, {"items": items, "next": None})

    lines = cli("webhook", "list").stdout.splitlines()

    assert lines[1].split() == ["3", "on", "study.completed", "study.failed", "https://ci.example.org/hook"]
    assert lines[2].split()[:6] == ["4", "off,", "failing", "since", "2030-01-02T00:00:00Z", "digits"]
    assert json.loads(cli("webhook", "list", "--json").stdout) == items


@pytest.mark.parametrize(
    ("command", "request_", "body", "said"),
    [
        (["delete", "3"], "DELETE", None, "webhook 3 is deleted"),
        (["enable", "3"], "PATCH", {"active": True}, "webhook 3 is turned on"),
        (["disable", "3"], "PATCH", {"active": False}, "webhook 3 is turned off"),
    ],
)
def test_short_commands(service: Any, cli: Any, command: list[str], request_: str, body: Any, said: str) -> None:
    service.routes[f"{request_} {API}/webhooks/3"] = (204, "") if request_ == "DELETE" else (200, webhook())

    result = cli("webhook", *command)

    assert (result.exit_code, result.stdout, result.stderr) == (0, "", f"{said}\n")
    assert service.requests[-1].body == body


@pytest.mark.parametrize(
    ("after", "code", "said"),
    [
        ([{"state": "sending"}, {}], ExitCode.OK, "delivered, answered 204"),
        (
            [{"state": "pending", "attempts": 1, "error": "answered 500", "due_at": "2030"}],
            ExitCode.ERROR,
            "not delivered: answered 500; it is tried again at 2030",
        ),
        ([{"state": "failed", "error": "no"}], ExitCode.ERROR, "not delivered: no"),
    ],
)
def test_test_tells_what_came_of_it(
    service: Any, cli: Any, after: list[dict[str, Any]], code: ExitCode, said: str
) -> None:
    found = iter(after)
    service.routes |= {
        f"POST {API}/webhooks/3/test": (202, delivery(state="pending", attempts=0)),
        f"GET {API}/webhooks/3/deliveries/7": lambda request: (200, delivery(**next(found))),
    }

    result = cli("webhook", "test", "3")

    assert (result.exit_code, result.stdout) == (code, f"{said}\n")
    assert next(found, None) is None


def test_test_without_anybody_who_sends(service: Any, cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.commands.webhooks._PATIENCE", 0.0)
    service.routes[f"POST {API}/webhooks/3/test"] = (202, delivery(state="pending", attempts=0))

    result = cli("webhook", "test", "3")

    assert (result.exit_code, result.stdout) == (ExitCode.ERROR, "not sent yet; is a dispatcher running?\n")


def test_deliveries(service: Any, cli: Any) -> None:
    items = [delivery(event="study.failed", study="digits", seq=9, state="failed", status=500, error="answered 500")]
    service.routes[f"GET {API}/webhooks/3/deliveries"] = (200, {"items": items * 60, "next": None})

    lines = cli("webhook", "deliveries", "3", "--state", "failed").stdout.splitlines()

    assert service.requests[-1].query["state"] == "failed"
    assert len(lines) == 51
    assert lines[1].split()[:7] == ["7", "study.failed", "digits", "9", "failed", "1", "500"]
    assert json.loads(cli("webhook", "deliveries", "3", "--json", "--limit", "2").stdout) == items * 2


def test_redeliver_refused(service: Any, cli: Any, make_problem: Any) -> None:
    problem = make_problem(409, "Off", "the webhook is turned off")
    service.routes[f"POST {API}/webhooks/3/deliveries/7/redeliver"] = (409, problem)

    result = cli("webhook", "redeliver", "3", "7")

    assert (result.exit_code, result.stderr) == (ExitCode.CONFLICT, "the webhook is turned off\n")
    with Client(service.url) as client, pytest.raises(Conflict):
        client.webhooks.redeliver(3, 7)


def test_events_are_printed_one_per_line(service: Any, cli: Any) -> None:
    items = [event(1), event(2, type="run.failed", run=0, trial=4, data={"class": "oom"})]
    service.routes[f"GET {API}/studies/digits/events"] = (200, {"items": items, "next": None})

    assert cli("events", "digits", "--after", "0").stdout.splitlines() == [
        "1 2030 study.paused",
        '2 2030 run.failed trial 4 run 0 {"class": "oom"}',
    ]
    assert [json.loads(line) for line in cli("events", "digits", "--json").stdout.splitlines()] == items
    assert cli("events", "digits", "--limit", "1").stdout == "1 2030 study.paused\n"
