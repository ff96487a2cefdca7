"""A training that goes on from another one's checkpoint with another config, as population based training has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from workers.checkpoints import CheckpointError
from workers.training.recipe.descent import GRADUAL

PLAIN = {"optimizer": "sgd", "momentum": 0.9, "schedule": "constant", "warmup": 0, "norm": "none", "width": 16}


@pytest.fixture
def donor(train: Callable[..., Any], tmp_path: Path) -> Path:
    train("mlp", {**PLAIN, "lr": 0.05}, 1, 9, checkpoint=tmp_path / "donor")
    return tmp_path / "donor"


def test_it_begins_with_the_weights_and_the_momentum_of_the_donor(
    donor: Path, train: Callable[..., Any], tmp_path: Path
) -> None:
    train("mlp", {**PLAIN, "lr": 0.2}, 1, 9, seed=5, resume_from=donor, checkpoint=tmp_path / "fork")
    begun, given = load_file(tmp_path / "fork"), load_file(donor)
    assert begun.keys() == given.keys()
    assert any(name.startswith("optimizer/") for name in given)
    assert all(torch.equal(begun[name], given[name]) for name in given)


def test_its_own_config_is_in_effect(donor: Path, train: Callable[..., Any], tmp_path: Path) -> None:
    def moved(lr: float) -> float:
        """How far the weights go in an epoch with this learning rate."""
        forked = train("mlp", {**PLAIN, "lr": lr}, 2, 9, seed=5, resume_from=donor, checkpoint=tmp_path / "fork")
        assert [report.step for report in forked.reports] == [2]
        assert forked.result.metrics["lr"] == lr
        after, before = load_file(tmp_path / "fork"), load_file(donor)
        weights = [name for name in before if name.startswith("model/network")]
        return max(float((after[name] - before[name]).abs().max()) for name in weights)

    assert 0 < moved(1e-9) < 1e-6
    assert moved(0.2) > 0.01


@pytest.mark.parametrize("optimizer", GRADUAL)
def test_all_that_is_mutable_may_change_with_any_optimizer(
    optimizer: str, train: Callable[..., Any], tmp_path: Path
) -> None:
    before = {"optimizer": optimizer, "momentum": 0, "batch_size": 256, "width": 16}
    after = {
        **before,
        **{"lr": 1e-3, "weight_decay": 0.01, "batch_size": 128, "dropout": 0.3, "momentum": 0.8, "nesterov": True},
        **{"beta1": 0.8, "beta2": 0.99, "rho": 0.8, "schedule": "linear", "warmup": 0.1, "clip": "norm"},
        **{"label_smoothing": 0.1, "augmentation": "manual"},
    }
    train("mlp", before, 1, 9, checkpoint=tmp_path / "1")
    there = train("mlp", after, 2, 9, seed=1, resume_from=tmp_path / "1", checkpoint=tmp_path / "2")
    back = train("mlp", before, 3, 9, seed=2, resume_from=tmp_path / "2")
    assert (there.reports[0].step, back.reports[0].step) == (2, 3)


@pytest.mark.parametrize(
    "change", [{"width": 32}, {"optimizer": "adam"}, {"activation": "tanh"}, {"init": "xavier_normal"}]
)
def test_what_is_not_mutable_must_be_the_donors(change: dict[str, Any], donor: Path, train: Callable[..., Any]) -> None:
    with pytest.raises(CheckpointError, match=next(iter(change))):
        train("mlp", {**PLAIN, **change}, 2, 9, resume_from=donor)
