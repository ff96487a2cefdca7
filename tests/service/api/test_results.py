"""Trials, runs, reports, the best run and the incumbents of a study."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from search import incumbents
from service.database import Database
from service.models import DEFAULT_PROJECT_ID
from service.repositories.studies import Studies
from service.tracking import tracked
from workers.protocol import FailureClass


def all_items(api: httpx.Client, path: str, **params: Any) -> list[dict[str, Any]]:
    items, after = [], None
    while True:
        page = api.get(path, params={**params, **({"after": after} if after else {})}).json()
        items += page["items"]
        after = page["next"]
        if after is None:
            return items


def test_trials_know_their_runs(api: httpx.Client, finished: str) -> None:
    trials = all_items(api, f"studies/{finished}/trials", limit=4)
    runs = all_items(api, f"studies/{finished}/runs", limit=7)

    assert [trial["number"] for trial in trials] == list(range(len(trials)))
    assert [run["number"] for run in runs] == list(range(22))
    for trial in trials:
        own = [run for run in runs if run["trial"] == trial["number"]]
        assert trial["runs"] == [run["number"] for run in own]
        assert trial["fidelity"] == own[-1]["fidelity"]
        assert trial["metrics"] == own[-1]["metrics"]
        assert trial["state"] == own[-1]["state"] == "succeeded"
        assert trial["finished_at"] == own[-1]["finished_at"]
        assert all(run["config"] == trial["config"] for run in own)
        assert [run["resume_from"] for run in own] == [None, *trial["runs"][:-1]]


def test_a_whole_fidelity_is_a_whole_number(api: httpx.Client, finished: str) -> None:
    run = api.get(f"studies/{finished}/runs/0").json()

    assert run["fidelity"] == 1
    assert isinstance(run["fidelity"], int)


def test_one_trial_and_one_run(api: httpx.Client, finished: str) -> None:
    trial = api.get(f"studies/{finished}/trials/3").json()
    run = api.get(f"studies/{finished}/runs/{trial['runs'][0]}").json()

    assert trial["number"] == run["trial"] == 3
    assert run["attempts"] == 1
    assert run["failure"] is None
    assert run["seconds"] >= 0


@pytest.mark.parametrize("path", ["trials/1000", "runs/1000"])
def test_an_unknown_number_is_not_found(api: httpx.Client, finished: str, path: str) -> None:
    answer = api.get(f"studies/{finished}/{path}")

    assert answer.status_code == 404
    assert answer.json()["type"] == "urn:assay:not-found"


@pytest.mark.parametrize("path", ["trials/x", "runs/-1", f"runs/{2**31}", "runs?state=good", "reports?run=a"])
def test_a_bad_number_or_filter_is_refused(api: httpx.Client, finished: str, path: str) -> None:
    assert api.get(f"studies/{finished}/{path}").status_code == 422


def test_filters(api: httpx.Client, finished: str) -> None:
    assert all_items(api, f"studies/{finished}/runs", state="failed") == []
    assert len(all_items(api, f"studies/{finished}/trials", state="succeeded")) > 0
    own = all_items(api, f"studies/{finished}/runs", trial=0)
    assert {run["trial"] for run in own} == {0}
    reports = all_items(api, f"studies/{finished}/reports", trial=0, limit=1)
    assert len(reports) == 2 * len(own)
    assert {report["trial"] for report in reports} == {0}
    assert len(all_items(api, f"studies/{finished}/reports", run=own[0]["number"])) == 2


def test_reports_come_in_the_order_in_which_they_arrived(api: httpx.Client, finished: str) -> None:
    reports = all_items(api, f"studies/{finished}/reports", limit=10)

    assert len(reports) == 44
    assert [report["id"] for report in reports] == sorted(report["id"] for report in reports)
    assert [report["step"] for report in reports if report["run"] == 0] == [1, 2]


def test_a_failed_run_says_why(
    api: httpx.Client, create: Callable[..., int], pool: Any, turn: Callable[[], None]
) -> None:
    create()
    turn()
    turn()
    pool.fail(pool.first, FailureClass.OOM, "the network does not fit")
    turn()

    run = all_items(api, "studies/s/runs", state="failed")[0]
    assert run["failure"] == {"class": "oom", "message": "the network does not fit", "traceback": "Traceback ..."}
    trial = api.get(f"studies/s/trials/{run['trial']}").json()
    assert trial["state"] == "failed"
    assert trial["failure"] == {"class": "oom", "message": "the network does not fit"}
    assert trial["metrics"] is None
    assert api.get("studies/s").json()["counts"]["failed"] == 1


def test_without_a_success_there_is_no_best(api: httpx.Client, study: dict[str, Any]) -> None:
    answer = api.get("studies/s/best")

    assert answer.status_code == 404
    assert "has succeeded yet" in answer.json()["detail"]
    assert api.get("studies/s/incumbents").json() == {"items": []}


def test_incumbents_are_those_of_the_search(api: httpx.Client, finished: str, sqlite_database: Database) -> None:
    with sqlite_database.session(write=False) as session:
        known = tracked(session, Studies(session, DEFAULT_PROJECT_ID).get(finished))

    trace = api.get(f"studies/{finished}/incumbents").json()["items"]

    assert [item["run"] for item in trace] == incumbents(known.spec, known.history)
    assert len(trace) > 1
    assert [item["seconds"] for item in trace] == sorted(item["seconds"] for item in trace)


def test_the_direction_of_the_metric_counts(
    api: httpx.Client,
    create: Callable[..., int],
    carry_out: Callable[[Database, str], None],
    sqlite_database: Database,
) -> None:
    create(metrics=[{"name": "loss", "direction": "maximize"}])
    carry_out(sqlite_database, "s")

    runs = all_items(api, "studies/s/runs")
    best = api.get("studies/s/best").json()

    assert best["metrics"]["loss"] == max(run["metrics"]["loss"] for run in runs)
    assert best["fidelity"] is None
    assert api.get("studies/s/incumbents").json()["items"][-1]["run"] == best["run"]


def test_spent_counts_a_continued_trial_once(api: httpx.Client, finished: str) -> None:
    trials = all_items(api, f"studies/{finished}/trials")
    spent = api.get(f"studies/{finished}").json()["spent"]

    assert spent["fidelity"] == sum(trial["fidelity"] for trial in trials)
    assert spent["trials"] == len(trials)
    assert spent["seconds"] > 0
