"""A study that an algorithm cannot serve is refused at creation, with the names of those that can, and do."""

import itertools
import re

import pytest

from search import ALGORITHMS, StudySpec
from search.testbed import ANYWHERE
from spaces import InvalidInput

X = {"name": "x", "type": "float", "low": 0, "high": 1}
PARAMETERS = [
    {"name": "kind", "type": "categorical", "choices": ["a", "b"]},
    {"name": "y", "type": "float", "low": 0, "high": 1, "when": {"parameter": "kind", "equals": "a"}},
]
METRICS = [{"name": "loss", "direction": "minimize"}, {"name": "gain", "direction": "maximize"}]
STUDIES = [
    {
        "space": {"parameters": [{**X, **prior}, *PARAMETERS], **fidelity},
        "metrics": METRICS[:metrics],
        "parallelism": parallelism,
    }
    for prior, fidelity, metrics, parallelism in itertools.product(
        ({}, {"prior": {"mode": 0.5}}), ({}, {"fidelity": {"name": "epochs", "low": 1, "high": 9}}), (1, 2), (1, 4)
    )
]


def problems(study, algorithm):
    try:
        StudySpec.from_json({**study, "algorithm": {"name": algorithm}})
    except InvalidInput as refused:
        return refused.problems
    return ()


@pytest.mark.parametrize("study", STUDIES)
def test_the_names_in_a_refusal_are_those_that_can(study):
    able = {name for name in ALGORITHMS if not problems(study, name)}
    assert "random" in able
    for name in ALGORITHMS.keys() - able:
        for problem in problems(study, name):
            _, _, listed = problem.message.partition("algorithms that can: ")
            named = set(re.findall(r'"([a-z0-9-]+)"', listed))
            assert named <= able
            assert named == able or "..." in listed, "long lists are cut"
            assert problem.path[:2] in (("space", "fidelity"), ("space", "parameters"), ("metrics",))


def test_every_reason_is_told_at_once():
    assert {problem.path for problem in problems(STUDIES[2], "priorband")} == {
        ("space", "fidelity"), ("space", "parameters"), ("metrics",),
    }  # fmt: skip


@pytest.mark.parametrize("algorithm", ANYWHERE)
def test_constraints_that_nothing_keeps_are_refused_with_a_witness(algorithm):
    space = {
        "parameters": [{**X, "low": 0.6, "prior": {"mode": 0.7}}, {**X, "name": "y", "low": 0.5}],
        "fidelity": {"name": "epochs", "low": 1, "high": 9},
        "constraints": [{"linear": {"x": 1, "y": 1}, "le": 1.0}],
    }
    with pytest.raises(InvalidInput) as refused:
        StudySpec.from_json({"space": space, "algorithm": {"name": algorithm}, "metrics": METRICS[:1]})
    witness = [problem for problem in refused.value.problems if problem.path == ("space", "constraints", 0)]
    assert "no config can keep" in witness[0].message
    assert "x + y <= 1" in witness[0].message
    assert "x >= 0.6, y >= 0.5" in witness[0].message
