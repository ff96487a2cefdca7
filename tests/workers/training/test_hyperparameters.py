from __future__ import annotations

from typing import Any

import pytest

from workers.training.hyperparameters import Choice, Flag, Hyperparameter, Integer, Real

LR = Real(name="lr", default=0.01, low=1e-4, high=0.3, log=True, limits=(1e-9, 100), help="")
UNITS = Integer(name="units", default=16, low=8, high=64, limits=(1, 128), help="")
OPTIMIZER = Choice(name="optimizer", default="sgd", choices=("sgd", "adamw"), help="")
KERNEL = Choice(name="kernel", default=3, choices=(3, 5), help="")
NESTEROV = Flag(name="nesterov", default=False, help="", when={"parameter": "optimizer", "equals": "sgd"})
DEEP = Flag(name="deep", default=False, help="", when={"parameter": "units", "gt": 64})


def found(hyperparameter: Hyperparameter, **parameter: Any) -> list[tuple[Any, ...]]:
    return [problem.path for problem in hyperparameter.problems(parameter)]


@pytest.mark.parametrize(
    ("hyperparameter", "parameter", "paths"),
    [
        (LR, {"type": "float", "low": 1e-5, "high": 1.0, "log": True}, []),  # beyond the preset, within the limits
        (LR, {"type": "float", "low": 1e-5, "high": 1000.0}, [("high",)]),
        (LR, {"type": "float", "low": -1, "high": 1000.0}, [("low",), ("high",)]),
        (LR, {"type": "int", "low": 1, "high": 10}, []),
        (LR, {"type": "ordinal", "choices": [0.01, 0.1, 1]}, []),
        (LR, {"type": "categorical", "choices": [0.01, "big", 0]}, [("choices", 1), ("choices", 2)]),
        (LR, {"type": "constant", "value": 0.1}, []),
        (LR, {"type": "constant", "value": True}, [("value",)]),
        (LR, {"type": "bool"}, [("type",)]),
        (UNITS, {"type": "int", "low": 1, "high": 128}, []),
        (UNITS, {"type": "int", "low": 0, "high": 129}, [("low",), ("high",)]),
        (UNITS, {"type": "float", "low": 1.0, "high": 2.0}, [("type",)]),
        (UNITS, {"type": "ordinal", "choices": [8, 16.0, 24.5]}, [("choices", 2)]),
        (OPTIMIZER, {"type": "categorical", "choices": ["adamw", "adam"]}, [("choices", 1)]),
        (OPTIMIZER, {"type": "constant", "value": "sgd"}, []),
        (OPTIMIZER, {"type": "float", "low": 0.0, "high": 1.0}, [("type",)]),
        (KERNEL, {"type": "ordinal", "choices": [3, 5]}, []),
        (KERNEL, {"type": "ordinal", "choices": [3, 4]}, [("choices", 1)]),
        (KERNEL, {"type": "int", "low": 3, "high": 5}, [("type",)]),
        (NESTEROV, {"type": "bool"}, []),
        (NESTEROV, {"type": "categorical", "choices": [True, 1]}, [("choices", 1)]),
        (NESTEROV, {"type": "int", "low": 0, "high": 1}, [("type",)]),
        # what is no parameter at all is left to the space
        (LR, {"type": "float", "low": "x"}, []),
        (LR, {"type": "gaussian"}, []),
        (LR, {"type": "categorical", "choices": "sgd"}, []),
        (OPTIMIZER, {"type": "categorical", "choices": [["sgd"], None]}, []),
    ],
)
def test_which_values_of_a_study_cannot_be_taken(
    hyperparameter: Hyperparameter, parameter: dict[str, Any], paths: list[Any]
) -> None:
    assert found(hyperparameter, **parameter) == paths


def test_a_message_suggests_the_near_choice() -> None:
    (problem,) = OPTIMIZER.problems({"type": "constant", "value": "adamW"})
    assert "adamw" in problem.message
    assert "sgd" in problem.message


@pytest.mark.parametrize(
    ("hyperparameter", "space", "readable"),
    [
        (LR, {}, True),
        (NESTEROV, {}, False),  # the default optimizer below is adamw
        (NESTEROV, {"optimizer": {"type": "categorical", "choices": ["sgd", "adamw"]}}, True),
        (NESTEROV, {"optimizer": {"type": "constant", "value": "adamw"}}, False),
        (NESTEROV, {"optimizer": {"type": "constant", "value": "sgd", "when": {"parameter": "x", "gt": 1}}}, True),
        (DEEP, {"units": {"type": "int", "low": 1, "high": 64}}, False),
        (DEEP, {"units": {"type": "int", "low": 1, "high": 65}}, True),
    ],
)
def test_whether_a_space_ever_reads_it(
    hyperparameter: Hyperparameter, space: dict[str, dict[str, Any]], readable: bool
) -> None:
    assert hyperparameter.readable(space, {"optimizer": "adamw", "units": 16}) is readable


@pytest.mark.parametrize(
    ("hyperparameter", "given", "read"),
    [(LR, 1, 1.0), (UNITS, 16.0, 16), (OPTIMIZER, "sgd", "sgd"), (KERNEL, 3.0, 3), (NESTEROV, True, True)],
)
def test_values_are_read_in_their_own_type(hyperparameter: Hyperparameter, given: Any, read: Any) -> None:
    value = hyperparameter.read(given)
    assert value == read
    assert type(value) is type(read)
