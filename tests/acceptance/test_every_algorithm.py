"""Every name that a study may give its algorithm, on a real training, through the service and Ray.

All studies are handed in at once and share two workers; each test waits for its own. A new row of the table of
algorithms, or of the stopping rules, gets a study and a test by itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from search import ALGORITHMS, STOPPING_RULES
from search.auto import NAME as AUTO
from search.replay import Verified, verify
from search.testbed import ANYWHERE, LIGHT
from service.database import Database, sqlite_url
from service.models import DEFAULT_PROJECT_ID
from service.record import stored_record
from service.repositories.studies import Studies
from spaces import Space

pytestmark = pytest.mark.slow

EPOCHS = 4
PARAMETERS: list[dict[str, Any]] = [
    {"name": "lr", "type": "float", "low": 1e-4, "high": 0.1, "log": True, "prior": {"mode": 0.01}},
    {"name": "width", "type": "int", "low": 16, "high": 64, "mutable": False},
    {"name": "optimizer", "type": "categorical", "choices": ["sgd", "adamw"], "mutable": False},
    {
        "name": "momentum",
        "type": "float",
        "low": 0.0,
        "high": 0.9,
        "when": {"parameter": "optimizer", "equals": "sgd"},
        "prior": {"mode": 0.8, "confidence": "low"},
    },
]
ACCURACY = {"name": "val_accuracy", "direction": "maximize"}
SIZE = {"name": "parameters", "direction": "minimize"}
SMALLER = {"name": "parameters", "at_most": 4000}  # a width of 35 or less

SMALL: Mapping[str, Any] = {"startup": 5, "initial": 5, "population": 4, "points": 3, "eta": 2}
"""Options with which an algorithm begins to learn after a few runs, for those that have them."""
UNTAUGHT = {"uniform", "random", "startup", "sobol", "grid", "prior", "prior-mode"}
"""What makes configs without results."""
EAGER: Mapping[str, Mapping[str, Any]] = {
    "median": {"trials": 3},
    "asha-stop": {"eta": 2},
    "patience": {"reports": 1, "delta": 0.05},
    "threshold": {"value": 0.85, "grace": 2},
    "curve": {"every": 1, "probability": 0.5},
}
"""Options with which a stopping rule has something to stop in a small study."""


def study(name: str, algorithm: Mapping[str, Any], *metrics: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "space": {"parameters": PARAMETERS, "fidelity": {"name": "epochs", "low": 1, "high": EPOCHS}},
        "objective": {"type": "train", "family": "mlp", "dataset": "digits"},
        "checks": False,  # which are the same for all
        "metrics": [ACCURACY, *metrics],
        "algorithm": dict(algorithm),
        "budget": {"max_runs": runs(algorithm["name"])},
        "parallelism": 2,
        "seed": 1,
        **more,
    }


def runs(algorithm: str) -> int:
    """Enough for each rung, and to learn at one of them; or at full fidelity."""
    row = ALGORITHMS.get(algorithm)
    if row is None or not row.needs_fidelity:
        return 14
    return 52 if row.learns else 20


def quick(name: str) -> dict[str, Any]:
    options = [option.name for option in ALGORITHMS[name].options]
    return {"name": name, **LIGHT.get(name, {}), **{key: value for key, value in SMALL.items() if key in options}}


def stopping(rule: str) -> dict[str, Any]:
    """A curve can be extrapolated once there is some of it."""
    epochs = 10 if STOPPING_RULES[rule].needs_horizon else EPOCHS
    given = study(f"stop-{rule}", {"name": "random", "stop": {"rule": rule, **EAGER.get(rule, {})}})
    given["space"]["fidelity"]["high"] = epochs
    return given


SEVERAL = [name for name in ANYWHERE if ALGORITHMS[name].several_metrics]
STUDIES = {
    given["name"]: given
    for given in (
        *(study(name, quick(name)) for name in ANYWHERE),
        *(study(f"front-{name}", quick(name), SIZE) for name in SEVERAL),
        *(stopping(rule) for rule in STOPPING_RULES),
        study("priorband-model", {**quick("priorband"), "model": True, "model_after": 4}),
        study(AUTO, {"name": AUTO}),
        study(f"front-{AUTO}", {"name": AUTO}, SIZE),
        study("replicated", quick("tpe"), replicates={"max": 2, "top": 2}),
        study("constrained", quick("tpe"), SMALLER),
    )
}


WARM = study("warm", quick("tpe"), warm_start=["random"])


@pytest.fixture(scope="module")
def service(ray_service: Any) -> Any:
    for given in STUDIES.values():
        ray_service.create(given)
    return ray_service


def finished(service: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The study after its end, with what holds of each."""
    name = given["name"]
    study = service.wait_until_finished(name, 400)
    assert study["state"] == "completed", study["reason"]
    assert study["counts"]["failed"] == study["counts"]["cancelled"] == 0
    assert study["spent"]["runs"] <= given["budget"]["max_runs"]
    assert study["best"]["metrics"]["val_accuracy"] > 0.6, "far above chance, which is 0.1"
    assert study["best"]["fidelity"] == given["space"]["fidelity"]["high"] or study["counts"]["stopped"]
    assert study["test"]["metrics"]["test_accuracy"] > 0.6
    space = Space.from_json(given["space"])
    for trial in service.items(f"/studies/{name}/trials"):
        space.validate(trial["config"])
        chances = trial["origin"]["probabilities"]
        assert chances[trial["origin"]["rule"]] > 0
        assert math.isclose(sum(chances.values()), 1)
    return study


def rules(service: Any, name: str) -> set[str]:
    return {trial["origin"]["rule"] for trial in service.items(f"/studies/{name}/trials")}


@pytest.mark.parametrize("name", ANYWHERE)
def test_every_algorithm_trains(service: Any, name: str) -> None:
    study = finished(service, STUDIES[name])
    assert study["algorithm"]["name"] == name
    assert study["counts"]["stopped"] == 0
    assert bool(rules(service, name) - UNTAUGHT) == ALGORITHMS[name].learns
    stored = service.items(f"/studies/{name}/runs")
    assert ({run["fidelity"] for run in stored} == {EPOCHS}) != ALGORITHMS[name].needs_fidelity
    assert any(run["resume_from"] is not None for run in stored) == ALGORITHMS[name].needs_fidelity


@pytest.mark.parametrize("name", [*SEVERAL, AUTO])
def test_every_algorithm_for_several_objectives_finds_a_front(service: Any, name: str) -> None:
    finished(service, STUDIES[f"front-{name}"])
    front = service.http.get(f"/studies/front-{name}/front").json()
    assert front["objectives"] == ["val_accuracy", "parameters"]
    assert front["hypervolume"] > 0
    accuracies = [item["metrics"]["val_accuracy"] for item in front["items"]]
    sizes = [item["metrics"]["parameters"] for item in front["items"]]
    assert accuracies == sorted(accuracies, reverse=True)
    assert sizes == sorted(sizes, reverse=True)


def test_the_model_of_priorband_takes_over(service: Any) -> None:
    finished(service, STUDIES["priorband-model"])
    assert "model" in rules(service, "priorband-model")


def test_auto_chooses_and_says_why(service: Any) -> None:
    study = finished(service, STUDIES[AUTO])
    assert study["algorithm"]["name"] in ALGORITHMS
    assert study["algorithm"]["chosen_because"]


@pytest.mark.parametrize("rule", STOPPING_RULES)
def test_every_stopping_rule_ends_runs_early(service: Any, rule: str) -> None:
    name = f"stop-{rule}"
    finished(service, STUDIES[name])
    early = [run for run in service.items(f"/studies/{name}/runs") if run["stopped_by"]]
    assert early
    for run in early:
        assert run["stopped_by"]["rule"] == rule
        assert run["state"] == run["stopped_by"]["outcome"]
        assert run["stopped_by"]["step"] < run["fidelity"]


def test_the_best_of_a_noisy_study_is_confirmed(service: Any) -> None:
    study = finished(service, STUDIES["replicated"])
    assert study["best"]["confirmed"]
    assert study["best"]["results"] == 2
    stored = service.items("/studies/replicated/runs")
    again = [run for run in stored if run["replicate"]]
    assert len(again) >= 2
    for run in again:
        first = stored[run["origin"]["from_run"]]
        assert (run["trial"], run["config"]) == (first["trial"], first["config"])
        assert run["metrics"] != first["metrics"], "another seed"


def test_the_best_keeps_the_constraint(service: Any) -> None:
    study = finished(service, STUDIES["constrained"])
    assert study["best"]["feasible"]
    assert study["best"]["metrics"]["parameters"] <= 4000
    sizes = [run["metrics"]["parameters"] for run in service.items("/studies/constrained/runs")]
    assert max(sizes) > 4000, "it was not kept by itself"


def test_a_study_starts_from_what_another_one_found(service: Any) -> None:
    source = finished(service, STUDIES["random"])
    service.create(WARM)
    warm = finished(service, WARM)
    assert warm["warm_start"] == [{"study": "random", "configs": 14, "left_out": 0}]
    trials = service.items("/studies/warm/trials")
    assert trials[0]["origin"]["rule"] == "warm-start"
    assert trials[0]["config"] == source["best"]["config"]


@pytest.mark.parametrize("name", STUDIES)
def test_every_decision_can_be_derived_again(service: Any, name: str) -> None:
    study = finished(service, STUDIES[name])
    database = Database(sqlite_url(service.data_dir / "assay.db"))
    try:
        with database.session(write=False) as session:
            record = stored_record(session, Studies(session, DEFAULT_PROJECT_ID).get(name))
    finally:
        database.dispose()
    stopped = [run for run in service.items(f"/studies/{name}/runs") if run["stopped_by"]]
    assert verify(record) == Verified(runs=study["spent"]["runs"], stops=len(stopped))
