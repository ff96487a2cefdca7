"""Tokens, projects and the audit log in the dashboard: only for who administers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from service.app import create_app
from service.database import Database
from service.lifecycle import create_study
from service.settings import Settings

OPERATORS_TOKEN = "the-token-of-the-operator"
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
PAGES = ("/tokens", "/projects", "/audit")
Ask = Callable[..., httpx.Response]


@pytest.fixture
def app(sqlite_database: Database, study_payload: dict[str, Any]) -> FastAPI:
    with sqlite_database.session() as session:
        create_study(session, {**study_payload, "name": "s"})
    return create_app(Settings(auth="on", admin_token=SecretStr(OPERATORS_TOKEN)), sqlite_database)


@pytest.fixture
def ask(app: FastAPI) -> Ask:
    """Asks as a browser that has logged in with a token, the operator's unless said otherwise."""

    def send(method: str, path: str, token: str = OPERATORS_TOKEN, **options: Any) -> httpx.Response:
        async def go() -> httpx.Response:
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://localhost", cookies={"assay_token": token}
            ) as client:
                return await client.request(method, path, headers={"Accept": "text/html"}, **options)

        return asyncio.run(go())

    return send


@pytest.fixture
def token_for(ask: Ask) -> Callable[..., str]:
    def make(*scopes: str, project: str | None = None) -> str:
        answer = ask("POST", "/api/v1/tokens", json={"name": "ada", "scopes": scopes, "project": project})
        return str(answer.json()["token"])

    return make


def test_only_who_administers_sees_these_pages(ask: Ask, token_for: Callable[..., str]) -> None:
    writer = token_for("write", "worker", "execute")
    page = ask("GET", "/", writer).text
    for path in PAGES:
        assert ask("GET", path).status_code == 200
        assert ask("GET", path, writer).status_code == 403
        assert f'href="{path}"' not in page
        assert f'href="{path}"' in ask("GET", "/").text
    assert ask("POST", "/tokens", writer, data={"name": "x", "scopes": "admin"}).status_code == 403
    assert ask("POST", "/projects", writer, data={"name": "x"}).status_code == 403
    assert ask("POST", "/tokens/1/revoke", writer).status_code == 403
    assert ask("POST", "/projects/default/limits", writer, data={}).status_code == 403


def test_a_secret_is_shown_once_and_works_until_it_is_revoked(ask: Ask) -> None:
    data = {"name": HOSTILE, "scopes": ["read", "write"], "days": "7", "project": "default"}
    answer = ask("POST", "/tokens", data=data)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert "<script>alert" not in answer.text
    (secret,) = re.findall(r'<code id="secret">(assay_\w{16}_[\w-]{43})</code>', answer.text)
    listed = ask("GET", "/tokens").text
    assert secret not in listed
    assert secret[:22] in listed
    assert "in 6 d 23 h" in listed
    assert ask("GET", "/api/v1/studies", secret).status_code == 200
    (revoke,) = re.findall(r'action="(/tokens/\d+/revoke)"', listed)
    assert ask("POST", revoke).status_code == 303
    assert ask("GET", "/api/v1/studies", secret).status_code == 401
    assert "revoked" in ask("GET", "/tokens").text


@pytest.mark.parametrize(
    "data",
    [
        {"name": "", "scopes": "read"},
        {"name": "x"},
        {"name": "x", "scopes": "all"},
        {"name": "x", "scopes": "read", "project": "nowhere"},
    ],
)
def test_a_token_that_cannot_be_is_refused_in_place(ask: Ask, data: dict[str, str]) -> None:
    answer = ask("POST", "/tokens", data=data)
    assert answer.status_code == 422
    assert 'id="token-problems" role="alert"' in answer.text
    assert 'id="secret"' not in answer.text


def test_who_administers_one_project_does_so_alone(ask: Ask, token_for: Callable[..., str]) -> None:
    ask("POST", "/projects", data={"name": "other"})
    admin = token_for("admin", project="other")
    page = ask("GET", "/tokens", admin).text
    assert '<option value="">all</option>' not in page
    assert ask("POST", "/tokens", admin, data={"name": "x", "scopes": "read", "project": "other"}).status_code == 200
    assert ask("POST", "/tokens", admin, data={"name": "x", "scopes": "read"}).status_code == 403
    projects = ask("GET", "/projects", admin).text
    assert ">other</th>" in projects
    assert ">default</th>" not in projects
    assert '<form class="fields"' not in projects
    assert ask("POST", "/projects/other/limits", admin, data={"max_runs": "9"}).status_code == 403
    assert ask("GET", "/audit?project=default", admin).status_code == 403


def test_projects_with_limits_and_usage(ask: Ask) -> None:
    answer = ask("POST", "/projects", data={"name": "vision", "max_runs": "8", "max_gpus": "1.5", "max_studies": ""})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/projects#projects")
    project = ask("GET", "/api/v1/projects/vision").json()
    assert (project["max_runs"], project["max_gpus"], project["max_studies"]) == (8, 1.5, None)
    assert ask("POST", "/projects/vision/limits", data={"max_runs": "", "max_studies": "3"}).status_code == 303
    project = ask("GET", "/api/v1/projects/vision").json()
    assert (project["max_runs"], project["max_gpus"], project["max_studies"]) == (None, None, 3)
    page = ask("GET", "/projects").text
    assert 'aria-label="Open studies of vision"' in page
    taken = ask("POST", "/projects", data={"name": "vision"})
    assert taken.status_code == 409
    assert 'id="project-problems"' in taken.text
    for wrong in ({"max_runs": "-1"}, {"max_runs": "many"}, {"max_gpus": "nan"}):
        refused = ask("POST", "/projects/vision/limits", data=wrong)
        assert refused.status_code == 422
        assert 'id="limits-vision-problems"' in refused.text
    assert ask("POST", "/projects/nowhere/limits", data={}).status_code == 404
    assert ask("POST", "/projects", data={"name": HOSTILE}).status_code == 422


def test_the_audit_log_is_read_page_by_page(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.dashboard.admin_pages.PER_PAGE", 2)
    for name in ("a", "b", "c"):
        ask("POST", "/projects", data={"name": name})
    ask("POST", "/studies/s/notes", data={"project": "default", "text": "hello"})
    first = ask("GET", "/audit").text
    assert "note.write" in first
    (older,) = re.findall(r'<a href="(/audit\?after=[^"]+)" rel="next">', first)
    second = ask("GET", older.replace("&amp;", "&")).text
    assert "note.write" not in second
    assert second.count("project.create") == 2
    some = ask("GET", "/audit?action=note.write&actor=operator").text
    assert "project.create" not in some
    assert "Nothing of that kind" in ask("GET", "/audit", params={"actor": HOSTILE}).text
    assert "<script>alert" not in ask("GET", "/audit", params={"actor": HOSTILE}).text
    assert ask("GET", "/audit?actor=%00").status_code == 404
    assert ask("GET", "/audit?project=nowhere").status_code == 404


def test_hostile_words_in_the_audit_log_stay_words(ask: Ask) -> None:
    ask("POST", "/tokens", data={"name": HOSTILE, "scopes": "read"})
    text = ask("GET", "/audit").text
    assert "&lt;script&gt;alert(1)" in text
    assert "<script>alert" not in text


def test_forms_and_fields_are_hidden_from_who_may_only_read(ask: Ask, token_for: Callable[..., str]) -> None:
    reader = token_for("read")
    page = ask("GET", "/studies/s", reader).text
    assert "Notes" in page
    assert 'action="/studies/s/' not in page
    for path, field in (
        ("notes", "text"),
        ("priority", "priority"),
        ("enqueued", "config"),
        ("trials/0/notes", "text"),
        ("trials/0/invalidate", "reason"),
    ):
        assert ask("POST", f"/studies/s/{path}", reader, data={"project": "default", field: "1"}).status_code == 403
