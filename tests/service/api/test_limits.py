"""How much and by which name somebody may ask: rates, sizes, hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from service.app import create_app
from service.auth import limits
from service.auth.limits import Buckets
from service.auth.tokens import Secret
from service.database import Database
from service.settings import Settings

ClientOf = Callable[[FastAPI], httpx.Client]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_fills_up_at_its_rate() -> None:
    clock = Clock()
    buckets = Buckets(2.0, burst=3.0, clock=clock)
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("b") == 0, "each has its own"
    clock.now = 0.25
    assert buckets.take("a") == 0.25
    clock.now = 0.5
    assert (buckets.take("a"), buckets.take("a")) == (0, 0.5)
    clock.now = 1000.0
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5], "never more than the burst"


def test_a_slow_rate_lets_one_through() -> None:
    clock = Clock()
    buckets = Buckets(0.1, clock=clock)
    assert (buckets.take("a"), buckets.take("a")) == (0, 10)


def test_buckets_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_BUCKETS", 2)
    buckets = Buckets(1.0, clock=Clock())
    assert [buckets.take(owner) for owner in "abcab"] == [0, 0, 0, 0, 0]
    assert buckets.take("b") > 0


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time stands still for the service's buckets: however slow requests are, none fills up meanwhile."""
    monkeypatch.setattr(Buckets.__init__, "__defaults__", (None, Clock()))


@pytest.mark.usefixtures("still")
def test_too_many_requests_are_refused_for_each_token_alone(
    sqlite_database: Database, client_of: ClientOf, token_for: Callable[..., str]
) -> None:
    one, two = token_for("read", name="one"), token_for("read", name="two")
    app = create_app(Settings(auth="on", rate_limit=3), sqlite_database)
    statuses = [client_of(app).get("me", headers=_bearer(one)).status_code for _ in range(4)]
    assert statuses[:3] == [200] * 3
    refused = client_of(app).get("me", headers=_bearer(one))
    assert refused.status_code == 429
    assert refused.json()["type"] == "urn:assay:too-many-requests"
    assert refused.headers["Retry-After"] == "1"
    assert client_of(app).get("me", headers=_bearer(two)).status_code == 200
    assert client_of(app).get("http://localhost/healthz").status_code == 200


@pytest.mark.usefixtures("still")
def test_guesses_are_limited_by_address(sqlite_database: Database, client_of: ClientOf) -> None:
    app = create_app(Settings(auth="on", rate_limit=3), sqlite_database)
    client = client_of(app)
    statuses = [client.get("me", headers=_bearer(str(Secret.new()))).status_code for _ in range(6)]
    assert statuses[:3] == [401] * 3
    assert statuses[4:] == [429] * 2
    assert client.post("http://localhost/login", data={"token": "x"}).status_code == 429


@pytest.mark.usefixtures("still")
def test_without_auth_addresses_are_limited_if_asked_for(sqlite_database: Database, client_of: ClientOf) -> None:
    client = client_of(create_app(Settings(rate_limit=2), sqlite_database))
    assert [client.get("me").status_code for _ in range(3)] == [200, 200, 429]
    unlimited = client_of(create_app(Settings(), sqlite_database))
    assert {unlimited.get("me").status_code for _ in range(50)} == {200}


def test_the_size_of_bodies_is_a_setting(
    sqlite_database: Database, client_of: ClientOf, study_payload: dict[str, Any]
) -> None:
    client = client_of(create_app(Settings(max_body_bytes=1024), sqlite_database))
    assert client.post("studies", json=study_payload).status_code == 201
    answer = client.post("studies", json={**study_payload, "name": "n" * 1024})
    assert (answer.status_code, answer.json()["detail"]) == (413, "the body is larger than 1024 bytes")


def test_a_body_that_says_that_it_is_too_large_is_not_read(api: httpx.Client) -> None:
    headers = {"Content-Type": "application/json", "Content-Length": str(10**12)}
    request = api.build_request("POST", "studies", headers=headers)
    request.stream = _Unread()
    assert api.send(request).status_code == 413


class _Unread(httpx.SyncByteStream, httpx.AsyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        raise AssertionError("nobody reads this")

    async def __aiter__(self) -> Any:
        raise AssertionError("nobody reads this")
        yield b""


@pytest.mark.parametrize(
    ("settings", "host", "allowed"),
    [
        (Settings(), "localhost", True),
        (Settings(), "localhost:8080", True),
        (Settings(), "127.0.0.1:1", True),
        (Settings(), "[::1]:8080", True),
        (Settings(), "LOCALHOST.", True),
        (Settings(), "evil.example", False),
        (Settings(), "localhost.evil.example", False),
        (Settings(), "[::1", False),
        (Settings(), "", False),
        (Settings(trusted_hosts=("assay.example", "*.example.org")), "assay.example", True),
        (Settings(trusted_hosts=("assay.example", "*.example.org")), "a.b.example.org:443", True),
        (Settings(trusted_hosts=("assay.example", "*.example.org")), "example.org", False),
        (Settings(trusted_hosts=("assay.example", "*.example.org")), "evilexample.org", False),
        (Settings(trusted_hosts=("assay.example",)), "localhost", False),
        (Settings(trusted_hosts=("*",)), "anything.example", True),
        (Settings(auth="on", admin_token=SecretStr("0123456789abcdef")), "anything.example", True),
    ],
    ids=str,
)
def test_the_service_answers_to_its_own_names_alone(
    sqlite_database: Database, client_of: ClientOf, settings: Settings, host: str, allowed: bool
) -> None:
    client = client_of(create_app(settings, sqlite_database))
    answer = client.get("me", headers={"Host": host, **_bearer("0123456789abcdef")})
    assert answer.status_code == (200 if allowed else 421)
    if not allowed:
        assert answer.json()["type"] == "urn:assay:misdirected"
    assert client.get("http://localhost/healthz", headers={"Host": host}).status_code == 200


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
