"""Who carried runs out, with what, and what it took."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx
import pytest

from service.database import Database
from service.models import DEFAULT_PROJECT_ID, Study
from service.repositories.studies import Studies
from workers.catalogue import DATASETS, load
from workers.protocol import Cost, Failed, FailureClass, Finished, Result, Started


@pytest.fixture
def external(api: httpx.Client, study_payload: dict[str, Any]) -> dict[str, Any]:
    """An assignment of a study for people's own workers."""
    assert api.post("studies", json={**study_payload, "objective": {"type": "external"}}).status_code == 201
    found: dict[str, Any] = api.post("studies/s/claims", json={"worker": "ann"}).json()["assignments"][0]
    return found


def attempts(api: httpx.Client, run: int = 0, study: str = "s", **params: Any) -> list[dict[str, Any]]:
    answer = api.get(f"studies/{study}/runs/{run}/attempts", params=params)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def test_an_attempt_tells_all_but_its_token(api: httpx.Client, external: dict[str, Any]) -> None:
    end = {
        "token": external["token"],
        "metrics": {"loss": 1.0},
        "provenance": {"code": {"commit": "c0ffee"}, "seed": "mine"},
        "cost": {"cpu_seconds": 2.5},
    }
    (open_one,) = attempts(api)
    assert api.post(f"runs/{external['id']}/complete", json=end).status_code == 200

    (attempt,) = attempts(api)
    assert external["token"] not in str(attempt)
    assert open_one["state"] == "reporting"
    assert open_one["lease_expires"] == external["lease_expires"]
    assert open_one["ended_at"] is None
    assert (attempt["number"], attempt["state"], attempt["owner"], attempt["worker"]) == (
        1,
        "succeeded",
        "external",
        "ann",
    )
    assert attempt["cost"] == {"cpu_seconds": 2.5, "gpu_seconds": None}
    assert attempt["provenance"]["code"] == {"commit": "c0ffee"}
    assert attempt["provenance"]["seed"] == external["seed"]  # what the service knows is not for workers to say
    assert datetime.fromisoformat(attempt["ended_at"]) >= datetime.fromisoformat(attempt["created_at"])


def test_all_attempts_are_listed_with_late_words(api: httpx.Client, external: dict[str, Any]) -> None:
    url, body = f"runs/{external['id']}", {"token": external["token"]}
    for _ in range(3):
        assert api.post(f"{url}/fail", json={**body, "class": "preempted", "message": "gone"}).status_code == 200
        body = {"token": api.post("studies/s/claims", json={"worker": "bob"}).json()["assignments"][0]["token"]}

    states = [(one["number"], one["state"], one["worker"]) for one in attempts(api)]
    assert states == [
        (1, "preempted", "ann"),
        (2, "preempted", "bob"),
        (3, "preempted", "bob"),
        (4, "reporting", "bob"),
    ]
    assert attempts(api)[0]["message"] == "gone"
    page = api.get("studies/s/runs/0/attempts", params={"limit": 3}).json()
    assert (len(page["items"]), page["next"]) == (3, "3")
    assert [one["number"] for one in attempts(api, after=page["next"])] == [4]
    assert api.get("studies/s/runs/7/attempts").status_code == 404
    assert api.get("studies/nobody/runs/0/attempts").status_code == 404


def test_what_a_study_took_is_summed_by_how_attempts_ended(
    api: httpx.Client, create: Callable[..., int], pool: Any, turn: Callable[[], None]
) -> None:
    create(budget={"max_runs": 2})
    turn()
    first, second = pool.open.values()
    pool.open.clear()
    pool.events += [
        Failed(first.key, FailureClass.LOST, "gone"),
        Finished(second.key, Result({"loss": 1.0}), cost=Cost(1.5, 3.0)),
    ]
    turn()
    pool.events.append(Finished(pool.first.key, Result({"loss": 2.0}), cost=Cost(2.0, 0.0)))
    pool.open.clear()
    turn()

    cost = api.get("studies/s/cost").json()

    assert (cost["attempts"], cost["told"], cost["cpu_seconds"], cost["gpu_seconds"]) == (3, 2, 3.5, 3.0)
    lost, succeeded = cost["states"]
    assert (lost["state"], lost["attempts"], lost["told"], lost["cpu_seconds"]) == ("lost", 1, 0, 0.0)
    assert (succeeded["state"], succeeded["attempts"], succeeded["told"]) == ("succeeded", 2, 2)
    assert cost["wall_seconds"] == pytest.approx(lost["wall_seconds"] + succeeded["wall_seconds"])
    lasted = [
        (datetime.fromisoformat(one["ended_at"]) - datetime.fromisoformat(one["created_at"])).total_seconds()
        for run in (0, 1)
        for one in attempts(api, run)
    ]
    assert cost["wall_seconds"] == pytest.approx(sum(lasted), abs=0.01)
    assert api.get("studies/nobody/cost").status_code == 404


def test_a_study_without_attempts_took_nothing(api: httpx.Client, study: dict[str, Any]) -> None:
    cost = api.get(f"studies/{study['name']}/cost").json()
    assert cost == {"attempts": 0, "told": 0, "cpu_seconds": 0, "gpu_seconds": 0, "wall_seconds": 0, "states": []}


def test_the_pool_says_with_what_it_was_carried_out(
    api: httpx.Client, create: Callable[..., int], pool: Any, turn: Callable[[], None], sqlite_database: Database
) -> None:
    objective = {"type": "train", "family": "mlp", "dataset": "digits"}
    create(objective=objective, metrics=[ACCURACY], space=WIDTH, checks=False)
    turn()
    pool.events = [Started(event.key, "w", {"assay": "1.2.3", "host": {"name": "gpu-box"}}) for event in pool.events]
    turn()

    (attempt,) = attempts(api)
    provenance = attempt["provenance"]
    assert (attempt["owner"], provenance["assay"], provenance["host"]) == ("pool", "1.2.3", {"name": "gpu-box"})
    assert provenance["dataset"] == {"name": "digits", "sha256": DATASETS["digits"].sha256}
    assert provenance["seed"] == next(each.seed for each in pool.submitted if each.key)
    with sqlite_database.session(write=False) as session:
        study: Study = Studies(session, DEFAULT_PROJECT_ID).get("s")
    assert provenance["space"] == {"revision": 0, "sha256": study.spec["derived"]["provenance"]["space"]}


ACCURACY = {"name": "val_accuracy", "direction": "maximize"}
WIDTH = {"parameters": [{"name": "width", "type": "int", "low": 16, "high": 32}]}


@pytest.mark.parametrize("name", [name for name, row in DATASETS.items() if row.sha256 and not row.needs])
def test_the_digest_of_a_dataset_is_that_of_what_is_loaded(name: str) -> None:
    assert load(DATASETS[name].loader)().digest() == DATASETS[name].sha256


def test_equal_spaces_have_equal_digests(api: httpx.Client, study_payload: dict[str, Any]) -> None:
    x0, x1 = study_payload["space"]["parameters"]
    spaces = {
        "one": {"parameters": [x0, x1]},
        "same": {"parameters": [{**dict(reversed(x0.items())), "log": False}, x1]},
        "other": {"parameters": [x0, {**x1, "high": 16}]},
    }
    found = {}
    for name, space in spaces.items():
        body = {**study_payload, "name": name, "space": space, "objective": {"type": "external"}}
        assert api.post("studies", json=body).status_code == 201
        assert api.post(f"studies/{name}/claims", json={"worker": "w"}).status_code == 200
        found[name] = attempts(api, study=name)[0]["provenance"]["space"]["sha256"]
    assert found["one"] == found["same"] != found["other"]
