"""The dashboard with auth: logging in, logging out, projects, and who sees buttons."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from service.app import create_app
from service.database import Database
from service.lifecycle import create_study
from service.repositories.projects import Projects
from service.settings import Settings

OPERATORS_TOKEN = "the-token-of-the-operator"


class Browser:
    """Keeps cookies and follows nothing by itself."""

    def __init__(self, app: FastAPI, scheme: str = "http") -> None:
        self.app = app
        self.address = f"{scheme}://localhost"
        self.cookies = httpx.Cookies()

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url=self.address, cookies=self.cookies) as client:
                headers = {"Accept": "text/html,*/*;q=0.8", **options.pop("headers", {})}
                answer = await client.request(method, path, headers=headers, **options)
                self.cookies = client.cookies
                return answer

        return asyncio.run(ask())

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.ask("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.ask("POST", path, **options)

    def log_in(self, token: str = OPERATORS_TOKEN, **form: str) -> httpx.Response:
        return self.post("/login", data={"token": token, **form})


@pytest.fixture
def app(sqlite_database: Database, study_payload: dict[str, Any]) -> FastAPI:
    """Two projects with a study each."""
    with sqlite_database.session() as session:
        create_study(session, {**study_payload, "name": "ours"})
        create_study(session, {**study_payload, "name": "theirs"}, Projects(session).add("other", {}).id)
    return create_app(Settings(auth="on", admin_token=SecretStr(OPERATORS_TOKEN)), sqlite_database)


@pytest.fixture
def browser(app: FastAPI) -> Browser:
    return Browser(app)


@pytest.fixture
def token_for(browser: Browser) -> Callable[..., str]:
    def make(*scopes: str, project: str | None = None) -> str:
        answer = browser.post(
            "/api/v1/tokens",
            json={"name": "ada", "scopes": scopes, "project": project},
            headers={"Authorization": f"Bearer {OPERATORS_TOKEN}"},
        )
        return str(answer.json()["token"])

    return make


def test_who_is_not_logged_in_is_led_to_the_login(browser: Browser) -> None:
    answer = browser.get("/studies/ours?sort=best&state=failed")
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/login?next=%2Fstudies%2Fours%3Fsort%3Dbest%26state%3Dfailed"
    form = browser.get(answer.headers["Location"])
    assert form.status_code == 200
    assert 'value="/studies/ours?sort=best&amp;state=failed"' in form.text
    assert "ours" not in form.text.replace("/studies/ours", "")


@pytest.mark.parametrize("path", ["/parts/studies", "/studies/ours/charts/outcomes.json", "/api/v1/studies"])
def test_what_programs_ask_for_is_refused_without_a_login(browser: Browser, path: str) -> None:
    answer = browser.get(path, headers={"Accept": "*/*", "HX-Request": "true"})
    assert answer.status_code == 401
    assert answer.headers["HX-Refresh"] == "true"


def test_a_login_lasts(browser: Browser) -> None:
    answer = browser.log_in(next="/studies/ours")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/studies/ours")
    cookie = answer.headers["Set-Cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "secure" not in cookie
    page = browser.get("/studies/ours")
    assert page.status_code == 200
    assert "Log out" in page.text
    assert "operator" in page.text
    assert browser.get("/studies/ours/charts/outcomes.json", headers={"Accept": "*/*"}).status_code == 200
    assert browser.get("/api/v1/studies/ours").status_code == 200
    assert browser.post("/api/v1/studies/ours/pause").json()["state"] == "paused"


def test_the_cookie_is_for_https_alone_where_that_is_spoken(app: FastAPI) -> None:
    assert "secure" in Browser(app, "https").log_in().headers["Set-Cookie"].lower()


def test_a_wrong_token_is_refused_on_the_spot(browser: Browser) -> None:
    for token in ("", "nonsense", "assay_0123456789abcdef_" + "a" * 43):
        answer = browser.log_in(token, next="/studies/ours")
        assert answer.status_code == 401
        assert 'role="alert"' in answer.text
        assert 'value="/studies/ours"' in answer.text
        assert not browser.cookies
    if token:
        assert token not in answer.text


@pytest.mark.parametrize(
    "onward", ["https://evil.example", "//evil.example", "/\\evil.example", "evil", "/a\nb", "javascript:alert(1)"]
)
def test_a_login_leads_to_no_other_site(browser: Browser, onward: str) -> None:
    assert browser.log_in(next=onward).headers["Location"] == "/"


def test_a_logout_ends_it(browser: Browser) -> None:
    browser.log_in()
    assert browser.get("/").status_code == 200
    answer = browser.post("/logout")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login")
    assert browser.get("/").status_code == 303


def test_another_site_cannot_log_anybody_in_or_out(browser: Browser) -> None:
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert browser.post("/login", data={"token": OPERATORS_TOKEN}, headers=foreign).status_code == 403
    browser.log_in()
    assert browser.post("/logout", headers=foreign).status_code == 403
    assert browser.post("/project", data={"name": "other"}, headers=foreign).status_code == 403


def test_who_follows_a_link_of_another_site_arrives(browser: Browser) -> None:
    # The cookie does not come along then; the page asks once more, from here.
    answer = browser.get("/studies/ours", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 200
    assert 'http-equiv="refresh"' in answer.text
    assert browser.get("/studies/ours", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 303


def test_a_token_for_all_projects_chooses_one(browser: Browser) -> None:
    browser.log_in()
    page = browser.get("/").text
    assert "/studies/ours" in page
    assert "/studies/theirs" not in page
    assert "<option selected>default</option>" in page
    answer = browser.post("/project", data={"name": "other"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    page = browser.get("/").text
    assert "/studies/theirs" in page
    assert "/studies/ours" not in page
    assert browser.get("/studies/ours").status_code == 404
    assert 'data-project="other"' in browser.get("/studies/theirs").text
    assert browser.get("/api/v1/studies/theirs").status_code == 200, "what the page's scripts ask for"
    assert browser.post("/project", data={"name": "nowhere"}).status_code == 404


def test_a_chosen_project_that_is_deleted_is_forgotten(app: FastAPI, browser: Browser) -> None:
    browser.log_in()
    browser.post("/api/v1/projects", json={"name": "short-lived"})
    browser.post("/project", data={"name": "short-lived"})
    assert browser.get("/api/v1/me").json()["project"] == "short-lived"
    browser.ask("DELETE", "/api/v1/projects/short-lived", headers={"Assay-Project": "default"})
    assert browser.get("/api/v1/me").json()["project"] == "default"


def test_a_token_of_one_project_shows_that_project(browser: Browser, token_for: Callable[..., str]) -> None:
    browser.log_in(token_for("read", project="other"))
    page = browser.get("/").text
    assert "/studies/theirs" in page
    assert "/studies/ours" not in page
    assert "<select" not in page
    for path in (
        "",
        "/parts/overview",
        "/parts/trials",
        "/charts/outcomes.json",
        "/charts/curves.json",
        "/charts/front.json",
    ):
        assert browser.get(f"/studies/ours{path}").status_code == 404, path
        assert browser.get(f"/studies/theirs{path}").status_code == 200, path
    assert browser.post("/project", data={"name": "default"}).status_code == 403


def test_who_may_only_read_sees_no_buttons(browser: Browser, token_for: Callable[..., str]) -> None:
    browser.log_in(token_for("read"))
    assert "data-action" not in browser.get("/studies/ours").text
    assert browser.post("/api/v1/studies/ours/pause").status_code == 403
    browser.log_in(token_for("write"))
    assert "data-action" in browser.get("/studies/ours").text


def test_a_token_that_may_not_read_is_told_so(browser: Browser, token_for: Callable[..., str]) -> None:
    browser.log_in(token_for("execute"))
    page = browser.get("/")
    assert page.status_code == 403
    assert "Not yours" in page.text
    assert "scope read" in page.text


def test_without_auth_there_is_no_login(sqlite_database: Database) -> None:
    browser = Browser(create_app(Settings(), sqlite_database))
    answer = browser.get("/login?next=/docs")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/docs")
    page = browser.get("/").text
    assert "Log out" not in page
    assert "<select" not in page
    browser.post("/api/v1/projects", json={"name": "other"})
    assert "<select" in browser.get("/").text
    browser.post("/project", data={"name": "other"})
    assert browser.get("/api/v1/me").json()["project"] == "other"
