"""To Optuna's distributions and back."""

from typing import Any

import numpy as np
import pytest

from spaces import Bool, Categorical, Constant, Float, Inexpressible, Integer, Space
from spaces.convert.optuna import from_optuna, to_optuna

distributions = pytest.importorskip("optuna.distributions", reason="the optional package that this converts to")

SPACE = Space(
    (
        Float("lr", 1e-5, 1e-1, log=True),
        Float("dropout", 0, 0.5, step=0.1),
        Float("x", -1, 1),
        Integer("n", 1, 8, log=True),
        Integer("m", 1, 9, step=2),
        Categorical("opt", ("sgd", "adam", 1.5)),
        Bool("flag"),
        Constant("k", "fixed"),
    )
)


N = {"name": "n", "type": "int", "low": 1, "high": 4}


def _x(**fields: object) -> dict[str, Any]:
    return {"parameters": [N, {"name": "x", **fields}]}


def test_round_trip() -> None:
    converted = to_optuna(SPACE)
    assert list(converted) == [parameter.name for parameter in SPACE]
    assert from_optuna(converted) == SPACE
    assert converted["lr"] == distributions.FloatDistribution(1e-5, 1e-1, log=True)
    assert converted["m"] == distributions.IntDistribution(1, 9, step=2)


def test_values_are_theirs_too() -> None:
    converted, rng = to_optuna(SPACE), np.random.default_rng(0)
    for _ in range(100):
        for name, value in SPACE.sample(rng).items():
            distribution = converted[name]
            assert distribution._contains(distribution.to_internal_repr(value))


@pytest.mark.parametrize(
    ("written", "path", "message"),
    [
        ({"fidelity": {"name": "r", "low": 1, "high": 9}}, ("fidelity",), "loss of 'fidelity'"),
        ({"constraints": [{"linear": {"n": 1}, "le": 3}]}, ("constraints",), "loss of 'constraints'"),
        (_x(type="bool", mutable=False), ("parameters", 1, "mutable"), "loss of 'mutable'"),
        (_x(type="ordinal", choices=["s", "m"]), ("parameters", 1, "type"), "loss of 'order'"),
        (_x(type="bool", default=True), ("parameters", 1, "default"), "loss of 'default'"),
        (_x(type="bool", prior={"mode": True}), ("parameters", 1, "prior"), "loss of 'prior'"),
        (_x(type="bool", when={"parameter": "n", "gt": 2}), ("parameters", 1, "when"), "loss of 'conditions'"),
        (_x(type="int", low=2, high=8, step=2, log=True), ("parameters", 1, "step"), "no steps on a log"),
        (_x(type="float", low=0, high=1, step=1 / 3), ("parameters", 1, "step"), "do not lead to high"),
        (_x(type="categorical", choices=[1, True]), ("parameters", 1, "choices"), "takes true for 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_expressed(written: dict[str, Any], path: tuple[str | int, ...], message: str) -> None:
    with pytest.raises(Inexpressible) as caught:
        to_optuna(Space.from_json({"parameters": [N], **written}))
    (problem,) = caught.value.problems
    assert problem.path == path
    assert message in problem.message


def test_accepted_losses() -> None:
    space = Space.from_json(
        {
            "parameters": [
                {"name": "n", "type": "int", "low": 1, "high": 4, "default": 2, "prior": {"mode": 2}},
                {"name": "o", "type": "ordinal", "choices": ["s", "m"], "when": {"parameter": "n", "gt": 2}},
            ],
            "fidelity": {"name": "r", "low": 1, "high": 9},
        }
    )
    assert from_optuna(to_optuna(space, lossy=("fidelity", "default", "prior", "conditions", "order"))) == Space(
        (Integer("n", 1, 4), Categorical("o", ("s", "m")))
    )


def test_what_has_no_counterpart() -> None:
    given = {"c": distributions.CategoricalDistribution(("a", None)), "x": 3}
    with pytest.raises(Inexpressible) as caught:
        from_optuna(given)
    assert {problem.path for problem in caught.value.problems} == {("c", "choices", 1), ("x",)}
