"""A study over again in a changed space."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from search.history import RunState
from service.database import Database
from service.repositories.jobs import Jobs
from service.repositories.owned import Owned
from service.repositories.studies import Studies

LR = {"name": "lr", "type": "float", "low": 1e-4, "high": 0.1, "log": True, "default": 3e-3}
TRAIN: dict[str, Any] = {
    "name": "s",
    "space": {"parameters": [LR, {"name": "width", "type": "int", "low": 16, "high": 64}]},
    "objective": {"type": "train", "family": "mlp", "dataset": "digits", "epochs": 2},
    "metrics": [{"name": "val_accuracy", "direction": "maximize"}],
    "budget": {"max_runs": 4},
    "parallelism": 2,
    "seed": 1,
}
RANGE = {"lrs": [1e-4, 0.1], "losses": [2.3, 0.5], "low": 0.004, "high": 0.2, "diverged": 0.6}
WIDER = {"low": 1e-4, "high": 0.2}


def look_into(api: Any, database: Database, state: str = "succeeded", **changes: Any) -> None:
    """The study `s`, whose range test has ended."""
    created = api.post("studies", json=TRAIN | changes)
    assert created.status_code == 201, created.text
    with database.session() as session:
        study = Owned(session).lock(created.json()["id"])
        for job in Jobs(session).of(study.id):
            job.state = RunState(state)
            job.details = RANGE if job.kind == "lr_range" and state == "succeeded" else None


def test_the_range_that_was_found_is_proposed_and_shown_before_it_is_applied(
    api: Any, sqlite_database: Database
) -> None:
    look_into(api, sqlite_database)
    found = api.get("studies/s/proposal").json()
    assert found["changes"] == [
        {"widen": "lr", "low": 1e-4, "high": 0.2},
        {"narrow": "lr", "low": 0.004, "high": 0.2},
    ]
    (shown,) = found["parameters"]
    assert shown["before"] == LR
    assert shown["after"] == {**LR, "low": 0.004, "high": 0.2, "default": 0.004}
    assert api.get("studies/s").json()["space"]["parameters"][0] == LR, "nothing has happened yet"

    created = api.post("studies/s/revise", json={"name": "t", "changes": found["changes"]})
    assert created.status_code == 201, created.text
    assert created.headers["location"] == "/api/v1/studies/t"
    old, new = api.get("studies/s").json(), api.get("studies/t").json()
    assert new["space"]["parameters"][0] == shown["after"]
    assert old["state"] == "active"
    same = ("objective", "metrics", "algorithm", "budget", "parallelism", "seed", "resources", "priority")
    assert {key: old[key] for key in same} == {key: new[key] for key in same}
    assert [job["kind"] for job in api.get("studies/t/jobs").json()["items"]] == ["baseline", "overfit", "lr_range"]
    assert api.get("audit").json()["items"][0]["action"] == "study.revise"


def test_the_new_study_may_take_the_place_of_the_old_one(api: Any, sqlite_database: Database) -> None:
    look_into(api, sqlite_database, checks={"pause": True})
    body = {"name": "t", "changes": [{"widen": "lr", "high": 0.2}], "instead": True}
    assert api.post("studies/s/revise", json=body).status_code == 201
    assert api.get("studies/s").json()["state"] == "cancelled"
    with sqlite_database.session(write=False) as session:
        assert "pause" not in Studies(session, 1).get("t").spec["checks"], "somebody has looked"
    again = api.post("studies/s/revise", json=body | {"name": "u"})
    assert again.status_code == 201, "what has ended stays as it is"


def test_what_goes_wrong_changes_nothing(api: Any, sqlite_database: Database) -> None:
    look_into(api, sqlite_database)
    taken = api.post("studies/s/revise", json={"name": "s", "changes": [{"widen": "lr", "high": 1}], "instead": True})
    assert taken.status_code == 409
    assert api.get("studies/s").json()["state"] == "active"


@pytest.mark.parametrize(
    ("changes", "pointer", "message"),
    [
        ([{"narrow": "lr", "low": 1e-9}], "/changes/0/low", "must be at least the present low"),
        ([{"widen": "lr", "high": 1}, {"narrow": "lrr", "low": 1}], "/changes/1/narrow", "did you mean"),
        ([{}], "/changes/0", "must hold one of"),
        ([], "/changes", ""),
        ([{"add": {"name": "x", "type": "float", "low": 0, "high": 1}, "backfill": [1]}], "/changes/0/backfill", ""),
        ([{"add_choice": "width", "choice": {"a": 1}}], "/changes/0/choice", ""),
        ([{"widen": "lr", "high": 1e6}], "/space/parameters/0", "100"),
    ],
)
def test_changes_that_cannot_be_made_are_told_with_their_place(
    changes: list[Any], pointer: str, message: str, api: Any, sqlite_database: Database
) -> None:
    look_into(api, sqlite_database)
    answer = api.post("studies/s/revise", json={"name": "t", "changes": changes})
    assert answer.status_code == 422, answer.text
    (problem,) = answer.json()["errors"]
    assert problem["pointer"].startswith(pointer)
    assert message in problem["message"]
    assert api.get("studies/t").status_code == 404


@pytest.mark.parametrize(
    ("changes", "state", "why"),
    [
        ({"checks": {"lr_range": False}}, "succeeded", "no learning-rate range test"),
        ({}, "pending", "has not ended"),
        ({}, "failed", "has failed"),
        ({"space": {"parameters": [TRAIN["space"]["parameters"][1]]}}, "succeeded", "lr is no parameter of the space"),
        ({"space": {"parameters": [{**LR, "low": 0.004, "high": 0.2, "default": 0.01}]}}, "succeeded", "already"),
        ({"space": {"parameters": [{"name": "lr", "type": "constant", "value": 0.1}]}}, "succeeded", "is constant"),
        (
            {"space": {"parameters": [{"name": "lr", "type": "float", "low": 0.05, "high": 0.1, "step": 0.05}]}},
            "succeeded",
            "cannot become the proposed one",
        ),
    ],
)
def test_where_there_is_nothing_to_propose_it_says_why(
    changes: dict[str, Any], state: str, why: str, api: Any, sqlite_database: Database
) -> None:
    look_into(api, sqlite_database, state, **changes)
    found = api.get("studies/s/proposal").json()
    assert found["changes"] == found["parameters"] == []
    assert why in found["why"]


def finish_all(pool: Any, turn: Callable[[], None]) -> None:
    turn()
    while pool.open:
        for one in list(pool.open.values()):
            pool.finish(one, loss=one.config["x0"])
        turn()


def test_what_the_old_study_found_is_made_use_of_once_it_has_ended(
    create: Callable[..., int], pool: Any, turn: Callable[[], None], api: Any
) -> None:
    create(budget={"max_runs": 12})
    finish_all(pool, turn)
    assert api.get("studies/s").json()["state"] == "completed"
    change = {"changes": [{"narrow": "x0", "high": 9}]}
    for name, wishes, sources in (("t", {}, ["s"]), ("u", {"learn": False}, [])):
        created = api.post("studies/s/revise", json={"name": name, **change, **wishes}).json()
        assert [source["study"] for source in created["warm_start"]] == sources


def test_what_the_old_study_had_learned_from_is_learned_from_again(
    create: Callable[..., int], pool: Any, turn: Callable[[], None], api: Any, sqlite_database: Database
) -> None:
    """With the results that it began with, even where the study that found them is known by that name no more."""
    create(name="first", budget={"max_runs": 12})
    finish_all(pool, turn)
    create(name="second", budget={"max_runs": 12}, warm_start=["first"])
    with sqlite_database.session() as session:
        Studies(session, 1).get("first").name = "gone"
    change = {"changes": [{"narrow": "x0", "high": 9}]}
    for wishes in ({}, {"learn": False}):
        created = api.post("studies/second/revise", json={"name": f"third-{len(wishes)}", **change, **wishes})
        assert created.status_code == 201, created.text
        assert [source["study"] for source in created.json()["warm_start"]] == ["first"], "second has not ended"
    finish_all(pool, turn)
    created = api.post("studies/second/revise", json={"name": "fourth", **change}).json()
    assert [source["study"] for source in created["warm_start"]] == ["first", "second"]
    assert all(source["configs"] for source in created["warm_start"])
    with sqlite_database.session(write=False) as session:
        first, _ = Studies(session, 1).get("fourth").sources
        assert [first] == Studies(session, 1).get("second").sources


def test_a_study_may_pause_when_its_checks_have_ended(
    create: Callable[..., int], pool: Any, turn: Callable[[], None], api: Any
) -> None:
    create(**TRAIN | {"name": "s", "checks": {"overfit": False, "pause": True}})
    turn()
    while pool.open:
        for one in list(pool.open.values()):
            assert one.task == "job"
            pool.finish(one)
        turn()
    found = api.get("studies/s").json()
    assert (found["state"], found["counts"]["trials"]) == ("paused", 0)
    assert "its checks have ended" in found["reason"]
    api.post("studies/s/resume")
    turn()
    turn()
    assert {one.task for one in pool.open.values()} == {"train"}
