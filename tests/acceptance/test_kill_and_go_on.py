"""`kill -9` of the whole service in the middle of a study, then `assay up` again: the study ends as if undisturbed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.slow

# One cycle of Hyperband (1..9, eta 3, ceil): 22 runs of 17 trials, each step taking a moment.
STUDY: dict[str, Any] = {
    "space": {
        "parameters": [
            {"name": "x0", "type": "float", "low": -5, "high": 10},
            {"name": "x1", "type": "float", "low": 0, "high": 15},
        ],
        "fidelity": {"name": "steps", "low": 1, "high": 9},
    },
    "objective": {"type": "function", "function": "branin", "seconds_per_step": 0.03},
    "metrics": [{"name": "loss", "direction": "minimize"}],
    "algorithm": {"name": "hyperband", "eta": 3},
    "budget": {"max_runs": 22},
    "parallelism": 1,
    "seed": 7,
}
SIZES = {(0, 0): 9, (0, 1): 3, (0, 2): 1, (1, 1): 5, (1, 2): 1, (2, 2): 3}


def essence(run: dict[str, Any]) -> dict[str, Any]:
    """What a study is about: everything of a run but times and the number of attempts."""
    return {
        key: run[key] for key in ("number", "trial", "state", "config", "fidelity", "metrics", "resume_from", "origin")
    }


@pytest.mark.parametrize("options", [("--pool", "local"), ("--pool", "ray")], ids=["local", "ray"])
def test_a_killed_study_equals_an_undisturbed_one(start_service: Callable[..., Any], options: tuple[str, ...]) -> None:
    service = start_service(*options, "--workers", "1")
    service.create({**STUDY, "name": "undisturbed"})
    assert service.wait_until_finished("undisturbed")["state"] == "completed"
    undisturbed = [essence(run) for run in service.items("/studies/undisturbed/runs")]
    assert Counter((run["bracket"], run["rung"]) for run in service.items("/studies/undisturbed/runs")) == SIZES

    service.create({**STUDY, "name": "killed"})
    for runs in (3, 12):
        service.wait_for(lambda runs=runs: service.study("killed")["counts"]["succeeded"] >= runs, f"{runs} runs")
        time.sleep(0.02)  # into the middle of the next run
        service.kill()
        service.start()
    assert service.wait_until_finished("killed")["state"] == "completed"

    runs = service.items("/studies/killed/runs")
    assert [essence(run) for run in runs] == undisturbed
    assert sum(run["attempts"] for run in runs) > len(runs), "the kills hit runs that were under way"
    reports = service.items("/studies/killed/reports")
    steps = Counter((report["trial"], report["step"]) for report in reports)
    assert max(steps.values()) == 1, "no step was done twice"
    assert len(steps) == sum(max(run["fidelity"] for run in runs if run["trial"] == trial) for trial in range(17))
    assert service.study("killed")["best"]["config"] == service.study("undisturbed")["best"]["config"]
    assert service.stop() == 0


LONG: dict[str, Any] = {
    **STUDY,
    "name": "long",
    "space": {**STUDY["space"], "fidelity": {"name": "steps", "low": 1, "high": 60}},
    "objective": {"type": "function", "function": "branin", "seconds_per_step": 0.1},
    "algorithm": {"name": "random"},
    "budget": {"max_runs": 1},
    "retry": {"preempted": 0},
}


@pytest.mark.parametrize("options", [("--pool", "local"), ("--pool", "ray")], ids=["local", "ray"])
def test_a_run_goes_on_where_it_was_when_the_service_was_stopped(
    start_service: Callable[..., Any], options: tuple[str, ...]
) -> None:
    service = start_service(*options, "--workers", "1")
    service.create(LONG)
    service.wait_for(lambda: len(service.items("/studies/long/reports")) >= 5, "five steps")
    assert service.stop() == 0
    service.start()
    attempts = service.items("/studies/long/runs/0/attempts")
    assert [(one["state"], one["checkpoint_step"] >= 5) for one in attempts[:1]] == [("preempted", True)]
    assert service.wait_until_finished("long")["state"] == "completed"
    steps = [report["step"] for report in service.items("/studies/long/reports")]
    assert sorted(steps) == list(range(1, 61)), "no step was done twice"
    *_, last = service.items("/studies/long/runs/0/attempts")
    assert (last["number"], last["state"]) == (2, "succeeded")
