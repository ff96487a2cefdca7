"""Who may ask: tokens in headers, scopes, the choice of a project, and what commands need."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import SecretStr

from service.app import create_app
from service.auth import authenticator
from service.auth.bootstrap import first_token
from service.auth.callers import Requires
from service.auth.tokens import Secret
from service.database import Database
from service.models import Token, utcnow
from service.repositories.tokens import Tokens
from service.settings import Settings

Client = Callable[..., httpx.Client]
TokenFor = Callable[..., str]

WITHOUT_A_CALLER = {"get_health", "get_readiness", "show_api", "show_login", "log_in", "log_out"}
BY_THEIR_OWN_RULE = {"get_metrics"}
TOO_LITTLE = {"read": "execute", "write": "worker", "worker": "write", "admin": "write"}
"""For each scope another one that does not include it."""


def operations(app: FastAPI) -> Iterator[tuple[str, str, str]]:
    """Method, path with something for each parameter, and scope of every operation that needs one."""
    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            if "security" in operation:
                (scope,) = operation["security"][0]["token"]
                for parameter in operation.get("parameters", []):
                    if parameter["in"] == "path":
                        path = path.replace(f"{{{parameter['name']}}}", "1-1" if parameter["name"] == "id" else "1")
                yield method.upper(), path, scope


def routes(found: Any) -> Iterator[APIRoute]:
    for route in found:
        if isinstance(route, APIRoute):
            yield route
        elif hasattr(route, "original_router"):
            yield from routes(route.original_router.routes)


def test_every_route_says_who_may_call_it(guarded: FastAPI) -> None:
    open_ones = set()
    for route in routes(guarded.routes):
        guards = [part for part in route.dependant.dependencies if isinstance(part.call, Requires)]
        deeper = [part for each in route.dependant.dependencies for part in each.dependencies]
        if not guards and not any(isinstance(part.call, Requires) for part in deeper):
            open_ones.add(route.name)
    assert open_ones == WITHOUT_A_CALLER | BY_THEIR_OWN_RULE


def test_nothing_is_answered_without_a_token(guarded: FastAPI, bearing: Client) -> None:
    nobody, stranger = bearing(None), bearing(str(Secret.new()))
    seen = set()
    for method, path, scope in operations(guarded):
        for client, challenge in ((nobody, "Bearer"), (stranger, 'Bearer error="invalid_token"')):
            answer = client.request(method, f"http://localhost{path}")
            assert answer.status_code == 401, (method, path)
            assert answer.headers["WWW-Authenticate"] == challenge
            assert answer.json()["type"] == "urn:assay:unauthorized"
        seen.add(scope)
    assert seen >= {"read", "write", "admin"}


def test_what_is_not_there_is_not_told_without_a_token(bearing: Client) -> None:
    assert bearing(None).get("nowhere").status_code == 401


def test_a_scope_that_is_too_small_is_refused_before_the_body_is_read(
    guarded: FastAPI, bearing: Client, token_for: TokenFor
) -> None:
    clients = {scope: bearing(token_for(other)) for scope, other in TOO_LITTLE.items()}
    for method, path, scope in operations(guarded):
        answer = clients[scope].request(method, f"http://localhost{path}", content=b"not JSON")
        assert answer.status_code == 403, (method, path, answer.text)
        assert answer.json()["detail"].startswith(f"this needs the scope {scope};"), (method, path)


@pytest.mark.parametrize(
    ("held", "allowed"),
    [
        (["read"], {"read"}),
        (["write"], {"read", "write"}),
        (["worker"], {"read", "worker"}),
        (["execute"], {"execute"}),
        (["write", "execute"], {"read", "write", "execute"}),
        (["admin"], {"read", "write", "worker", "execute", "admin"}),
    ],
    ids=lambda scopes: "+".join(sorted(scopes)),
)
def test_scopes_include_smaller_ones(
    operator: httpx.Client, bearing: Client, token_for: TokenFor, held: list[str], allowed: set[str]
) -> None:
    client = bearing(token_for(*held, name="t"))
    if "read" not in allowed:
        assert client.get("me").status_code == 403
        return
    me = client.get("me").json()
    assert set(me["scopes"]) == allowed
    assert me == {"actor": "t", "project": "default", "projects": None, "scopes": me["scopes"], "auth": True}


@pytest.mark.parametrize(
    "text", ["", "assay", "assay_0123456789abcdef_short", "Basic YTpi", "assay__", "é", "a" * 5000], ids=repr
)
def test_what_is_no_token_is_refused(bearing: Client, text: str) -> None:
    client = bearing(None)
    answer = client.get("me", headers={b"Authorization": f"Bearer {text}".encode()})
    assert answer.status_code == 401
    assert client.get("me", headers={"Authorization": "Basic YTpi"}).status_code == 401


def test_a_wrong_secret_with_a_known_handle_is_refused(bearing: Client, token_for: TokenFor) -> None:
    handle = token_for("read").split("_")[1]
    answer = bearing(str(Secret(handle, Secret.new().secret))).get("me")
    assert answer.status_code == 401
    assert answer.json()["detail"] == "the token is not known"


def test_secrets_are_not_stored(sqlite_database: Database, token_for: TokenFor) -> None:
    token = token_for("read")
    with sqlite_database.session(write=False) as session:
        (row,) = Tokens(session).page(None, 10)
    secret = Secret.parse(token)
    assert secret is not None
    assert secret.secret not in str({column.name: getattr(row, column.name) for column in Token.__table__.columns})
    assert secret.fits(row.hash)
    assert secret.secret not in repr(secret)


def test_an_expired_token_is_refused(
    sqlite_database: Database, client_of: Client, bearing: Client, token_for: TokenFor
) -> None:
    token = token_for("read", expires_at=(utcnow() + timedelta(hours=1)).isoformat())
    assert bearing(token).get("me").status_code == 200
    with sqlite_database.session() as session:
        Tokens(session).page(None, 10)[0].expires_at = utcnow() - timedelta(seconds=1)
    fresh = client_of(create_app(Settings(auth="on"), sqlite_database))
    answer = fresh.get("me", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["detail"]) == (401, "the token has expired")


def test_a_revoked_token_is_refused_at_once(operator: httpx.Client, bearing: Client, token_for: TokenFor) -> None:
    client = bearing(token_for("read"))
    assert client.get("me").status_code == 200
    (token,) = operator.get("tokens").json()["items"]
    revoked = operator.delete(f"tokens/{token['id']}").json()
    assert revoked["revoked_at"] is not None
    answer = client.get("me")
    assert (answer.status_code, answer.json()["detail"]) == (401, "the token has been revoked")
    assert operator.delete(f"tokens/{token['id']}").json() == revoked, "again changes nothing"


def test_what_another_process_revokes_is_noticed_within_seconds(
    sqlite_database: Database, bearing: Client, token_for: TokenFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authenticator, "BELIEVED_SECONDS", 0.0)
    client = bearing(token_for("read"))
    assert client.get("me").status_code == 200
    with sqlite_database.session() as session:
        (row,) = Tokens(session).page(None, 10)
        row.revoked_at = utcnow()
    assert client.get("me").status_code == 401


def test_the_use_of_a_token_is_noted_once_a_minute(
    sqlite_database: Database, bearing: Client, token_for: TokenFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authenticator, "BELIEVED_SECONDS", 0.0)

    def used() -> Any:
        with sqlite_database.session(write=False) as session:
            return Tokens(session).page(None, 10)[0].used_at

    client = bearing(token_for("read"))
    assert used() is None
    assert client.get("me").status_code == 200
    first = used()
    assert first is not None
    assert client.get("me").status_code == 200
    assert used() == first
    with sqlite_database.session() as session:
        Tokens(session).page(None, 10)[0].used_at = first - timedelta(minutes=2)
    assert client.get("me").status_code == 200
    assert used() >= first


def test_known_tokens_are_bounded(guarded: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authenticator, "MOST_KNOWN", 3)
    believed = authenticator._Believed[int]()
    for number in range(10):
        believed.put(str(number), number)
    assert [name for name in map(str, range(10)) if name in believed] == ["7", "8", "9"]


def test_a_token_of_one_project_is_that_project(bearing: Client, token_for: TokenFor) -> None:
    token = token_for("write", project="theirs")
    assert bearing(token).get("me").json()["project"] == "theirs"
    assert bearing(token, **{"Assay-Project": "theirs"}).get("me").json()["projects"] == ["theirs"]
    for other in ("default", "nowhere", "x" * 300):
        answer = bearing(token, **{"Assay-Project": other}).get("me")
        assert answer.status_code == 403
        assert "'theirs'" in answer.json()["detail"]


def test_a_token_of_all_projects_chooses(operator: httpx.Client, bearing: Client, token_for: TokenFor) -> None:
    token_for("read", project="theirs")
    token = token_for("read")
    assert bearing(token).get("me").json()["project"] == "default"
    assert bearing(token, **{"Assay-Project": "theirs"}).get("me").json()["project"] == "theirs"
    answer = bearing(token, **{"Assay-Project": "their"}).get("me")
    assert answer.status_code == 404
    assert answer.json()["detail"] == "there is no project named 'their'; did you mean theirs?"


@pytest.mark.parametrize("name", ["\xff", "a b", "'", "x" * 1000])
def test_what_is_no_name_of_a_project_is_not_there(api: httpx.Client, name: str) -> None:
    assert api.get("me", headers={b"Assay-Project": name.encode("latin-1")}).status_code == 404


def test_without_auth_everybody_may_everything(api: httpx.Client, study_payload: dict[str, Any]) -> None:
    me = api.get("me").json()
    assert (me["actor"], me["project"], me["auth"]) == ("local", "default", False)
    assert set(me["scopes"]) == {"read", "write", "worker", "execute", "admin"}
    assert api.post("projects", json={"name": "other"}).status_code == 201
    there = {"Assay-Project": "other"}
    assert api.post("studies", json=study_payload, headers=there).status_code == 201
    assert api.get("studies/s").status_code == 404
    assert api.get("studies/s", headers=there).status_code == 200
    assert api.get("me", headers={"Assay-Project": "nowhere"}).status_code == 404


def test_health_and_the_description_need_no_token(bearing: Client) -> None:
    for path in ("healthz", "readyz", "openapi.json", "docs", "login"):
        assert bearing(None).get(f"http://localhost/{path}").status_code == 200, path


def test_the_first_token_is_made_once(sqlite_database: Database, client_of: Client) -> None:
    settings = Settings(auth="on")
    token = first_token(settings, sqlite_database)
    assert token is not None
    assert first_token(settings, sqlite_database) is None
    client = client_of(create_app(settings, sqlite_database))
    client.headers["Authorization"] = f"Bearer {token}"
    assert client.get("me").json()["projects"] is None
    (entry,) = client.get("audit").json()["items"]
    assert (entry["action"], entry["actor"]) == ("token.create", "assay up")
    (row,) = client.get("tokens").json()["items"]
    client.delete(f"tokens/{row['id']}")
    assert first_token(settings, sqlite_database) is not None, "nobody could make one otherwise"


@pytest.mark.parametrize(
    "settings", [Settings(), Settings(auth="on", admin_token=SecretStr("0123456789abcdef"))], ids=["off", "operator"]
)
def test_no_first_token_is_made_where_none_is_needed(sqlite_database: Database, settings: Settings) -> None:
    assert first_token(settings, sqlite_database) is None


COMMAND = {"objective": {"type": "command", "command": ["python", "train.py"]}}


@pytest.mark.parametrize(
    ("scopes", "allow", "why"),
    [
        (["write"], True, "this needs the scope execute"),
        (["write", "execute"], False, "the setting allow_commands"),
        (["write", "execute"], True, None),
        (["admin"], True, None),
    ],
    ids=str,
)
def test_commands_take_a_scope_and_an_operator_who_allows_them(
    sqlite_database: Database,
    client_of: Client,
    token_for: TokenFor,
    study_payload: dict[str, Any],
    scopes: list[str],
    allow: bool,
    why: str | None,
) -> None:
    client = client_of(create_app(Settings(auth="on", allow_commands=allow), sqlite_database))
    client.headers["Authorization"] = f"Bearer {token_for(*scopes)}"
    answer = client.post("studies", json={**study_payload, **COMMAND})
    if why is None:
        assert answer.status_code == 201, answer.text
    else:
        assert answer.status_code == 403
        assert why in answer.json()["detail"]
        assert client.get("studies").json()["items"] == []


def test_who_is_turned_away_is_told_to_the_logs(
    operator: httpx.Client, bearing: Client, token_for: TokenFor, caplog: pytest.LogCaptureFixture
) -> None:
    small = bearing(token_for("read", name="curious"))
    with caplog.at_level(logging.WARNING, "service.auth.refusals"):
        bearing(str(Secret.new())).get("me")
        small.get("tokens")
        bearing(None).get("me")
    told = [(entry["action"], entry["actor"], entry["target"]) for entry in operator.get("audit").json()["items"]]
    assert told[:2] == [
        ("access.refused", "curious", "GET /api/v1/tokens"),
        ("login.refused", "unknown", "GET /api/v1/me"),
    ]
    assert len(caplog.records) == 2, "who shows no token is not worth a line"


def test_the_logs_are_not_flooded(operator: httpx.Client, bearing: Client) -> None:
    stranger = bearing(str(Secret.new()))
    for _ in range(60):
        assert stranger.get("me").status_code == 401
    told = operator.get("audit", params={"action": "login.refused", "limit": 100}).json()["items"]
    assert 0 < len(told) < 30
