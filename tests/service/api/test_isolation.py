"""Nobody sees or touches what is another project's: it is as if it were not there."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.database import Database
from service.lifecycle import create_study
from service.repositories.projects import Projects

Client = Callable[..., httpx.Client]
TokenFor = Callable[..., str]
SECRET = "nobody-elses-business"
SCOPES = ("read", "write", "worker", "execute", "admin")


@pytest.fixture
def theirs(bearing: Client, token_for: TokenFor, study_payload: dict[str, Any]) -> httpx.Client:
    """The project `theirs`, with a study."""
    client = bearing(token_for(*SCOPES, project="theirs", name=f"{SECRET}-token"))
    payload = {**study_payload, "name": SECRET, "objective": {"type": "external"}}
    assert client.post("studies", json=payload).status_code == 201
    return client


@pytest.fixture
def run(theirs: httpx.Client) -> str:
    """A run under way of their study."""
    answer = theirs.post(f"studies/{SECRET}/claims", json={"worker": f"{SECRET}-worker", "lease_seconds": 600})
    (assignment,) = answer.json()["assignments"]
    reported = theirs.post(
        f"runs/{assignment['id']}/reports",
        json={"token": assignment["token"], "reports": [{"step": 1, "metrics": {"loss": 0.5}}]},
    )
    assert reported.status_code == 200, reported.text
    assert theirs.post(f"studies/{SECRET}/notes", json={"text": f"{SECRET}-note"}).status_code == 201
    return str(assignment["id"])


@pytest.fixture
def ours(bearing: Client, token_for: TokenFor) -> httpx.Client:
    return bearing(token_for(*SCOPES, project="ours"))


def test_no_route_shows_or_changes_a_study_of_another_project(
    guarded: FastAPI, theirs: httpx.Client, ours: httpx.Client, run: str
) -> None:
    before = theirs.get(f"studies/{SECRET}").json()
    asked = 0
    for path, methods in guarded.openapi()["paths"].items():
        for method, operation in methods.items():
            if "security" not in operation:
                continue
            filled = path.replace("{name}", SECRET).replace("/runs/{id}", f"/runs/{run}")
            for parameter in operation.get("parameters", []):
                filled = filled.replace(f"{{{parameter['name']}}}", "0")
            body = {} if "requestBody" in operation else None
            answer = ours.request(method.upper(), f"http://localhost{filled}", json=body)
            if path != "/api/v1/audit":  # which tells what we have just asked for
                assert SECRET not in answer.text.replace(f"{SECRET!r}", ""), (method, path)
            if "{name}" in path or "{id}" in path:
                assert answer.status_code in (403, 404, 422), (method, path, answer.text)
                asked += answer.status_code == 404
    assert asked >= 15
    after = theirs.get(f"studies/{SECRET}").json()
    assert {**after, "spent": None} == {**before, "spent": None}


def test_another_projects_study_is_refused_as_one_that_is_not_there(theirs: httpx.Client, ours: httpx.Client) -> None:
    paths = ("", "/best", "/trials", "/runs/0", "/events", "/incumbents", "/front", "/reports")
    calls = [*product(["GET"], paths), *product(["POST"], ("/pause", "/resume", "/cancel", "/verify"))]
    for method, path in calls:
        hidden = ours.request(method, f"studies/{SECRET}{path}")
        missing = ours.request(method, f"studies/absent{path}")
        assert hidden.status_code == missing.status_code == 404
        assert hidden.json() == {**missing.json(), "detail": missing.json()["detail"].replace("absent", SECRET)}


def test_names_of_other_projects_are_not_suggested(theirs: httpx.Client, ours: httpx.Client) -> None:
    near = SECRET[:-1]
    assert SECRET in theirs.get(f"studies/{near}").json()["detail"]
    assert "did you mean" not in ours.get(f"studies/{near}").json()["detail"]


def test_the_same_name_in_two_projects_is_two_studies(
    theirs: httpx.Client, ours: httpx.Client, study_payload: dict[str, Any]
) -> None:
    assert ours.post("studies", json={**study_payload, "name": SECRET}).status_code == 201
    assert ours.post("studies", json={**study_payload, "name": SECRET}).status_code == 409
    assert ours.post(f"studies/{SECRET}/cancel").json()["state"] == "cancelled"
    assert theirs.get(f"studies/{SECRET}").json()["state"] == "active"
    for client in (ours, theirs):
        assert len(client.get("studies").json()["items"]) == 1


def test_a_warm_start_takes_nothing_from_another_project(
    theirs: httpx.Client, ours: httpx.Client, study_payload: dict[str, Any]
) -> None:
    assert theirs.post(f"studies/{SECRET}/cancel").status_code == 200
    payload = {**study_payload, "name": "new", "warm_start": [SECRET]}
    refused = ours.post("studies", json=payload)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["message"] == f"there is no study named {SECRET!r}"
    assert theirs.post("studies", json=payload).status_code == 201


def test_tokens_and_the_audit_log_are_a_projects_own(
    theirs: httpx.Client, ours: httpx.Client, operator: httpx.Client
) -> None:
    assert [token["project"] for token in ours.get("tokens").json()["items"]] == ["ours"]
    (token,) = theirs.get("tokens").json()["items"]
    assert ours.delete(f"tokens/{token['id']}").status_code == 404
    assert theirs.get("me").status_code == 200
    assert {entry["project"] for entry in ours.get("audit").json()["items"]} == {"ours"}
    assert ours.get("audit", params={"project": "theirs"}).status_code == 403
    assert [project["name"] for project in ours.get("projects").json()["items"]] == ["ours"]
    for path in ("projects/theirs", "projects/theirs/usage"):
        assert ours.get(path).status_code == 404
    for method, path, body in (
        ("PATCH", "projects/ours", {"max_studies": None}),
        ("PATCH", "projects/theirs", {"max_studies": 0}),
        ("POST", "projects", {"name": "more"}),
        ("DELETE", "projects/theirs", None),
    ):
        assert ours.request(method, path, json=body).status_code == 403, (method, path)
    assert operator.get("projects/theirs").json()["max_studies"] is None


def test_who_administers_a_project_makes_no_token_for_another(ours: httpx.Client) -> None:
    for project in ("theirs", "default", None):
        answer = ours.post("tokens", json={"name": "t", "scopes": ["read"], "project": project})
        assert answer.status_code == 403
        assert "say project: 'ours'" in answer.json()["detail"]
    assert ours.post("tokens", json={"name": "t", "scopes": ["read"], "project": "ours"}).status_code == 201


def test_projects_are_apart_on_each_database(database: Database, study_payload: dict[str, Any]) -> None:
    with database.session() as session:
        one, two = (Projects(session).add(name, {}).id for name in ("one", "two"))
        first, second = create_study(session, study_payload, one), create_study(session, study_payload, two)
        assert first.id != second.id
        assert Projects(session).usage(one).open_studies == 1
