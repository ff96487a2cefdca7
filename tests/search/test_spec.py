"""Studies are read whole: every problem at once, each with its path and the way out."""

import copy

import pytest

from search import ALGORITHMS, History, Run, StudySpec, ask
from search.algorithms import Algorithm
from search.spec import refusals
from spaces import InvalidInput, Space

STUDY = {
    "space": {
        "parameters": [
            {"name": "lr", "type": "float", "low": 1e-4, "high": 0.3, "log": True},
            {"name": "optimizer", "type": "categorical", "choices": ["sgd", "adamw"]},
            {
                "name": "momentum", "type": "float", "low": 0.0, "high": 0.99,
                "when": {"parameter": "optimizer", "equals": "sgd"},
            },
        ],
        "fidelity": {"name": "epochs", "low": 1, "high": 27},
    },
    "algorithm": {"name": "hyperband", "eta": 3},
    "metrics": [{"name": "val_accuracy", "direction": "maximize"}],
    "budget": {"max_runs": 60},
    "parallelism": 2,
    "seed": 0,
}  # fmt: skip


def changed(path, value):
    """STUDY with the value at `path` replaced."""
    study = copy.deepcopy(STUDY)
    at = study
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return study


def without(*path):
    study = copy.deepcopy(STUDY)
    at = study
    for step in path[:-1]:
        at = at[step]
    del at[path[-1]]
    return study


def problems(study):
    with pytest.raises(InvalidInput) as caught:
        StudySpec.from_json(study)
    return {problem.path: problem.message for problem in caught.value.problems}


def test_a_study_is_read_with_its_defaults():
    spec = StudySpec.from_json(STUDY)
    assert spec.algorithm.name == "hyperband"
    assert spec.algorithm.options == {"eta": 3, "rounding": "ceil", "max_open_brackets": 4}
    assert [(metric.name, metric.direction, metric.sign) for metric in spec.metrics] == [
        ("val_accuracy", "maximize", -1)
    ]
    assert (spec.budget.max_runs, spec.budget.max_trials, spec.budget.target) == (60, None, None)
    assert (spec.parallelism, spec.seed, spec.space.fidelity.high) == (2, 0, 27)
    assert spec == StudySpec.from_json(copy.deepcopy(STUDY))
    assert spec.advice == ()


def test_budget_parallelism_and_seed_may_be_left_out():
    spec = StudySpec.from_json({key: STUDY[key] for key in ("space", "algorithm", "metrics")})
    assert (spec.budget.max_runs, spec.parallelism, spec.seed) == (None, 1, 0)


@pytest.mark.parametrize(
    ("path", "value", "culprit", "message"),
    [
        (
            ("algorithm", "name"),
            "hyperbnd",
            ("algorithm", "name"),
            'did you mean "hyperband"? (known: "auto", "random", "grid"',
        ),
        (("algorithm", "name"), ["random"], ("algorithm", "name"), 'known: "auto", "random", "grid"'),
        (("algorithm",), "random", ("algorithm",), '{"name": "random"}'),
        (("algorithm",), {}, ("algorithm", "name"), "is required"),
        (("algorithm", "eta"), 1, ("algorithm", "eta"), "at least 1.5 and at most 1000, got 1"),
        (("algorithm", "eta"), "3", ("algorithm", "eta"), 'a finite number of at least 1.5 and at most 1000, got "3"'),
        (("algorithm", "eta"), True, ("algorithm", "eta"), "got true"),
        (("algorithm", "eta"), float("nan"), ("algorithm", "eta"), "got NaN"),
        (("algorithm", "eta"), 10**400, ("algorithm", "eta"), "a finite number"),
        (("algorithm", "eta"), 1001, ("algorithm", "eta"), "at most 1000, got 1001"),
        (("algorithm", "etta"), 3, ("algorithm", "etta"), 'did you mean "eta"?'),
        (("algorithm", "rounding"), "cel", ("algorithm", "rounding"), 'unknown value "cel"; did you mean "ceil"?'),
        (("algorithm", "max_open_brackets"), 0, ("algorithm", "max_open_brackets"), "at least 1"),
        (("algorithm", "max_open_brackets"), 1.5, ("algorithm", "max_open_brackets"), "a whole number"),
        (("metrics",), [], ("metrics",), "expected a list such as"),
        (("metrics",), "loss", ("metrics",), "expected a list such as"),
        (("metrics", 0), "loss", ("metrics", 0), "an object with name and direction"),
        (("metrics", 0, "direction"), "max", ("metrics", 0, "direction"), 'known: "minimize", "maximize"'),
        (("metrics", 0, "name"), "", ("metrics", 0, "name"), "a text of 1 to 100"),
        (("metrics", 0, "goal"), 1, ("metrics", 0, "goal"), "unknown field"),
        (("budget", "max_runs"), 0, ("budget", "max_runs"), "at least 1"),
        (("budget", "max_runs"), "60", ("budget", "max_runs"), "a whole number"),
        (("budget", "max_runs"), 10**9 + 1, ("budget", "max_runs"), "at most 1000000000, got 1000000001"),
        (("budget", "max_run"), 60, ("budget", "max_run"), 'did you mean "max_runs"?'),
        (("budget", "max_fidelity"), 0, ("budget", "max_fidelity"), "above 0"),
        (("budget", "max_seconds"), -1.5, ("budget", "max_seconds"), "above 0"),
        (("budget", "target"), float("inf"), ("budget", "target"), "a finite number"),
        (("budget",), 60, ("budget",), '{"max_runs": 60}'),
        (("parallelism",), 0, ("parallelism",), "at least 1"),
        (("seed",), -1, ("seed",), "at least 0"),
        (("seed",), "abc", ("seed",), "a whole number"),
        (("sede",), 1, ("sede",), 'did you mean "seed"?'),
        (("space", "parameters", 0, "low"), 1, ("space", "parameters", 0, "low"), ""),
    ],
)
def test_a_problem_has_its_path_and_the_way_out(path, value, culprit, message):
    found = problems(changed(path, value))
    assert list(found) == [culprit]
    assert message in found[culprit]


@pytest.mark.parametrize("path", [("space",), ("metrics",), ("metrics", 0, "direction")])
def test_what_is_missing_is_named(path):
    assert list(problems(without(*path))) == [path]


@pytest.mark.parametrize("study", [None, [], "study", 3])
def test_a_study_is_an_object(study):
    assert "expected an object" in problems(study)[()]


def test_hyperband_without_a_fidelity_is_refused_with_the_algorithms_that_do_without():
    found = problems(without("space", "fidelity"))
    assert list(found) == [("space", "fidelity")]
    assert "hyperband needs a fidelity" in found["space", "fidelity"]
    assert "random" in found["space", "fidelity"]


def test_a_metric_is_named_once():
    found = problems(changed(("metrics",), STUDY["metrics"] * 2) | {"algorithm": {"name": "random"}})
    assert list(found) == [("metrics", 1, "name")]


def test_hyperband_ranks_by_one_metric():
    metrics = [*STUDY["metrics"], {"name": "seconds", "direction": "minimize"}]
    assert "random" in problems(changed(("metrics",), metrics))["metrics",]
    assert len(StudySpec.from_json(changed(("metrics",), metrics) | {"algorithm": {"name": "random"}}).metrics) == 2


def test_all_problems_are_reported_at_once():
    study = {
        "space": {"parameters": [{"name": "lr", "type": "float", "low": 2.0, "high": 1.0}]},
        "algorithm": {"name": "random", "eta": 3},
        "metrics": [{"name": "loss"}],
        "budget": {"max_runs": -1, "nonsense": 1},
        "seed": 0.5,
        "name": "unwanted",
    }
    expected = {
        ("name",), ("algorithm", "eta"), ("metrics", 0, "direction"), ("budget", "max_runs"), ("budget", "nonsense"),
        ("seed",),
    }  # fmt: skip
    found = problems(study)
    assert expected < set(found)
    assert {path[:3] for path in set(found) - expected} == {("space", "parameters", 0)}


def test_whole_floats_are_integers_and_null_is_left_out():
    spec = StudySpec.from_json(changed(("budget",), {"max_runs": 60.0, "max_trials": None}))
    assert (spec.budget.max_runs, spec.budget.max_trials) == (60, None)
    assert isinstance(spec.budget.max_runs, int)


def test_an_algorithm_that_cannot_serve_the_study_is_refused():
    random = ALGORITHMS["random"]
    weak = Algorithm("weak", "", "", random.sampler, random.scheduler, conditions=False, pending=False)
    space = Space.from_json(STUDY["space"])
    found = {problem.path: problem.message for problem in refusals(weak, space, metrics=1, parallelism=2)}
    assert set(found) == {("space", "parameters", 2, "when"), ("parallelism",)}
    assert all("random" in message and "hyperband" in message for message in found.values())


def test_the_advice_begins_with_the_space():
    study = copy.deepcopy(STUDY)
    study["space"]["parameters"] = [{"name": "x", "type": "float", "low": 0.001, "high": 10}]
    study["space"]["fidelity"] = {"name": "epochs", "low": 2, "high": 3}
    assert [advice.path for advice in StudySpec.from_json(study).advice] == [
        ("space", "parameters", 0, "log"),
        ("space", "fidelity"),
    ]


def test_a_study_that_need_not_end_gets_advice():
    def advice(algorithm="random", parameters=None, **more):
        study = {**STUDY, "algorithm": {"name": algorithm}, "budget": {}, **more}
        study["space"] = {**STUDY["space"], "parameters": parameters or STUDY["space"]["parameters"]}
        return {problem.path: problem.message for problem in StudySpec.from_json(study).advice}

    finite = [{"name": "batch", "type": "int", "low": 1, "high": 64}]
    assert advice()["budget",].startswith("no limit: it goes on until it is cancelled")
    assert "until its target is reached or it is cancelled" in advice(budget={"target": 0.9})["budget",]
    for limit in ({"max_runs": 5}, {"max_trials": 5}, {"max_fidelity": 50}, {"max_seconds": 5}):
        assert not advice(budget=limit)
    assert not advice("grid")
    assert not advice(parameters=finite)
    assert ("budget",) in advice("pbt", parameters=finite), "copies take no new config"
    assert ("budget",) in advice(parameters=[{**finite[0], "name": f"x{i}"} for i in range(6)]), "as good as infinite"


@pytest.mark.parametrize(
    ("algorithm", "fidelity", "enough"),
    [
        ({"name": "random"}, {"name": "epochs", "low": 1, "high": 27}, 27),
        ({"name": "random"}, None, 1),
        ({"name": "hyperband"}, {"name": "epochs", "low": 2, "high": 54}, 2),
        ({"name": "priorband"}, {"name": "epochs", "low": 2, "high": 54}, 2),
        ({"name": "pbt", "interval": 3}, {"name": "epochs", "low": 1, "high": 27}, 3),
        ({"name": "random"}, {"name": "share", "type": "float", "low": 0.1, "high": 0.3}, 0.3),
    ],
)
def test_a_budget_that_pays_for_no_run_is_refused(algorithm, fidelity, enough):
    lr = {**STUDY["space"]["parameters"][0], "prior": {"mode": 0.01, "confidence": "medium"}}
    study = {**STUDY, "space": {"parameters": [lr], "fidelity": fidelity}, "algorithm": algorithm, "parallelism": 1}
    little = {**study, "budget": {"max_fidelity": 0.99 * enough}}
    found = problems(little)
    assert list(found) == [("budget", "max_fidelity")]
    assert f"must be at least {enough:g}, " in found["budget", "max_fidelity"]
    StudySpec.from_json(little, stored=True)
    assert isinstance(ask(StudySpec.from_json({**study, "budget": {"max_fidelity": enough}}), History()), Run)


def test_what_was_left_out_can_be_written_and_read_again():
    study = {**STUDY, "algorithm": None, "replicates": {"top": 2}}
    study["metrics"] = [*STUDY["metrics"], {"name": "size", "at_most": 5}]
    spec = StudySpec.from_json(study)
    written = {
        **study,
        "algorithm": spec.algorithm.to_json(),
        "metrics": [metric.to_json() for metric in spec.metrics],
        "replicates": spec.replicates.to_json(),
    }
    assert written["metrics"][1] == {"name": "size", "direction": "minimize", "at_most": 5}
    assert StudySpec.from_json(written) == spec
