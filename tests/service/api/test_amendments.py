"""Enqueued configs, trials from elsewhere, invalidated trials, notes, priorities: over HTTP, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.app import create_app
from service.database import Database
from service.settings import Settings

STUDY: dict[str, Any] = {
    "name": "s",
    "space": {"parameters": [{"name": "x", "type": "float", "low": 0, "high": 1}]},
    "objective": {"type": "external"},
    "metrics": [{"name": "loss", "direction": "minimize"}],
    "algorithm": {"name": "random"},
    "budget": {"max_runs": 4},
    "parallelism": 2,
}


@pytest.fixture
def client(database: Database, tmp_path: Path, client_of: Callable[[FastAPI], httpx.Client]) -> httpx.Client:
    client = client_of(create_app(Settings(data_dir=tmp_path), database))
    assert client.post("studies", json=STUDY).status_code == 201
    return client


def claim(client: httpx.Client, count: int = 1) -> list[dict[str, Any]]:
    answer = client.post("studies/s/claims", json={"worker": "w", "count": count})
    assert answer.status_code == 200, answer.text
    assignments: list[dict[str, Any]] = answer.json()["assignments"]
    return assignments


def complete(client: httpx.Client, run: dict[str, Any], loss: float) -> httpx.Response:
    body = {"token": run["token"], "metrics": {"loss": loss}}
    return client.post(f"runs/{run['id']}/complete", json=body)


def test_enqueued_configs_come_first_and_in_order(client: httpx.Client) -> None:
    answer = client.post("studies/s/enqueued", json={"configs": [{"x": 0.25}, {"x": 0.75}]})
    assert answer.status_code == 201, answer.text
    runs = claim(client, 2)
    assert [run["config"] for run in runs] == [{"x": 0.25}, {"x": 0.75}]
    wishes = client.get("studies/s/enqueued").json()["items"]
    assert [(wish["number"], wish["run"]) for wish in wishes] == [(0, 0), (1, 1)]
    assert client.get("studies/s/trials/0").json()["origin"]["rule"] == "enqueued"


def test_of_configs_that_are_not_of_the_space_none_is_enqueued(client: httpx.Client) -> None:
    answer = client.post("studies/s/enqueued", json={"configs": [{"x": 0.5}, {"x": 2}, {"y": 1}]})
    assert answer.status_code == 422
    assert {error["pointer"] for error in answer.json()["errors"]} >= {"/configs/1/x", "/configs/2/y"}
    assert client.get("studies/s/enqueued").json()["items"] == []


def test_a_trial_from_elsewhere_may_be_the_best_and_costs_nothing(client: httpx.Client) -> None:
    answer = client.post("studies/s/trials", json={"config": {"x": 0.5}, "metrics": {"loss": 0.125}})
    assert answer.status_code == 201, answer.text
    assert (answer.json()["number"], answer.json()["state"]) == (0, "succeeded")
    assert client.get("studies/s/best").json()["metrics"] == {"loss": 0.125}
    assert client.get("studies/s").json()["spent"]["fidelity"] == 0
    for _ in range(2):
        for run in claim(client, 2):
            assert complete(client, run, 1.0).status_code == 200
    assert client.get("studies/s").json()["state"] == "active"
    assert claim(client) == []
    study = client.get("studies/s").json()
    assert (study["state"], study["counts"]["succeeded"]) == ("completed", 5)


def test_a_trial_from_elsewhere_may_take_the_lead(client: httpx.Client) -> None:
    space = {**STUDY["space"], "fidelity": {"name": "epochs", "low": 1, "high": 9}}
    assert client.post("studies", json={**STUDY, "name": "t", "space": space}).status_code == 201
    for number, loss in enumerate((0.5, 0.25, 0.75)):
        answer = client.post("studies/t/trials", json={"config": {"x": loss}, "metrics": {"loss": loss}})
        assert answer.status_code == 201, answer.text
        assert (answer.json()["number"], answer.json()["fidelity"]) == (number, 9)
    trace = client.get("studies/t/incumbents").json()["items"]
    assert [leader["metrics"]["loss"] for leader in trace] == [0.5, 0.25]


@pytest.mark.parametrize(
    ("told", "pointer"),
    [
        ({"config": {"x": 2}, "metrics": {"loss": 1}}, "/config/x"),
        ({"config": {"x": 0.5}, "metrics": {"accuracy": 1}}, "/metrics"),
        ({"config": {"x": 0.5}, "metrics": {"loss": 1}, "fidelity": 3}, "/fidelity"),
        ({"config": {"x": 0.5}, "metrics": {"loss": 1}, "failure": "oom"}, "/failure"),
    ],
)
def test_what_cannot_be_told_is_refused(client: httpx.Client, told: dict[str, Any], pointer: str) -> None:
    answer = client.post("studies/s/trials", json=told)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert client.get("studies/s/trials").json()["items"] == []


def test_an_invalidated_trial_counts_for_nothing_and_is_kept(client: httpx.Client) -> None:
    first, second = claim(client, 2)
    complete(client, first, 0.25)
    complete(client, second, 0.5)
    assert client.get("studies/s/best").json()["trial"] == 0
    answer = client.post("studies/s/trials/0/invalidate", json={"reason": "the labels were wrong"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["invalidated"]["reason"] == "the labels were wrong"
    assert answer.json()["metrics"] == {"loss": 0.25}
    assert client.get("studies/s/best").json()["trial"] == 1
    assert [row["trial"] for row in client.get("studies/s/incumbents").json()["items"]] == [1]
    again = client.post("studies/s/trials/0/invalidate", json={"reason": "once more"})
    assert again.json()["invalidated"]["reason"] == "the labels were wrong"
    for run in claim(client, 2):
        complete(client, run, 0.75)
    claim(client)
    verified = [line for line in client.post("studies/s/verify").text.splitlines() if "verified" in line]
    assert '"verified":true' in verified[-1].replace(" ", "")


def test_open_runs_of_an_invalidated_trial_end(client: httpx.Client) -> None:
    (run,) = claim(client)
    client.post("studies/s/trials/0/invalidate", json={"reason": "a typing error"})
    late = complete(client, run, 0.5)
    assert late.status_code == 409
    assert late.json()["current"]["state"] == "cancelled"
    assert client.get("studies/s/best").status_code == 404


def test_a_study_that_has_ended_takes_notes_and_invalidations_alone(client: httpx.Client) -> None:
    for run in [*claim(client, 2)]:
        complete(client, run, 0.5)
    client.post("studies/s/cancel")
    assert client.post("studies/s/enqueued", json={"configs": [{"x": 0.5}]}).status_code == 409
    told = {"config": {"x": 0.5}, "metrics": {"loss": 0.5}}
    assert client.post("studies/s/trials", json=told).status_code == 409
    assert client.post("studies/s/notes", json={"text": "too early"}).status_code == 201
    assert client.post("studies/s/trials/0/invalidate", json={"reason": "a leak"}).status_code == 200
    assert client.get("studies/s/best").json()["trial"] == 1


def test_notes_are_of_the_study_or_of_a_trial(client: httpx.Client) -> None:
    claim(client)
    assert client.post("studies/s/notes", json={"text": "look at the learning rate"}).status_code == 201
    assert client.post("studies/s/notes", json={"text": "odd", "trial": 0}).json()["trial"] == 0
    assert client.post("studies/s/notes", json={"text": "odd", "trial": 1}).status_code == 404
    assert [note["text"] for note in client.get("studies/s/notes").json()["items"]] == [
        "look at the learning rate",
        "odd",
    ]
    assert [note["text"] for note in client.get("studies/s/notes?trial=0").json()["items"]] == ["odd"]


def test_a_repeated_request_is_done_once(client: httpx.Client) -> None:
    headers = {"Idempotency-Key": "k-1"}
    body = {"config": {"x": 0.5}, "metrics": {"loss": 0.5}}
    first = client.post("studies/s/trials", json=body, headers=headers)
    second = client.post("studies/s/trials", json=body, headers=headers)
    assert (second.status_code, second.json()) == (201, first.json())
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len(client.get("studies/s/trials").json()["items"]) == 1


def test_the_priority_can_be_changed(client: httpx.Client) -> None:
    assert client.patch("studies/s", json={"priority": 2}).json()["priority"] == 2
    assert client.get("studies/s").json()["priority"] == 2
    assert client.patch("studies/s", json={"priority": 9}).status_code == 422
