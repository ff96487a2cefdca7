"""Whatever goes wrong is a problem document, and says no more than it should."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.app import create_app
from service.database import Database, DatabaseUnavailable
from service.problems import LONGEST_MESSAGE, Problem
from service.settings import Settings


def problem_of(answer: httpx.Response, status: int) -> Problem:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate(answer.json())
    assert problem.status == status
    return problem


def test_an_unknown_route(api: httpx.Client) -> None:
    problem = problem_of(api.get("studiez"), 404)

    assert "there is nothing at /api/v1/studiez" in problem.detail


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("studies", "GET, POST"),
        ("studies/s", "GET, PATCH"),
        ("webhooks/1", "GET, PATCH, DELETE"),
        ("studies/s/claims", "POST"),
        ("http://localhost/static/nothing.js", "GET, HEAD"),
    ],
)
def test_a_wrong_method_names_all_right_ones(api: httpx.Client, path: str, allowed: str) -> None:
    answer = api.put(path)

    problem_of(answer, 405)
    assert answer.headers["allow"] == allowed


def test_a_fault_of_the_service_keeps_its_details_for_the_log(
    app: FastAPI, api: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/api/v1/broken")
    def broken() -> None:
        raise RuntimeError("the password is secret")

    with caplog.at_level(logging.ERROR, logger="service.problems"):
        answer = api.get("broken")

    problem = problem_of(answer, 500)
    assert "secret" not in answer.text
    (record,) = [record for record in caplog.records if record.name == "service.problems"]
    assert "GET /api/v1/broken failed with RuntimeError" in record.getMessage()
    assert problem.detail.rpartition(" ")[2] in record.getMessage()


def test_a_database_that_does_not_answer_is_a_503(
    client_of: Callable[[FastAPI], httpx.Client], sqlite_database: Database
) -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/none?connect_timeout=1")
    api = client_of(create_app(Settings(), database))

    answer = api.get("studies")

    problem = problem_of(answer, 503)
    assert problem.type == "urn:assay:unavailable"
    assert answer.headers["retry-after"] == "1"
    with pytest.raises(DatabaseUnavailable):
        database.ping()


def test_messages_have_a_bounded_length(api: httpx.Client, study_payload: dict[str, Any]) -> None:
    answer = api.post("studies", json={**study_payload, "x" * 500_000: 1})

    problem = problem_of(answer, 422)
    assert len(answer.content) < 10 * LONGEST_MESSAGE
    assert problem.errors[0].path.startswith("xxx")


def test_problems_have_a_bounded_number(api: httpx.Client, study_payload: dict[str, Any]) -> None:
    answer = api.post("studies", json={**study_payload, **{f"x{number}": 1 for number in range(1000)}})

    assert len(problem_of(answer, 422).errors) == 100


@pytest.mark.parametrize("name", ["a%00b", "%FF", "..%2F..", "a" * 5000, "ä€😀"])
def test_strange_names_are_simply_not_there(api: httpx.Client, name: str) -> None:
    for path in (f"studies/{name}", f"studies/{name}/runs", f"studies/{name}/events"):
        problem_of(api.get(path), 404)
