"""Every mistake in a study is answered with the path of the culprit, and nothing is stored."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.schemas import EXAMPLE_STUDY

Change = Callable[[dict[str, Any]], object]


def put(*path: str | int, to: object) -> Change:
    def change(study: Any) -> None:
        for step in path[:-1]:
            study = study[step]
        study[path[-1]] = to

    return change


def drop(*path: str | int) -> Change:
    def change(study: Any) -> None:
        for step in path[:-1]:
            study = study[step]
        del study[path[-1]]

    return change


def with_parameter(**parameter: object) -> Change:
    return lambda study: study["space"]["parameters"].append({"name": "new", **parameter})


def with_metric(**metric: object) -> Change:
    return lambda study: study["metrics"].append(metric)


def stop(**rule: object) -> Change:
    return put("algorithm", "stop", to=rule)


def cycle(study: dict[str, Any]) -> None:
    study["space"]["parameters"] += [
        {"name": "a", "type": "bool", "when": {"parameter": "b", "equals": True}},
        {"name": "b", "type": "bool", "when": {"parameter": "a", "equals": True}},
    ]


# The example: lr, optimizer, momentum (when optimizer is sgd), width; epochs; a new parameter is number 4.
BAD: dict[str, tuple[Change, str, str]] = {
    "no name": (drop("name"), "name", "required"),
    "a name of the wrong type": (put("name", to=7), "name", "must be a text"),
    "an empty name": (put("name", to=""), "name", "must be 1 to 128"),
    "a name with a slash": (put("name", to="a/b"), "name", "must be 1 to 128"),
    "a name with a newline at its end": (put("name", to="a\n"), "name", "must be 1 to 128"),
    "a name too long": (put("name", to="a" * 129), "name", "must be 1 to 128"),
    "an unknown field": (put("algorithmn", to={}), "algorithmn", 'did you mean "algorithm"'),
    "no space": (drop("space"), "space", "required"),
    "a space of the wrong type": (put("space", to=[]), "space", "must be an object"),
    "an unknown field of the space": (put("space", "params", to=[]), "space.params", "parameters"),
    "no parameters": (put("space", "parameters", to=[]), "space.parameters", ""),
    "an unknown type": (with_parameter(type="flaot"), "space.parameters[4].type", "float"),
    "an unknown field of a parameter": (
        with_parameter(type="float", low=0, high=1, lgo=True),
        "space.parameters[4].lgo",
        "log",
    ),
    "log with low <= 0": (put("space", "parameters", 0, "low", to=0.0), "space.parameters[0].low", ""),
    "low above high": (put("space", "parameters", 0, "low", to=0.5), "space.parameters[0].low", ""),
    "low equal to high": (put("space", "parameters", 3, "low", to=256), "space.parameters[3].low", ""),
    "a step that does not fit": (
        with_parameter(type="float", low=0.0, high=1.0, step=0.3),
        "space.parameters[4].step",
        "",
    ),
    "a name twice": (put("space", "parameters", 3, "name", to="lr"), "space.parameters[3].name", "lr"),
    "an unknown parent": (
        put("space", "parameters", 2, "when", "parameter", to="optimiser"),
        "space.parameters[2].when.parameter",
        "optimizer",
    ),
    "cyclic parents": (cycle, "space.parameters[4].when", ""),
    "a default outside the range": (
        put("space", "parameters", 0, "default", to=1.0),
        "space.parameters[0].default",
        "",
    ),
    "a constraint that cannot be kept": (
        put("space", "constraints", to=[{"linear": {"lr": 1}, "ge": 2}]),
        "space.constraints[0]",
        "no config can keep",
    ),
    "no fidelity for hyperband": (drop("space", "fidelity"), "space.fidelity", "hyperband"),
    "an unknown algorithm": (put("algorithm", "name", to="hyperbnad"), "algorithm.name", "hyperband"),
    "an algorithm as a text": (put("algorithm", to="random"), "algorithm", "must be an object"),
    "an unknown option": (put("algorithm", "etaa", to=3), "algorithm.etaa", "eta"),
    "an option out of range": (put("algorithm", "eta", to=1), "algorithm.eta", "1.5"),
    "too large an option": (put("algorithm", "eta", to=10**6), "algorithm.eta", "at most 1000"),
    "an option of auto": (put("algorithm", to={"name": "auto", "eta": 3}), "algorithm.eta", "unknown field"),
    "an algorithm without a name": (drop("algorithm", "name"), "algorithm.name", "auto"),
    "a reason that is no text": (put("algorithm", "chosen_because", to=7), "algorithm.chosen_because", "a text"),
    "a stopping rule as a text": (put("algorithm", "stop", to="median"), "algorithm.stop", '{"rule": "median"}'),
    "no stopping rule": (put("algorithm", "stop", to={}), "algorithm.stop.rule", "median"),
    "an unknown stopping rule": (stop(rule="medain"), "algorithm.stop.rule", 'did you mean "median"'),
    "an unknown option of a rule": (stop(rule="patience", report=3), "algorithm.stop.report", '"reports"'),
    "an option of a rule out of range": (
        stop(rule="curve", probability=2),
        "algorithm.stop.probability",
        "at most 1, got 2",
    ),
    "a rule without what it needs": (stop(rule="threshold"), "algorithm.stop.value", "is required"),
    "a rule that compares, beside hyperband": (stop(rule="median"), "algorithm.stop.rule", "hyperband"),
    "an unknown objective": (put("objective", "type", to="trian"), "objective.type", "train"),
    "no type of objective": (drop("objective", "type"), "objective.type", ""),
    "an unknown family": (put("objective", "family", to="lenett"), "objective.family", "lenet"),
    "an unknown dataset": (put("objective", "dataset", to="digit"), "objective.dataset", "digits"),
    "an unknown field of the objective": (put("objective", "fam", to="mlp"), "objective.fam", "family"),
    "no metrics": (put("metrics", to=[]), "metrics", ""),
    "metrics as an object": (put("metrics", to={"name": "loss"}), "metrics", "must be a list"),
    "a metric as a text": (put("metrics", to=["loss"]), "metrics[0]", "must be an object"),
    "a direction that is none": (put("metrics", 0, "direction", to="max"), "metrics[0].direction", "maximize"),
    "no direction": (drop("metrics", 0, "direction"), "metrics[0].direction", "minimize"),
    "a metric of two names": (put("metrics", 0, "name", to=["a", "b"]), "metrics[0].name", "a text"),
    "a bound on the first metric": (put("metrics", 0, "at_most", to=1), "metrics[0].at_most", "first metric"),
    "a bound as a text": (
        with_metric(name="val_loss", at_most="1"),
        "metrics[1].at_most",
        'a finite number, got "1"',
    ),
    "bounds that leave nothing": (
        with_metric(name="val_loss", at_most=1, at_least=2),
        "metrics[1].at_most",
        "no value is at least 2 and at most 1",
    ),
    "a metric twice": (with_metric(name="val_accuracy", direction="maximize"), "metrics[1].name", "a second metric"),
    "two objectives for hyperband": (with_metric(name="val_loss", direction="minimize"), "metrics", "mo-asha"),
    "replicates as a number": (put("replicates", to=3), "replicates", "must be an object"),
    "an unknown field of replicates": (put("replicates", to={"min": 3}), "replicates.min", '"max"'),
    "one replicate": (put("replicates", to={"max": 1}), "replicates.max", "at least 2"),
    "replicates of none": (put("replicates", to={"top": 0}), "replicates.top", "at least 1"),
    "too many replicates": (put("replicates", to={"max": 10**9}), "replicates.max", "at most 1000"),
    "a warm start as a text": (put("warm_start", to="before"), "warm_start", "must be a list"),
    "a warm start from data": (
        put("warm_start", to=[{"study": "before", "configs": []}]),
        "warm_start[0]",
        "must be a text",
    ),
    "a warm start from no name": (put("warm_start", to=["a/b"]), "warm_start[0]", "must be 1 to 128"),
    "a warm start from nobody": (put("warm_start", to=["before"]), "warm_start[0]", "there is no study"),
    "a warm start from too many": (put("warm_start", to=[f"s{i}" for i in range(11)]), "warm_start", "at most 10"),
    "a budget as a number": (put("budget", to=60), "budget", "must be an object"),
    "an unknown limit": (put("budget", to={"max_run": 6}), "budget.max_run", "max_runs"),
    "no runs": (put("budget", "max_runs", to=0), "budget.max_runs", "1"),
    "too many runs": (put("budget", "max_runs", to=10**9 + 1), "budget.max_runs", "at most 1000000000"),
    "too long": (put("budget", "max_seconds", to=1e10), "budget.max_seconds", "at most 1000000000"),
    "runs as a text": (put("budget", "max_runs", to="60"), "budget.max_runs", "whole number"),
    "no parallelism": (put("parallelism", to=0), "parallelism", "at least 1"),
    "parallelism as a text": (put("parallelism", to="2"), "parallelism", 'an integer, got "2"'),
    "parallelism as a truth value": (put("parallelism", to=True), "parallelism", "an integer, got true"),
    "too much parallelism": (put("parallelism", to=10_001), "parallelism", "at most 10000"),
    "a negative seed": (put("seed", to=-1), "seed", "at least 0"),
    "a seed that clients would round": (put("seed", to=2**53), "seed", "at most"),
    "an unknown resource": (put("resources", to={"cpu": 1}), "resources.cpu", 'did you mean "cpus"'),
    "no CPU": (put("resources", to={"cpus": 0}), "resources.cpus", "above 0"),
    "one and a half GPUs": (put("resources", to={"gpus": 1.5}), "resources.gpus", "whole number"),
}


@pytest.fixture
def example() -> dict[str, Any]:
    return copy.deepcopy(EXAMPLE_STUDY)


def test_the_example_is_accepted(api: httpx.Client, example: dict[str, Any]) -> None:
    """So every row of the table fails for its own mistake."""
    assert api.post("studies", json=example).status_code == 201


@pytest.mark.parametrize(("change", "path", "words"), BAD.values(), ids=BAD.keys())
def test_a_mistake_is_named_by_its_path_and_nothing_is_stored(
    api: httpx.Client,
    names: Callable[[], list[str]],
    example: dict[str, Any],
    change: Change,
    path: str,
    words: str,
) -> None:
    change(example)

    answer = api.post("studies", json=example)

    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    errors = {error["path"]: error for error in problem["errors"]}
    assert path in errors
    assert words in errors[path]["message"]
    assert errors[path]["pointer"] == "/" + path.replace(".", "/").replace("[", "/").replace("]", "")
    assert problem["type"] == "urn:assay:invalid-input"
    assert problem["status"] == 422
    assert names() == []


def test_several_mistakes_are_reported_at_once(api: httpx.Client, example: dict[str, Any]) -> None:
    put("space", "parameters", 0, "low", to=0.0)(example)
    put("algorithm", "eta", to=0)(example)
    put("objective", "family", to="lenett")(example)

    problem = api.post("studies", json=example).json()

    paths = [error["path"] for error in problem["errors"]]
    assert paths == ["space.parameters[0].low", "algorithm.eta", "objective.family"]
    assert problem["detail"].startswith("3 problems, the first: space.parameters[0].low: ")


def test_mistakes_of_shape_are_reported_at_once(api: httpx.Client) -> None:
    problem = api.post("studies", json={"nam": "s", "seed": "0", "resources": {"cpus": None}}).json()

    paths = {error["path"] for error in problem["errors"]}
    assert paths == {"name", "space", "objective", "metrics", "seed", "resources.cpus", "nam"}


@pytest.mark.parametrize("payload", [None, [], "study", 7, True])
def test_a_body_that_is_no_object_is_refused(api: httpx.Client, payload: object) -> None:
    answer = api.post("studies", json=payload, headers={"Content-Type": "application/json"})

    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_name_that_is_taken_is_a_conflict(api: httpx.Client, study: dict[str, Any], example: dict[str, Any]) -> None:
    answer = api.post("studies", json={**example, "name": study["name"]})

    assert answer.status_code == 409
    problem = answer.json()
    assert problem["type"] == "urn:assay:name-taken"
    assert problem["errors"][0]["path"] == "name"
    assert [stored["id"] for stored in api.get("studies").json()["items"]] == [study["id"]]


def test_optional_fields_may_be_null(api: httpx.Client, study_payload: dict[str, Any]) -> None:
    assert api.post("studies", json={**study_payload, "budget": None}).status_code == 201


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
paths = st.sampled_from(
    [
        (*path,)
        for path in (
            ["name"],
            ["space"],
            ["space", "parameters"],
            ["space", "parameters", 0],
            ["space", "parameters", 0, "low"],
            ["space", "parameters", 0, "type"],
            ["space", "parameters", 0, "default"],
            ["space", "parameters", 1, "choices"],
            ["space", "parameters", 2, "when"],
            ["space", "parameters", 2, "when", "equals"],
            ["space", "parameters", 2, "when", "parameter"],
            ["space", "parameters", 3, "step"],
            ["space", "fidelity"],
            ["space", "fidelity", "low"],
            ["objective"],
            ["objective", "type"],
            ["objective", "family"],
            ["objective", "dataset"],
            ["metrics"],
            ["metrics", 0],
            ["metrics", 0, "name"],
            ["algorithm"],
            ["algorithm", "name"],
            ["algorithm", "eta"],
            ["algorithm", "stop"],
            ["algorithm", "chosen_because"],
            ["replicates"],
            ["warm_start"],
            ["metrics", 0, "at_most"],
            ["budget"],
            ["budget", "max_seconds"],
            ["parallelism"],
            ["resources"],
            ["resources", "gpus"],
            ["seed"],
        )
    ]
)
bounded = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


def is_answered(answer: httpx.Response) -> bool:
    if answer.status_code == 201:
        return True
    return answer.status_code in (400, 409, 422) and answer.headers["content-type"] == "application/problem+json"


@bounded
@given(payload=json_values)
def test_any_json_is_answered_without_a_fault(api: httpx.Client, payload: object) -> None:
    answer = api.post("studies", json=payload, headers={"Content-Type": "application/json"})

    assert is_answered(answer), answer.text


@bounded
@given(path=paths, value=json_values)
def test_any_value_in_a_study_is_answered_without_a_fault(
    api: httpx.Client, path: tuple[str | int, ...], value: object
) -> None:
    payload = copy.deepcopy(EXAMPLE_STUDY)
    put(*path, to=value)(payload)

    answer = api.post("studies", json=payload)

    assert is_answered(answer), answer.text
    if answer.status_code == 201:
        name = answer.json()["name"]
        assert api.get(f"studies/{name}").status_code == 200
        assert api.post(f"studies/{name}/cancel").status_code == 200
