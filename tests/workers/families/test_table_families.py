"""Families of tables, ratings and environments: every choice trains, a pause changes nothing, all learn something."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from workers.checkpoints import Checkpoint
from workers.objectives.train import TrainObjective
from workers.protocol import Assignment, Result, to_the_end

FAST = {"batch_size": 8192}

CHOICES: list[tuple[str, str, dict[str, Any]]] = [
    *(("linear", "wine", {"penalty": penalty}) for penalty in ("none", "l1", "l2", "elastic")),
    *(("linear", "diabetes", {"solver": solver, "poly": 2}) for solver in ("lbfgs", "sgd")),
    ("linear", "wine", {"solver": "sgd", "penalty": "l1"}),
    *(("mdn", "diabetes", {"head": head}) for head in ("shared_var", "gauss", "mixture")),
    *(
        ("recommender", "movielens_small", {"model": m, **FAST})
        for m in ("bias", "mf", "svdpp", "neural", "knn", "content")
    ),
    ("recommender", "movielens_small", {"model": "svdpp", "item_features": False, "factors": 4, **FAST}),
    ("recommender", "movielens_small", {"model": "rbm", "hidden": 16, **FAST}),
    ("recommender", "movielens_small", {"model": "bias", "cold": "content", **FAST}),
    ("policy_gradient", "cartpole", {"baseline": "value", "steps_per_update": 200}),
    ("policy_gradient", "cartpole", {"baseline": "none", "steps_per_update": 200}),
    ("policy_gradient", "cartpole", {"algorithm": "a2c"}),
    ("policy_gradient", "pendulum", {"algorithm": "reinforce", "steps_per_update": 200}),
    ("policy_gradient", "pendulum", {"algorithm": "a2c"}),
    ("policy_gradient", "pendulum", {"algorithm": "deterministic"}),
]


def train(
    family: str,
    dataset: str,
    config: Mapping[str, Any],
    epochs: int,
    checkpoint: Path | None = None,
    resume_from: Path | None = None,
    of: int = 3,
) -> Result:
    training = TrainObjective().train(
        Assignment(
            key="1",
            objective={"type": "train", "family": family, "dataset": dataset},
            config=config,
            seed=1,
            fidelity=("epochs", epochs, of),
            checkpoint=checkpoint,
            resume_from=resume_from,
        )
    )
    return to_the_end(training)[1]


@pytest.fixture(autouse=True)
def short_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    for algorithm in ("reinforce", "actor_critic", "deterministic"):
        monkeypatch.setattr(f"workers.families.policy_gradient.{algorithm}.EPOCH_STEPS", 400)
    monkeypatch.setattr("workers.families.policy_gradient.deterministic.FIRST_STEPS", 100)
    monkeypatch.setattr("workers.families.policy_gradient.network.JUDGED_EPISODES", 2)


@pytest.mark.parametrize(("family", "dataset", "config"), CHOICES)
def test_a_training_that_pauses_equals_one_that_does_not(
    family: str, dataset: str, config: dict[str, Any], tmp_path: Path
) -> None:
    whole = train(family, dataset, config, 2, tmp_path / "whole")
    train(family, dataset, config, 1, tmp_path / "half")
    rest = train(family, dataset, config, 2, tmp_path / "rest", tmp_path / "half")
    assert rest.metrics == whole.metrics
    assert (tmp_path / "rest").read_bytes() == (tmp_path / "whole").read_bytes()


@pytest.mark.parametrize(
    ("family", "dataset", "config", "epochs", "score", "at_least"),
    [
        ("linear", "wine", {}, 1, "val_accuracy", 0.93),
        ("linear", "breast_cancer", {"solver": "sgd"}, 10, "val_accuracy", 0.93),
        ("linear", "diabetes", {}, 1, "val_r2", 0.4),
        ("mlp", "diabetes", {}, 20, "val_r2", 0.35),
        ("mdn", "multimodal", {"head": "mixture"}, 10, "val_nll", -1.2),  # one Gaussian for all: 1.42
        ("recommender", "movielens_small", {"model": "knn"}, 1, "val_rmse", -0.9),  # the mean: 1.05
        ("recommender", "movielens_small", {"lr": 0.02, "batch_size": 1024}, 3, "val_rmse", -0.89),  # biases: 0.90
    ],
)
def test_it_learns(family: str, dataset: str, config: dict[str, Any], epochs: int, score: str, at_least: float) -> None:
    """`at_least` has the sign that makes more better."""
    value = train(family, dataset, config, epochs, of=epochs).metrics[score]
    assert (value if at_least > 0 else -value) >= at_least


def test_a_closed_form_needs_one_epoch_and_no_seed(tmp_path: Path) -> None:
    one = train("linear", "wine", {}, 1, tmp_path / "one", of=1)
    three = train("linear", "wine", {}, 3)
    assert three.metrics["val_loss"] == pytest.approx(one.metrics["val_loss"], abs=1e-3)
    assert Checkpoint.load(tmp_path / "one", {"family": "linear"}, torch.device("cpu")).optimizer == {}
