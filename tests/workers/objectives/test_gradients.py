"""What `check` says where hyperparameters shall be tuned by gradients."""

from __future__ import annotations

from typing import Any

import pytest

from spaces.errors import Problem
from workers.objectives import check

DECAY = {"name": "weight_decay", "type": "float", "low": 1e-6, "high": 0.1, "log": True}


def problems(parameters: list[Any], family: str = "mlp", dataset: Any = "digits", **more: Any) -> list[Problem]:
    metric = more.pop("metric", {"name": "val_accuracy", "direction": "maximize"})
    return check(
        {
            "space": {"parameters": parameters},
            "objective": {"type": "train", "family": family, "dataset": dataset, **more},
            "metrics": [metric],
            "algorithm": {"name": "hypergradient"},
        }
    )


@pytest.mark.parametrize("name", ["dropout", "lr", "input_dropout"])
def test_what_no_loss_is_differentiated_by_is_refused_with_what_can_be(name: str) -> None:
    (problem,) = problems([DECAY, {"name": name, "type": "float", "low": 0.1, "high": 0.5}])
    assert problem.path == ("space", "parameters", 1)
    assert f"hypergradient cannot vary {name}" in problem.message
    assert "fix it, as a constant" in problem.message
    assert '"label_smoothing"' in problem.message
    assert not problems([DECAY, {"name": name, "type": "constant", "value": 0.1}])


def test_images_have_more_than_tables() -> None:
    shift = {"name": "shift", "type": "float", "low": 0, "high": 0.2}
    manual = {"name": "augmentation", "type": "constant", "value": "manual"}
    assert not problems([DECAY, shift, manual])
    (unread,) = problems([DECAY, shift])
    assert "is read only where augmentation is" in unread.message
    assert problems([DECAY, shift, manual], dataset="wine")


@pytest.mark.parametrize(
    ("family", "dataset", "metric"),
    [
        ("policy_gradient", "cartpole", {"name": "val_return", "direction": "maximize"}),
        ("char_lm", "pydoc_text", {"name": "val_bpc", "direction": "minimize"}),
    ],
)
def test_families_that_do_not_descend_on_one_loss_are_refused(family: str, dataset: str, metric: Any) -> None:
    found = problems([{"name": "gamma", "type": "constant", "value": 0.9}], family, dataset, metric=metric)
    assert ("objective", "family") in [problem.path for problem in found]


def test_lbfgs_is_refused() -> None:
    fixed = [
        {"name": "optimizer", "type": "constant", "value": "lbfgs"},
        {"name": "decay", "type": "constant", "value": "l2"},
    ]
    (problem,) = problems([DECAY, *fixed])
    assert problem.path == ("space", "parameters", 1, "value")
    assert "lbfgs has few" in problem.message


@pytest.mark.parametrize("parameters", [None, "these", [None, 3, {"type": "float"}]])
def test_spaces_that_are_none_are_left_to_those_who_read_them(parameters: Any) -> None:
    assert all(problem.path[0] == "space" for problem in problems(parameters))


@pytest.mark.parametrize("objective", [{"type": "command", "command": "python train.py"}, {"type": "external"}])
def test_only_a_built_in_family_has_a_loss_to_descend_on(objective: dict[str, Any]) -> None:
    found = check(
        {
            "space": {"parameters": [DECAY]},
            "objective": objective,
            "metrics": [{"name": "loss", "direction": "minimize"}],
            "algorithm": {"name": "hypergradient"},
        }
    )
    assert ("objective", "type") in [problem.path for problem in found]
