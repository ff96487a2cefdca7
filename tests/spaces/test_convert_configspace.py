"""To ConfigSpace and back."""

from typing import Any

import numpy as np
import pytest

from spaces import Inexpressible, InvalidInput, Space
from spaces.convert.configspace import from_configspace, to_configspace

ConfigSpace = pytest.importorskip("ConfigSpace", reason="the optional package that this converts to")

SGD = {"parameter": "opt", "equals": "sgd"}
WRITTEN: dict[str, Any] = {
    "parameters": [
        {"name": "z", "type": "float", "low": 1e-4, "high": 0.3, "log": True},
        {"name": "opt", "type": "categorical", "choices": ["sgd", "adam", "lion"]},
        {"name": "mom", "type": "float", "low": 0, "high": 1, "default": 0.9, "when": SGD},
        {"name": "n", "type": "int", "low": 1, "high": 10},
        {"name": "big", "type": "int", "low": 1, "high": 100000, "log": True},
        {
            "name": "b",
            "type": "bool",
            "when": {"all": [{"parameter": "n", "gt": 3}, {"parameter": "opt", "in": ["sgd", "adam"]}]},
        },
        {
            "name": "size",
            "type": "ordinal",
            "choices": ["s", "m", "l"],
            "default": "l",
            "when": {"any": [{"parameter": "big", "gt": 499}, {"parameter": "mom", "gt": 0.5}]},
        },
        {"name": "k", "type": "constant", "value": 3},
        {"name": "leaf", "type": "int", "low": 1, "high": 3, "when": {"parameter": "size", "lt": "l"}},
    ],
    "constraints": [
        {"forbid": {"all": [{"parameter": "opt", "equals": "adam"}, {"parameter": "n", "in": [7, 8]}]}},
        {"forbid": {"parameter": "n", "gt": {"parameter": "big"}}},
        {"forbid": {"parameter": "mom", "lt": 0.05}},
    ],
}


def _only(**fields: object) -> dict[str, Any]:
    return {"parameters": [{"name": "x", **fields}]}


def _plain(configuration: Any) -> dict[str, Any]:
    return {name: value.item() if hasattr(value, "item") else value for name, value in dict(configuration).items()}


def test_round_trip() -> None:
    space = Space.from_json(WRITTEN)
    assert from_configspace(to_configspace(space)) == space


def test_round_trip_of_what_is_not_mutable() -> None:
    space = Space.from_json(_only(type="int", low=1, high=4, mutable=False))
    assert from_configspace(to_configspace(space)) == space


def test_round_trip_of_priors() -> None:
    space = Space.from_json(
        {
            "parameters": [
                {"name": "lr", "type": "float", "low": 1e-4, "high": 0.3, "log": True, "prior": {"mode": 1e-2}},
                {"name": "x", "type": "float", "low": 0, "high": 8, "prior": {"mode": 2, "confidence": "high"}},
                {"name": "n", "type": "int", "low": 1, "high": 10, "prior": {"mode": 4, "confidence": "low"}},
                {"name": "c", "type": "categorical", "choices": ["a", "b", "c"], "prior": {"mode": "b"}},
                {"name": "w", "type": "categorical", "choices": [1, 2, 4], "prior": {"weights": [1, 2, 5]}},
                {"name": "f", "type": "bool", "prior": {"mode": True, "confidence": "high"}},
            ]
        }
    )
    converted = to_configspace(space)
    assert from_configspace(converted) == space
    # and it means the same: the densities differ by a factor only
    for name in ("lr", "x"):
        u = np.array([0.1, 0.4, 0.9])
        theirs = converted[name]._vector_dist.pdf_vector(u)
        points = np.full((3, len(space)), np.nan)
        points[:, [parameter.name for parameter in space].index(name)] = u
        ours = np.exp(space.prior.log_density(points))
        assert ours / ours[0] == pytest.approx(theirs / theirs[0], rel=1e-6)


def test_both_draw_what_the_other_takes() -> None:
    space = Space.from_json(WRITTEN)
    converted = to_configspace(space)
    converted.seed(1)
    for configuration in converted.sample_configuration(200):
        space.validate(_plain(configuration))
    rng = np.random.default_rng(0)
    for _ in range(200):
        ConfigSpace.Configuration(converted, values=space.sample(rng)).check_valid_configuration()


def test_what_is_said_in_other_words() -> None:
    """Negations of what is always active, unions in clauses, bounds of integers: the same set, written otherwise."""
    b = {"parameter": "c", "in": ["b"]}
    parameters = [
        {"name": "n", "type": "int", "low": 1, "high": 10},
        {"name": "c", "type": "categorical", "choices": ["a", "b", "c"]},
        {"name": "x", "type": "bool", "when": {"not": {"parameter": "c", "equals": "a"}}},
        {"name": "y", "type": "bool", "when": {"not": {"any": [{"parameter": "n", "ge": 4}, b]}}},
        {"name": "w", "type": "bool", "when": {"parameter": "n", "le": 9.5}},
    ]  # fmt: skip
    clause = {"any": [{"parameter": "n", "ge": 9}, {"not": {"parameter": "c", "in": ["a", "b"]}}]}
    space = Space.from_json({"parameters": parameters, "constraints": [{"forbid": clause}]})
    back = from_configspace(to_configspace(space))
    assert {space.key(config) for config in space.enumerate()} == {back.key(config) for config in back.enumerate()}


def test_from_their_own() -> None:
    theirs = ConfigSpace.ConfigurationSpace(seed=0)
    a = ConfigSpace.Categorical("a", ["x", "y", "z"])
    b = ConfigSpace.Integer("b", (1, 8), log=True)
    c = ConfigSpace.Float("c", (0.0, 1.0))
    d = ConfigSpace.Float("d", (0.0, 1.0))
    theirs.add([a, b, c, d])
    theirs.add(ConfigSpace.NotEqualsCondition(c, a, "x"))
    theirs.add(ConfigSpace.ForbiddenAndConjunction(
        ConfigSpace.ForbiddenEqualsClause(a, "y"), ConfigSpace.ForbiddenInClause(b, [1, 2])
    ))  # fmt: skip
    theirs.add(ConfigSpace.ForbiddenLessThanRelation(c, d))
    space = from_configspace(theirs)
    assert space["c"].to_json()["when"] == {"parameter": "a", "in": ["y", "z"]}
    assert [constraint.described for constraint in space.constraints] == [
        'not (a = "y" and b in [1, 2])',
        "not (c < d)",
    ]
    for configuration in theirs.sample_configuration(100):
        space.validate(_plain(configuration))


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        ({"fidelity": {"name": "r", "low": 1, "high": 9}}, ("fidelity",), "accept the loss of 'fidelity'"),
        (_only(type="float", low=0, high=1, step=0.5), ("parameters", 0, "step"), "no steps"),
        (_only(type="float", low=1e-15, high=1), ("parameters", 0, "low"), "13 decimals"),
        (_only(type="categorical", choices=[1, True]), ("parameters", 0, "choices"), "true for 1"),
        (_only(type="ordinal", choices=[1, 2], prior={"mode": 1}), ("parameters", 0, "prior"), "priors of ordinals"),
        (
            {
                "parameters": [
                    {"name": "x", "type": "float", "low": 0, "high": 1},
                    {"name": "y", "type": "bool", "when": {"parameter": "x", "ge": 0.5}},
                ]
            },
            ("parameters", 1, "when"),
            "without the bound itself",
        ),
        (
            {"constraints": [{"linear": {"n": 1}, "le": 9}]},
            ("constraints", 0),
            "no sums of parameters",
        ),
        (
            {"constraints": [{"forbid": {"not": {"parameter": "mom", "gt": 0.5}}}]},
            ("constraints", 0),
            "while mom is inactive",
        ),
        (
            {"constraints": [{"forbid": {"any": [{"parameter": "mom", "gt": 0.95}, {"parameter": "n", "gt": 9}]}}]},
            ("constraints", 0),
            "while mom is inactive",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_expressed(change: dict[str, Any], path: tuple[str | int, ...], message: str) -> None:
    written = {**WRITTEN, "constraints": [], **change}
    with pytest.raises(Inexpressible) as caught:
        to_configspace(Space.from_json(written))
    assert {problem.path for problem in caught.value.problems} == {path}
    assert message in caught.value.problems[0].message


def test_accepted_losses() -> None:
    space = Space.from_json({**WRITTEN, "fidelity": {"name": "r", "low": 1, "high": 9}})
    back = from_configspace(to_configspace(space, lossy=("fidelity", "conditions", "constraints")))
    assert back.fidelity is None
    assert back.constraints == ()
    assert all(parameter.when is None for parameter in back)
    with pytest.raises(ValueError, match="unknown kinds of loss"):
        to_configspace(space, lossy=("all",))


def test_what_has_no_counterpart() -> None:
    theirs = ConfigSpace.ConfigurationSpace()
    theirs.add(ConfigSpace.BetaFloatHyperparameter("x", alpha=2, beta=3, lower=0, upper=1))
    theirs.add(ConfigSpace.CategoricalHyperparameter("c", [(1, 2), (3, 4)]))
    with pytest.raises(InvalidInput) as caught:
        from_configspace(theirs)
    assert {problem.path[0] for problem in caught.value.problems} == {"x", "c"}
