"""Projects and their quotas."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.app import create_app
from service.database import Database
from service.settings import Settings


def test_a_project_is_created_shown_and_listed(api: httpx.Client) -> None:
    answer = api.post("projects", json={"name": "vision", "max_studies": 3, "max_gpus": 2.5})
    assert answer.status_code == 201
    assert answer.headers["Location"] == "/api/v1/projects/vision"
    project = answer.json()
    assert project == api.get("projects/vision").json()
    assert {key: project[key] for key in ("name", "max_runs", "max_gpus", "max_studies")} == {
        "name": "vision",
        "max_runs": None,
        "max_gpus": 2.5,
        "max_studies": 3,
    }
    assert [each["name"] for each in api.get("projects").json()["items"]] == ["default", "vision"]
    page = api.get("projects", params={"limit": 1}).json()
    assert [each["name"] for each in api.get("projects", params={"after": page["next"]}).json()["items"]] == ["vision"]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "name"),
        ({"name": "a b"}, "name"),
        ({"name": "p", "max_studies": -1}, "max_studies"),
        ({"name": "p", "max_gpus": "two"}, "max_gpus"),
        ({"name": "p", "max_runs": 2**31}, "max_runs"),
        ({"name": "p", "max_run": 1}, "max_run"),
    ],
    ids=str,
)
def test_a_bad_project_is_refused_with_its_place(api: httpx.Client, body: dict[str, Any], where: str) -> None:
    answer = api.post("projects", json=body)
    assert answer.status_code == 422
    assert [error["path"] for error in answer.json()["errors"]] == [where]
    assert len(api.get("projects").json()["items"]) == 1


def test_a_name_is_taken_once(api: httpx.Client) -> None:
    assert api.post("projects", json={"name": "p"}).status_code == 201
    answer = api.post("projects", json={"name": "p"})
    assert answer.status_code == 409
    assert answer.json()["detail"] == "a project named 'p' exists already"


def test_limits_change_one_by_one(api: httpx.Client) -> None:
    api.post("projects", json={"name": "p", "max_runs": 4, "max_studies": 2})
    assert api.patch("projects/p", json={"max_runs": None}).json()["max_runs"] is None
    changed = api.patch("projects/p", json={"max_gpus": 1}).json()
    assert (changed["max_runs"], changed["max_gpus"], changed["max_studies"]) == (None, 1, 2)
    assert api.patch("projects/nowhere", json={}).status_code == 404
    assert api.patch("projects/p", json={"name": "q"}).status_code == 422


def test_open_studies_are_limited(api: httpx.Client, study_payload: dict[str, Any]) -> None:
    api.patch("projects/default", json={"max_studies": 2})
    for name in ("a", "b"):
        assert api.post("studies", json={**study_payload, "name": name}).status_code == 201
    answer = api.post("studies", json={**study_payload, "name": "c"})
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:assay:quota"
    assert "2 open studies" in answer.json()["detail"]
    api.post("studies/a/cancel")
    assert api.post("studies", json={**study_payload, "name": "c"}).status_code == 201
    assert api.get("projects/default/usage").json()["open_studies"] == 2


def test_the_quota_holds_when_many_ask_at_once(
    database: Database, client_of: Callable[[FastAPI], httpx.Client], study_payload: dict[str, Any]
) -> None:
    app = create_app(Settings(), database)
    client_of(app).patch("projects/default", json={"max_studies": 3})
    statuses: list[int] = []

    def submit(number: int) -> None:
        answer = client_of(app).post("studies", json={**study_payload, "name": f"s{number}"})
        statuses.append(answer.status_code)

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201] * 3 + [409] * 5


def test_only_an_empty_project_is_deleted(api: httpx.Client, study_payload: dict[str, Any]) -> None:
    api.post("projects", json={"name": "p"})
    there = {"Assay-Project": "p"}
    assert api.post("studies", json=study_payload, headers=there).status_code == 201
    answer = api.delete("projects/p")
    assert answer.status_code == 409
    assert answer.json()["detail"] == "the project 'p' is not empty: it has 1 studies"
    api.post("projects", json={"name": "empty"})
    assert api.get("me", headers={"Assay-Project": "empty"}).status_code == 200
    assert api.delete("projects/empty").json()["name"] == "empty"
    assert api.get("projects/empty").status_code == 404
    assert api.get("me", headers={"Assay-Project": "empty"}).status_code == 404
    assert api.delete("projects/empty").status_code == 404
    assert "always there" in api.delete("projects/default").json()["detail"]


def test_tokens_go_with_their_project(
    operator: httpx.Client, bearing: Callable[..., httpx.Client], token_for: Callable[..., str]
) -> None:
    token = token_for("read", project="p")
    assert bearing(token).get("me").status_code == 200
    assert operator.get("projects/p/usage").json()["tokens"] == 1
    assert operator.delete("projects/p").status_code == 200
    assert bearing(token).get("me").status_code == 401


def test_an_id_is_not_given_again(api: httpx.Client) -> None:
    api.post("projects", json={"name": "p"})
    api.delete("projects/p")
    api.post("projects", json={"name": "q"})
    assert api.get("audit", params={"project": "q"}).json()["items"][-1]["target"] == "q"


def test_a_strange_name_is_not_there(api: httpx.Client) -> None:
    for path in ("projects/a%00b", "projects/a%00b/usage"):
        assert api.get(path).status_code == 404
    assert api.delete("projects/a%00b").status_code == 404
