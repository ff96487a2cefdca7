"""Submitting, listing, pausing, resuming and cancelling studies."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx
import pytest

from service.app import create_app
from service.database import Database
from service.settings import Settings


def test_a_submitted_study_is_answered_with_its_address(api: httpx.Client, study_payload: dict[str, Any]) -> None:
    answer = api.post("studies", json=study_payload)

    assert answer.status_code == 201
    assert answer.headers["location"] == "/api/v1/studies/s"
    study = answer.json()
    assert study_payload.items() <= study.items()
    assert study["state"] == "active"
    assert study["seed"] == 0
    assert study["resources"] == {"cpus": 1, "gpus": 0, "preemptible": False}
    assert study["counts"] == dict.fromkeys(
        ("trials", "pending", "running", "succeeded", "failed", "stopped", "cancelled"), 0
    )
    assert study["best"] is None
    assert study["test"] is None
    assert study["last_event"] == 1
    assert api.get(answer.headers["location"].removeprefix("/api/v1/")).json()["id"] == study["id"]


def test_times_are_in_utc(study: dict[str, Any]) -> None:
    assert study["created_at"].endswith("Z")
    assert datetime.fromisoformat(study["created_at"]).tzinfo is not None


def test_the_list_has_the_newest_first_in_pages(api: httpx.Client, create: Callable[..., int]) -> None:
    for number in range(5):
        create(name=f"study-{number}")

    first = api.get("studies", params={"limit": 2}).json()
    second = api.get("studies", params={"limit": 2, "after": first["next"]}).json()
    third = api.get("studies", params={"limit": 2, "after": second["next"]}).json()

    pages = [[study["name"] for study in page["items"]] for page in (first, second, third)]
    assert pages == [["study-4", "study-3"], ["study-2", "study-1"], ["study-0"]]
    assert third["next"] is None


def test_a_page_that_is_exactly_full_is_the_last(api: httpx.Client, create: Callable[..., int]) -> None:
    create(name="a")
    create(name="b")

    assert api.get("studies", params={"limit": 2}).json()["next"] is None


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"after": "x"}, "after"),
        ({"after": "-1"}, "after"),
        ({"after": str(2**31)}, "after"),
        ({"after": "9" * 5000}, "after"),
    ],
)
def test_a_bad_page_is_refused(api: httpx.Client, params: dict[str, Any], path: str) -> None:
    answer = api.get("studies", params=params)

    assert answer.status_code == 422
    assert [error["path"] for error in answer.json()["errors"]] == [path]


def test_pause_resume_cancel(api: httpx.Client, study: dict[str, Any]) -> None:
    assert api.post("studies/s/pause").json()["state"] == "paused"
    assert api.post("studies/s/resume").json()["state"] == "active"
    cancelled = api.post("studies/s/cancel").json()
    assert cancelled["state"] == "cancelled"
    assert cancelled["finished_at"] is not None
    assert api.get("studies/s").json()["state"] == "cancelled"


@pytest.mark.parametrize(
    ("before", "action", "current"),
    [
        ([], "resume", "active"),
        (["pause"], "pause", "paused"),
        (["cancel"], "cancel", "cancelled"),
        (["cancel"], "pause", "cancelled"),
        (["cancel"], "resume", "cancelled"),
    ],
)
def test_what_the_state_does_not_allow_is_a_conflict(
    api: httpx.Client, study: dict[str, Any], before: list[str], action: str, current: str
) -> None:
    for step in before:
        api.post(f"studies/s/{step}")

    answer = api.post(f"studies/s/{action}")

    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:assay:not-allowed"
    assert f"it is {current}" in answer.json()["detail"]
    assert api.get("studies/s").json()["state"] == current


@pytest.mark.parametrize("path", ["", "/pause", "/resume", "/cancel"])
def test_an_unknown_study_is_not_found_and_near_names_are_told(
    api: httpx.Client, create: Callable[..., int], path: str
) -> None:
    create(name="digits-lenet")

    answer = (api.post if path else api.get)(f"studies/digits-lennet{path}")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert "did you mean digits-lenet" in answer.json()["detail"]


def test_the_path_of_a_study_works_on_each_database(
    database: Database,
    client_of: Callable[[Any], httpx.Client],
    hyperband_payload: dict[str, Any],
    carry_out: Callable[[Database, str], None],
) -> None:
    api = client_of(create_app(Settings(), database))
    assert api.post("studies", json=hyperband_payload).status_code == 201
    assert api.post("studies", json=hyperband_payload).status_code == 409
    assert api.get("studies/s/best").status_code == 404

    carry_out(database, "s")

    study = api.get("studies/s").json()
    assert study["state"] == "completed"
    assert study["counts"]["succeeded"] == study["spent"]["runs"] == 22
    best = api.get("studies/s/best").json()
    assert best["fidelity"] == 9
    assert study["best"] == {key: value for key, value in best.items() if key not in ("study", "test")}
    assert api.get("studies/s/front").json()["items"] == [study["best"]]
    assert best["test"] == study["test"]
    assert api.get("studies/s/incumbents").json()["items"][-1]["run"] == best["run"]
    assert len(api.get("studies/s/runs").json()["items"]) == 22
    assert len(api.get("studies/s/reports", params={"limit": 1000}).json()["items"]) == 44
    assert api.get("studies/s/runs", params={"after": 10**9 - 1}).json()["items"] == []
    assert api.get("studies/s/reports", params={"after": 10**18 - 1}).json()["items"] == []
    assert api.get("studies/a%00b").status_code == 404
