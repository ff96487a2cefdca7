"""A training that begins with the weights of another config."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from workers.protocol import Assignment, Failure, FailureClass
from workers.training.inheritance import copy_common
from workers.training.loop import build
from workers.training.plan import Plan

PLAIN = {"optimizer": "sgd", "schedule": "constant", "warmup": 0, "norm": "none", "lr": 0.05}
STILL = {**PLAIN, "lr": 1e-12}


def learner(config: dict[str, Any], seed: int) -> Any:
    objective = {"type": "train", "family": "mlp", "dataset": "digits"}
    return build(Plan.of(Assignment("1", objective, config, seed, ("epochs", 1, 1))), seed)


@pytest.fixture
def parent(train: Callable[..., Any], tmp_path: Path) -> Path:
    train("mlp", {**PLAIN, "width": 16, "depth": 2}, 2, 9, checkpoint=tmp_path / "parent")
    return tmp_path / "parent"


def test_what_has_the_same_name_and_shape_goes_over_bit_by_bit_and_of_others_the_common_part() -> None:
    parent, child = learner({"width": 16, "depth": 2}, 1), learner({"width": 24, "depth": 3}, 2)
    drawn = {name: tensor.clone() for name, tensor in child.state_dict().items()}
    child.inherit(parent.state_dict(), {}, torch.Generator())
    given, taken = parent.state_dict(), child.state_dict()
    assert given.keys() < taken.keys(), "it has a layer more"
    for name, tensor in taken.items():
        if name not in given:
            assert torch.equal(tensor, drawn[name])
            continue
        common = tuple(slice(min(a, b)) for a, b in zip(tensor.shape, given[name].shape, strict=True))
        assert torch.equal(tensor[common], given[name][common])
        rest = torch.ones_like(tensor, dtype=torch.bool)
        rest[common] = False
        assert torch.equal(tensor[rest], drawn[name][rest])
    same = learner({"width": 16, "depth": 2}, 3)
    same.inherit(given, {}, torch.Generator())
    assert all(torch.equal(tensor, given[name]) for name, tensor in same.state_dict().items())


def test_tensors_of_other_dimensions_stay_as_they_are() -> None:
    mine = {"a": torch.zeros(2, 2), "b": torch.zeros(3)}
    copy_common(mine, {"a": torch.ones(4), "b": torch.ones(2)})
    assert mine["a"].sum() == 0
    assert mine["b"].tolist() == [1, 1, 0]


def test_a_training_begins_with_the_weights_at_epoch_0(parent: Path, train: Callable[..., Any], tmp_path: Path) -> None:
    config = {**STILL, "width": 16, "depth": 2}
    child = train("mlp", config, 1, 9, seed=7, inherit_from=parent, checkpoint=tmp_path / "child")
    assert [report.step for report in child.reports] == [1]
    weights, given = load_file(tmp_path / "child"), load_file(parent)
    moved = [float((weights[n] - given[n]).abs().max()) for n in given if n.startswith("model/network")]
    assert max(moved) < 1e-6
    alone = train("mlp", config, 1, 9, seed=7)
    assert child.result.metrics["val_accuracy"] > alone.result.metrics["val_accuracy"] + 0.3


def test_what_goes_on_has_inherited_before(parent: Path, train: Callable[..., Any], tmp_path: Path) -> None:
    config = {**PLAIN, "width": 24}
    straight = train("mlp", config, 2, 2, seed=7, inherit_from=parent)
    train("mlp", config, 1, 2, seed=7, inherit_from=parent, checkpoint=tmp_path / "half")
    rest = train("mlp", config, 2, 2, seed=7, inherit_from=tmp_path / "gone", resume_from=tmp_path / "half")
    assert rest.result.metrics == straight.result.metrics


def test_weights_that_are_gone_or_of_another_family_are_a_clear_failure(
    parent: Path, train: Callable[..., Any], tmp_path: Path
) -> None:
    for family, path in (("mlp", tmp_path / "nothing"), ("linear", parent)):
        with pytest.raises(Failure, match="the weights to begin with cannot be had") as failed:
            train(family, {}, 1, inherit_from=path)
        assert failed.value.failure is FailureClass.ERROR
