"""What holds for each family of sequences: every choice trains, resume is exact, gradients are right, widths scale."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from workers.catalogue import FAMILIES, Facts, load
from workers.checkpoints import Checkpoint
from workers.data.loading import Data, Examples
from workers.families.blocks import attach_noise, initialize
from workers.objectives.train import TrainObjective
from workers.protocol import Assignment, Report, to_the_end
from workers.training.learner import Learner
from workers.training.plan import Plan
from workers.training.settings import Settings
from workers.training.streams import stream

NAMES = ("rnn", "esn", "transformer_enc")
SMALL: dict[str, dict[str, Any]] = {"rnn": {"width": 12}, "esn": {"width": 60}, "transformer_enc": {"width": 16}}
CONDITIONS: dict[tuple[str, str], dict[str, Any]] = {
    ("rnn", "leak"): {"cell": "leaky"},
    ("rnn", "forget_bias"): {"cell": "lstm"},
    ("rnn", "drop_short"): {"time_skip": 2},
    ("rnn", "truncate_steps"): {"truncate": True},
    ("rnn", "flow_regularizer"): {"cell": "vanilla", "layers": 2, "transition_depth": 1},
}


def values(own: Any) -> tuple[Any, ...]:
    if own.type == "bool":
        return (False, True)
    return own.choices if own.type == "categorical" else (own.low, own.high)


CHOICES = [
    (family, {**CONDITIONS.get((family, own.name), {}), own.name: value})
    for family in NAMES
    for own in FAMILIES[family].own
    if own.name != "width"
    for value in values(own)
]


def carry_out(family: str, config: dict[str, Any], fidelity: tuple[str, float, float], **more: Any) -> list[Report]:
    """The reports of one run on digits."""
    objective = {"type": "train", "family": family, "dataset": "digits", "epochs": 1}
    if fidelity[0] == "epochs":
        del objective["epochs"]
    config = {**SMALL[family], **config}
    training = TrainObjective().train(
        Assignment(key="1", objective=objective, config=config, seed=0, fidelity=fidelity, **more)
    )
    return to_the_end(training)[0]


@pytest.mark.parametrize(("family", "config"), CHOICES)
def test_every_choice_trains(family: str, config: dict[str, Any]) -> None:
    (report,) = carry_out(family, config, ("fraction", 0.08, 1.0))
    assert 0 <= report.metrics["val_accuracy"] <= 1
    assert report.metrics["multiply_adds"] > 0


CONFIGS = [
    ("rnn", {"dropout": 0.2, "recurrent_dropout": 0.2}),
    ("rnn", {"cell": "lstm", "bidirectional": True}),
    ("rnn", {"cell": "vanilla", "flow_regularizer": 0.1}),
    ("transformer_enc", {"dropout": 0.2, "positions": "learned", "pool": "token"}),
]


@pytest.mark.parametrize(("family", "config"), CONFIGS)
def test_resume_is_exact(family: str, config: dict[str, Any], tmp_path: Path) -> None:
    whole, half, rest = (tmp_path / name for name in ("whole", "half", "rest"))
    straight = carry_out(family, config, ("epochs", 2, 2), checkpoint=whole)
    carry_out(family, config, ("epochs", 1, 2), checkpoint=half)
    resumed = carry_out(family, config, ("epochs", 2, 2), resume_from=half, checkpoint=rest)
    assert resumed[-1].metrics == straight[-1].metrics
    assert_equal_checkpoints(family, config, whole, rest)


def assert_equal_checkpoints(family: str, config: dict[str, Any], one: Path, other: Path) -> None:
    objective = {"type": "train", "family": family, "dataset": "digits"}
    config = {**SMALL[family], **config}
    plan = Plan.of(Assignment(key="1", objective=objective, config=config, seed=0, fidelity=("epochs", 2, 2)))
    first, second = (Checkpoint.load(path, plan.identity(), torch.device("cpu")) for path in (one, other))
    assert first.model.keys() == second.model.keys()
    assert all(torch.equal(first.model[name], second.model[name]) for name in first.model)


@pytest.mark.parametrize("family", ["rnn", "esn"])
def test_width_is_a_fidelity(family: str) -> None:
    runs = (carry_out(family, {}, ("width_fraction", level, 1.0)) for level in (0.5, 1.0))
    small, whole = (run[-1].metrics["parameters"] for run in runs)
    assert small < whole


SHAPES: dict[str, tuple[tuple[int, ...], int]] = {"classification": ((7, 3), 4), "forecasting": ((7, 1), 1)}


def learner_of(settings: Settings, family: str, task: str) -> tuple[Learner, Examples]:
    """Ready to train, in float64, with examples; one of them begins with missing steps."""
    shape, outputs = SHAPES[task]
    rng = torch.Generator().manual_seed(1)
    inputs = torch.randn(5, *shape, generator=rng, dtype=torch.float64)
    targets = torch.randint(outputs, (5,), generator=rng) if task == "classification" else inputs.sum(dim=1)
    inputs[0, :3] = torch.nan
    targets[0] = 0
    examples = Examples(inputs, targets)
    learner = load(FAMILIES[family].builder)(
        settings, Facts(task=task, inputs="sequence", shape=shape, outputs=outputs)
    ).double()
    initialize(learner, settings["init"], stream(0, "initialization"))
    learner.prepare(Data(examples, examples))
    assert isinstance(learner, Learner)
    return learner, examples


@pytest.mark.parametrize("task", SHAPES)
@pytest.mark.parametrize(
    ("family", "config"),
    [
        ("rnn", {"cell": "vanilla"}),
        ("rnn", {"cell": "leaky", "layers": 2}),
        ("rnn", {"cell": "lstm", "bidirectional": True, "pool": "mean"}),
        ("rnn", {"cell": "gru"}),
        ("rnn", {"cell": "gru", "time_skip": 2, "transition_depth": 2}),
        ("rnn", {"cell": "lstm", "time_skip": 4, "drop_short": True}),
        ("transformer_enc", {"similarity": "dot", "patch": 1, "heads": 1}),
        ("transformer_enc", {"similarity": "scaled", "positions": "learned"}),
        ("transformer_enc", {"similarity": "general", "layer_norm": "pre", "pool": "token"}),
        ("transformer_enc", {"similarity": "additive"}),
    ],
)
def test_gradients_are_those_of_finite_differences(
    family: str, config: dict[str, Any], task: str, settings: Callable[..., Settings]
) -> None:
    off = {"dropout": 0, **({"attention_dropout": 0} if family == "transformer_enc" else {})}
    learner, examples = learner_of(settings(family, **SMALL[family], **off, **config), family, task)
    attach_noise(learner, stream(0, "dropout"))
    learner.train()
    parameters = list(learner.parameters())

    def loss() -> torch.Tensor:
        return learner.loss(examples, stream(0, "loss"))

    gradients = torch.autograd.grad(loss(), parameters)
    rng, step = torch.Generator().manual_seed(2), 1e-6
    for parameter, gradient in zip(parameters, gradients, strict=True):
        direction = torch.randn(parameter.shape, generator=rng, dtype=torch.float64)
        with torch.no_grad():
            parameter.add_(direction, alpha=step)
            above = loss()
            parameter.sub_(direction, alpha=2 * step)
            below = loss()
            parameter.add_(direction, alpha=step)
        expected = float(above - below) / (2 * step)
        assert float((gradient * direction).sum()) == pytest.approx(expected, rel=1e-5, abs=1e-8)
