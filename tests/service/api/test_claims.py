"""External workers over HTTP: the five calls, what they refuse, and what may be repeated."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from service.database import Database, DatabaseUnavailable

Claim = Callable[..., dict[str, Any]]
EPOCHS = {"name": "epochs", "low": 1, "high": 9}


@pytest.fixture
def external(api: httpx.Client, study_payload: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    def make(**changes: Any) -> dict[str, Any]:
        answer = api.post("studies", json={**study_payload, "objective": {"type": "external"}, **changes})
        assert answer.status_code == 201, answer.text
        created: dict[str, Any] = answer.json()
        return created

    return make


@pytest.fixture
def claim(api: httpx.Client) -> Claim:
    def make(worker: str = "ann", name: str = "s", **more: Any) -> dict[str, Any]:
        answer = api.post(f"studies/{name}/claims", json={"worker": worker, **more})
        assert answer.status_code == 200, answer.text
        claimed: dict[str, Any] = answer.json()
        return claimed

    return make


def say(api: httpx.Client, run: dict[str, Any], what: str, **more: Any) -> httpx.Response:
    method = "PUT" if what == "heartbeat" else "POST"
    return api.request(method, f"runs/{run['id']}/{what}", json={"token": run["token"], **more})


def one(step: float, **metrics: Any) -> list[dict[str, Any]]:
    return [{"step": step, "metrics": metrics}]


def test_an_assignment_is_complete(
    external: Callable[..., dict[str, Any]], claim: Claim, study_payload: dict[str, Any]
) -> None:
    study = external(space={**study_payload["space"], "fidelity": EPOCHS})
    claimed = claim()
    assert (claimed["reason"], claimed["detail"], claimed["retry_after"]) == (None, None, None)
    (run,) = claimed["assignments"]
    expires = datetime.fromisoformat(run.pop("lease_expires"))
    assert 50 < (expires - datetime.now(UTC)).total_seconds() <= 60
    assert run.pop("config").keys() == {"x0", "x1"}
    assert isinstance(run.pop("seed"), int)
    assert len(run.pop("token")) == 32
    assert run == {
        "id": f"{study['id']}-0",
        "study": "s",
        "trial": 0,
        "run": 0,
        "attempt": 1,
        "fidelity": {"name": "epochs", "value": 9, "maximum": 9},
        "resume_from": None,
    }


def test_a_run_over_http(external: Callable[..., dict[str, Any]], claim: Claim, api: httpx.Client) -> None:
    external()
    (run,) = claim()["assignments"]
    heard = say(api, run, "reports", reports=[*one(1, loss=3), {"step": 2, "metrics": {"loss": 2.5}, "time": 7.5}])
    assert heard.status_code == 200
    assert heard.json()["answer"] == "continue"
    assert heard.json()["lease_expires"] > run["lease_expires"]
    assert say(api, run, "heartbeat").json()["answer"] == "continue"
    ended = say(
        api,
        run,
        "complete",
        metrics={"loss": 2.25},
        provenance={"git": "abc"},
        cost={"cpu_seconds": 12.5, "gpu_seconds": None},
    ).json()
    assert (ended["number"], ended["state"], ended["metrics"], ended["attempts"]) == (0, "succeeded", {"loss": 2.25}, 1)
    reports = api.get("studies/s/reports").json()["items"]
    assert [(report["step"], report["metrics"]) for report in reports] == [(1, {"loss": 3}), (2, {"loss": 2.5})]
    assert reports[1]["seconds"] == 7.5
    assert api.get("studies/s").json()["counts"]["succeeded"] == 1


@pytest.mark.parametrize(
    ("what", "more", "state", "failure"),
    [
        ("fail", {}, "failed", {"class": "error", "message": "", "traceback": None}),
        (
            "fail",
            {"class": "oom", "message": "no memory", "traceback": "Traceback"},
            "failed",
            {"class": "oom", "message": "no memory", "traceback": "Traceback"},
        ),
        ("fail", {"class": "preempted", "message": "spot"}, "pending", None),
        ("infeasible", {"message": "no"}, "failed", {"class": "infeasible", "message": "no", "traceback": None}),
    ],
)
def test_a_run_that_ends_badly(
    external: Callable[..., dict[str, Any]],
    claim: Claim,
    api: httpx.Client,
    what: str,
    more: dict[str, Any],
    state: str,
    failure: dict[str, Any] | None,
) -> None:
    external()
    (run,) = claim()["assignments"]
    ended = say(api, run, what, **more)
    assert ended.status_code == 200, ended.text
    assert (ended.json()["state"], ended.json()["failure"]) == (state, failure)


def test_what_is_not_finite_travels_as_words(
    external: Callable[..., dict[str, Any]], claim: Claim, api: httpx.Client
) -> None:
    external()
    for number, value in enumerate([None, "NaN", "Infinity", "-Infinity"]):
        (run,) = claim(f"w{number}")["assignments"]
        assert say(api, run, "reports", reports=one(1, loss=value)).json()["answer"] == "stop"
        stored = api.get(f"studies/s/runs/{number}").json()
        assert (stored["state"], stored["failure"]["class"]) == ("failed", "diverged")
    items = api.get("studies/s/reports").json()["items"]
    assert [report["metrics"] for report in items] == [{"loss": None}] * 4


def test_a_stale_token_gets_what_stands(
    external: Callable[..., dict[str, Any]], claim: Claim, api: httpx.Client
) -> None:
    external()
    (run,) = claim()["assignments"]
    say(api, run, "fail", **{"class": "preempted"})
    claim("bob")
    for what, more in [
        ("reports", {"reports": one(1, loss=1)}),
        ("heartbeat", {}),
        ("checkpoint", {"uri": "s3://b/c"}),
    ]:
        answer = say(api, run, what, **more)
        assert answer.status_code == 409, what
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["type"] == "urn:assay:stale-attempt"
        assert problem["current"] == {
            "run": 0,
            "trial": 0,
            "state": "running",
            "attempt": 2,
            "attempt_state": "reporting",
        }
    assert api.get("studies/s/reports").json()["items"] == []


# Repetitions


def test_a_claim_with_a_key_may_be_repeated(
    external: Callable[..., dict[str, Any]], api: httpx.Client, claim: Claim
) -> None:
    external()
    body, key = {"worker": "ann", "count": 2}, {"Idempotency-Key": "k1"}
    first = api.post("studies/s/claims", json=body, headers=key)
    again = api.post("studies/s/claims", json=body, headers=key)
    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    other = api.post("studies/s/claims", json={**body, "count": 1}, headers=key)
    assert other.status_code == 409
    assert api.get("studies/s").json()["counts"]["running"] == 2


def test_an_end_with_a_key_may_be_repeated(
    external: Callable[..., dict[str, Any]], api: httpx.Client, claim: Claim
) -> None:
    external()
    (run,) = claim()["assignments"]
    body, key = {"token": run["token"], "metrics": {"loss": 1}}, {"Idempotency-Key": "k2"}
    first = api.post(f"runs/{run['id']}/complete", json=body, headers=key)
    again = api.post(f"runs/{run['id']}/complete", json=body, headers=key)
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.json() == first.json()
    other = api.post(f"runs/{run['id']}/complete", json={**body, "metrics": {"loss": 2}}, headers=key)
    assert other.json()["type"] == "urn:assay:idempotency-key-reused"


def test_without_a_key_too(external: Callable[..., dict[str, Any]], api: httpx.Client, claim: Claim) -> None:
    external()
    (run,) = claim()["assignments"]
    assert claim()["assignments"][0]["token"] == run["token"]
    for _ in range(2):
        assert say(api, run, "reports", reports=one(1, loss=2)).status_code == 200
    for loss in (1, 5):
        assert say(api, run, "complete", metrics={"loss": loss}).json()["metrics"] == {"loss": 1}
    assert len(api.get("studies/s/reports").json()["items"]) == 1


# Refusals


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "worker"),
        ({"worker": ""}, "worker"),
        ({"worker": "w" * 129}, "worker"),
        ({"worker": "w", "count": 0}, "count"),
        ({"worker": "w", "count": 101}, "count"),
        ({"worker": "w", "count": "2"}, "count"),
        ({"worker": "w", "lease_seconds": 0}, "lease_seconds"),
        ({"worker": "w", "lease_seconds": 1e9}, "lease_seconds"),
        ({"worker": "w", "lease": 60}, "lease"),
    ],
)
def test_a_claim_that_makes_no_sense(
    external: Callable[..., dict[str, Any]], api: httpx.Client, body: dict[str, Any], path: str
) -> None:
    external()
    answer = api.post("studies/s/claims", json=body)
    assert answer.status_code == 422
    assert [error["path"] for error in answer.json()["errors"]] == [path]
    assert api.get("studies/s").json()["counts"]["trials"] == 0


@pytest.mark.parametrize(
    ("reports", "path"),
    [
        ([], "reports"),
        ([{"step": 1}], "reports[0].metrics"),
        ([{"step": -1, "metrics": {"loss": 1}}], "reports[0].step"),
        ([{"step": "1", "metrics": {"loss": 1}}], "reports[0].step"),
        ([{"step": 1, "metrics": {"loss": "low"}}], "reports[0].metrics.loss"),
        ([{"step": 1, "metrics": {"loss": [1]}}], "reports[0].metrics.loss"),
        ([{"step": 1, "metrics": {"loss": True}}], "reports[0].metrics.loss"),
        ([{"step": 1, "metrics": {"loss": 1}, "time": -1}], "reports[0].time"),
        ([{"step": 1, "metrics": {"loss": 1}}] * 1001, "reports"),
    ],
)
def test_reports_that_make_no_sense(
    external: Callable[..., dict[str, Any]], claim: Claim, api: httpx.Client, reports: list[Any], path: str
) -> None:
    external()
    (run,) = claim()["assignments"]
    answer = say(api, run, "reports", reports=reports)
    assert answer.status_code == 422
    assert path in [error["path"] for error in answer.json()["errors"]]


@pytest.mark.parametrize("id_", ["7", "x-1", "1-", "1-2-3", "99-0", "1-99", "999999999-0", "99999999999-0", "١-٠"])
def test_a_run_that_is_not_there(external: Callable[..., dict[str, Any]], api: httpx.Client, id_: str) -> None:
    external()
    assert api.post(f"runs/{id_}/complete", json={"token": "t"}).status_code == 404
    assert api.put(f"runs/{id_}/heartbeat", json={"token": "t"}).status_code == 404
    assert api.post(f"runs/{id_}/reports", json={"token": "t", "reports": one(1, loss=1)}).status_code == 404


def test_a_run_that_nobody_ever_claimed(external: Callable[..., dict[str, Any]], api: httpx.Client) -> None:
    """A trial that was told has a run without attempts."""
    study = external()
    told = api.post("studies/s/trials", json={"config": {"x0": 0.0, "x1": 0.0}, "metrics": {"loss": 1.0}})
    assert told.status_code == 201, told.text
    run = {"id": f"{study['id']}-0", "token": "t"}
    assert say(api, run, "reports", reports=one(1, loss=1)).status_code == 404
    assert say(api, run, "heartbeat").status_code == 404
    answer = say(api, run, "complete", metrics={"loss": 0})
    assert (answer.status_code, answer.json()["detail"]) == (404, "run 0 was never claimed")


def test_the_pools_runs_are_not_for_workers(study: dict[str, Any], api: httpx.Client) -> None:
    answer = api.post(f"studies/{study['name']}/claims", json={"worker": "ann"})
    assert answer.status_code == 422
    assert [error["path"] for error in answer.json()["errors"]] == ["objective.type"]
    assert api.post("studies/nobody/claims", json={"worker": "ann"}).status_code == 404


def test_nothing_is_told_of_other_projects(
    bearing: Callable[..., httpx.Client], token_for: Callable[..., str], study_payload: dict[str, Any]
) -> None:
    mine = bearing(token_for("write", "worker", project="mine", name="me"))
    other = bearing(token_for("worker", project="theirs", name="they"))
    created = mine.post("studies", json={**study_payload, "objective": {"type": "external"}})
    assert created.status_code == 201, created.text
    (run,) = mine.post("studies/s/claims", json={"worker": "ann"}).json()["assignments"]
    there = f"{created.json()['id']}-7"
    nowhere = "999-7"
    for what, more in [("reports", {"reports": one(1, loss=1)}), ("heartbeat", {}), ("complete", {}), ("fail", {})]:
        assert say(other, run, what, **more).status_code == 404
        texts = {say(other, {**run, "id": id_}, what, **more).text.replace(id_[:-2], "#") for id_ in (there, nowhere)}
        assert len(texts) == 1, "whether it is there"
    assert other.post("studies/s/claims", json={"worker": "ann"}).status_code == 404
    assert say(mine, run, "complete", metrics={"loss": 1}).json()["state"] == "succeeded"


def test_a_worker_needs_the_scope(
    bearing: Callable[..., httpx.Client], token_for: Callable[..., str], study_payload: dict[str, Any]
) -> None:
    reader = bearing(token_for("read", "write", project="mine", name="reader"))
    assert reader.post("studies", json={**study_payload, "objective": {"type": "external"}}).status_code == 201
    assert reader.post("studies/s/claims", json={"worker": "ann"}).status_code == 403
    worker = bearing(token_for("worker", project="mine", name="worker"))
    assert worker.post("studies/s/claims", json={"worker": "ann"}).status_code == 200


# Checkpoints


def test_a_new_attempt_downloads_what_the_one_before_saved(
    external: Callable[..., dict[str, Any]], claim: Claim, api: httpx.Client
) -> None:
    external()
    (run,) = claim()["assignments"]
    saved = api.post(
        f"runs/{run['id']}/checkpoint",
        params={"token": run["token"], "step": 3},
        content=b"weights",
        headers={"Content-Type": "application/octet-stream"},
    )
    assert saved.status_code == 200, saved.text
    say(api, run, "fail", **{"class": "preempted"})
    (again,) = claim("bob")["assignments"]
    assert again["resume_from"] == {"run": 0, "step": 3, "checkpoint": f"/api/v1/runs/{run['id']}/checkpoint"}
    assert api.get(f"http://localhost{again['resume_from']['checkpoint']}").content == b"weights"


@pytest.mark.parametrize("uri", ["s3://bucket/key", "file:///shared/7"])
def test_a_new_attempt_is_told_the_address_that_the_one_before_gave(
    external: Callable[..., dict[str, Any]], claim: Claim, api: httpx.Client, uri: str
) -> None:
    external()
    (run,) = claim()["assignments"]
    assert say(api, run, "checkpoint", uri=uri, step=2).status_code == 200
    say(api, run, "fail", **{"class": "preempted"})
    (again,) = claim("bob")["assignments"]
    assert again["resume_from"] == {"run": 0, "step": 2, "checkpoint": uri}


# What goes wrong


def test_a_database_that_is_away_is_a_503(
    external: Callable[..., dict[str, Any]], api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    external()

    def away(self: Database, *, write: bool = True) -> Any:
        raise DatabaseUnavailable("the database does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(Database, "session", away)
        answer = api.post("studies/s/claims", json={"worker": "ann"})
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert api.post("studies/s/claims", json={"worker": "ann"}).status_code == 200


def test_the_metrics_tell_of_workers(external: Callable[..., dict[str, Any]], claim: Claim, api: httpx.Client) -> None:
    external()
    (run,) = claim()["assignments"]
    say(api, run, "reports", reports=one(1, loss=1))
    say(api, run, "complete", metrics={"loss": 1})
    (run,) = claim()["assignments"]
    say(api, run, "infeasible")
    text = api.get("http://localhost/metrics").text
    for line in (
        'assay_assignments_total{kind="external"} 2.0',
        'assay_claims_total{answer="assigned"} 2.0',
        "assay_reports_total 1.0",
        'assay_completions_total{ending="complete"} 1.0',
        'assay_completions_total{ending="infeasible"} 1.0',
    ):
        assert line in text
