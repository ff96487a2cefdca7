"""What holds for each family of convolutional networks: exact resume, gradients, every choice, widths and sides."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from workers.catalogue import FAMILIES, Facts, load
from workers.data.loading import Data, Examples
from workers.families.blocks import attach_noise
from workers.objectives.train import TrainObjective
from workers.protocol import Assignment, Failure, FailureClass, Result, to_the_end
from workers.training.assembly import assemble
from workers.training.learner import Epoch, Learner
from workers.training.plan import Plan
from workers.training.settings import Settings
from workers.training.streams import stream

SMALL: dict[str, dict[str, Any]] = {
    "chain_cnn": {"width": 8, "blocks": 2, "convs": 1, "fc": 16},
    "resnet": {"width": 4, "stages": 2},
    "mobilenet": {"alpha": 0.5, "blocks": 3},
    "unet": {"base": 4, "depth": 1},
}
CONDITIONS = {
    ("chain_cnn", "mlpconv"): {"style": "nin"},
    ("chain_cnn", "stem_kernel"): {"style": "zf"},
    ("chain_cnn", "stem_stride"): {"style": "nin"},
    ("chain_cnn", "response_norm"): {"style": "alex"},
    ("resnet", "cardinality"): {"block": "resnext"},
    ("resnet", "se_reduction"): {"se": True},
    ("mobilenet", "groups"): {"separation": "grouped"},
}


def values(own: Any) -> tuple[Any, ...]:
    if own.type == "bool":
        return (False, True)
    return own.choices if own.type == "categorical" else (own.low, own.high)


CHOICES = [
    (family, {**CONDITIONS.get((family, own.name), {}), own.name: value})
    for family in SMALL
    for own in FAMILIES[family].own
    if own.name not in ("blocks", "stages", "depth", "width", "base", "fc", "convs", "alpha")
    for value in values(own)
]
# layers that are put together in other ways
CHOICES += [
    (family, config)
    for family in SMALL
    for config in (
        {"norm": "none"},
        {"norm": "weight"},
        {"norm": "batch", "norm_place": "after"},
        {"activation": "maxout"},
        {"hidden_noise": 0.1, "dropout_kind": "gaussian"},
    )
    if family != "resnet" or not {"norm_place", "activation"} & config.keys()
]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def facts_of(family: str, shape: tuple[int, ...] = (1, 8, 8), outputs: int = 3) -> Facts:
    return Facts(task=FAMILIES[family].tasks[0], inputs="image", shape=shape, outputs=outputs)


def examples_of(family: str, n: int = 24, shape: tuple[int, ...] = (1, 8, 8), outputs: int = 3) -> Examples:
    """The class of an example, or of a pixel, is how bright it is; there is some noise on top."""
    rng = torch.Generator().manual_seed(0)
    if FAMILIES[family].tasks[0] == "segmentation":
        quarters = torch.randint(outputs, (n, 2, 2), generator=rng)
        targets = quarters.repeat_interleave(shape[1] // 2, dim=1).repeat_interleave(shape[2] // 2, dim=2)
        bright = targets[:, None].float()
    else:
        targets = torch.randint(outputs, (n,), generator=rng)
        bright = targets[:, None, None, None].float()
    return Examples((bright / outputs + 0.2 * torch.rand(n, *shape, generator=rng)), targets)


def learner_of(settings: Settings, family: str, examples: Examples, outputs: int = 3) -> Learner:
    facts = facts_of(family, tuple(examples.inputs.shape[1:]), outputs)
    learner = assemble(FAMILIES[family], settings, facts, stream(0, "initialization"))
    learner.prepare(Data(examples, examples))
    return learner


def epoch_of(learner: Learner, examples: Examples, horizon: int) -> Epoch:
    return Epoch(
        0,
        horizon,
        examples,
        learner.settings,
        learner.optimizers(),
        torch.device("cpu"),
        nullcontext,
        lambda purpose, device=None: stream(0, purpose, 0, device),
    )


@pytest.mark.parametrize(("family", "config"), CHOICES)
def test_every_choice_trains(family: str, config: dict[str, Any], settings: Callable[..., Settings]) -> None:
    examples = examples_of(family)
    learner = learner_of(settings(family, **{**SMALL[family], "batch_size": 8, **config}), family, examples)
    before = {name: parameter.clone() for name, parameter in learner.named_parameters()}
    learner.train_epoch(epoch_of(learner, examples, 1))
    still = [name for name, parameter in learner.named_parameters() if torch.equal(parameter, before[name])]
    assert not still, "all weights learn"
    learner.eval()
    scores = learner.evaluate(examples, stream(0, "evaluation"))
    assert all(torch.isfinite(torch.tensor(score)) for score in scores.values())


@pytest.mark.parametrize("family", SMALL)
def test_learns_something(family: str, settings: Callable[..., Settings]) -> None:
    examples = examples_of(family, 60)
    learner = learner_of(settings(family, **SMALL[family], batch_size=20, dropout=0.0, lr=0.01), family, examples)
    first = epoch_of(learner, examples, 25)
    for number in range(20):
        learner.train_epoch(replace(first, number=number))
    learner.eval()
    scores = learner.evaluate(examples, stream(0, "evaluation"))
    assert scores["iou" if family == "unet" else "accuracy"] > 0.8


GRADIENTS = [
    ("chain_cnn", {"style": "alex", "response_norm": True, "stem_kernel": 3}),
    ("chain_cnn", {"style": "vgg", "head": "gap"}),
    ("chain_cnn", {"style": "nin"}),
    ("resnet", {"block": "basic", "se": True}),
    ("resnet", {"block": "bottleneck", "shortcut": "identity"}),
    ("resnet", {"block": "resnext", "norm": "group"}),
    ("resnet", {"block": "highway", "norm": "none"}),
    ("mobilenet", {"separation": "depthwise"}),
    ("mobilenet", {"separation": "spatial", "dilation": 2}),
    ("mobilenet", {"separation": "grouped", "norm": "layer"}),
    ("unet", {"up": "transposed", "loss": "ce_dice"}),
    ("unet", {"up": "nearest", "merge": "add", "loss": "dice", "dilate": True}),
    ("unet", {"merge": "none", "loss": "ce", "label_smoothing": 0.1}),
]


@pytest.mark.parametrize(("family", "config"), GRADIENTS)
def test_gradients_are_those_of_finite_differences(
    family: str, config: dict[str, Any], settings: Callable[..., Settings]
) -> None:
    examples = examples_of(family, 5)
    chosen = settings(family, **SMALL[family], dropout=0.0, activation="tanh", **config)
    learner = learner_of(chosen, family, examples).double()
    batch, rng = Examples(examples.inputs.double(), examples.targets), torch.Generator().manual_seed(1)
    learner.train()
    torch.autograd.backward(learner.loss(batch, rng))
    for name, parameter in learner.named_parameters():
        direction = torch.randn(parameter.shape, generator=rng, dtype=torch.float64)
        direction /= direction.norm()
        assert parameter.grad is not None
        slope, losses, step = float((parameter.grad * direction).sum()), [], 1e-5
        with torch.no_grad():
            for sign in (1, -2):
                parameter += sign * step * direction
                losses.append(float(learner.loss(batch, rng)))
            parameter += step * direction
        assert slope == pytest.approx((losses[0] - losses[1]) / (2 * step), rel=1e-4, abs=1e-7), name


def train(family: str, config: dict[str, Any], fidelity: tuple[str, float, float], **paths: Path) -> tuple[Any, Result]:
    dataset = "digit_scenes" if family == "unet" else "digits"
    objective = {"type": "train", "family": family, "dataset": dataset, "epochs": 1}
    if fidelity[0] == "epochs":
        del objective["epochs"]
    training = TrainObjective().train(
        Assignment(key="1", objective=objective, config=config, seed=0, fidelity=fidelity, **paths)
    )
    reports, result = to_the_end(training)
    return [report.metrics for report in reports], result


@pytest.mark.parametrize("family", SMALL)
def test_two_epochs_and_one_are_three(family: str, tmp_path: Path) -> None:
    config = {**SMALL[family], "dropout": 0.2, "batch_size": 256}
    if family == "unet":
        config |= {"base": 2}
    if family == "resnet":
        config |= {"path_drop": 0.3, "se": True}
    if family == "mobilenet":
        config |= {"augmentation": "manual"}
    whole, result = train(family, config, ("epochs", 3, 3), checkpoint=tmp_path / "whole")
    first, _ = train(family, config, ("epochs", 2, 3), checkpoint=tmp_path / "2")
    rest, end = train(family, config, ("epochs", 3, 3), resume_from=tmp_path / "2", checkpoint=tmp_path / "3")
    assert [*first, *rest] == whole
    assert end == result
    assert (tmp_path / "3").read_bytes() == (tmp_path / "whole").read_bytes()


@pytest.mark.parametrize("family", SMALL)
def test_less_width_is_a_smaller_network_and_less_resolution_a_cheaper_one(family: str) -> None:
    config, dataset = SMALL[family], "digit_scenes" if family == "unet" else "digits"

    def learner(axis: str, level: float) -> tuple[int, torch.Size]:
        objective = {"type": "train", "family": family, "dataset": dataset}
        plan = Plan.of(Assignment(key="1", objective=objective, config=config, seed=0, fidelity=(axis, level, 1.0)))
        built: Learner = load(plan.family.builder)(plan.settings, plan.facts)
        built.eval()
        answer = built(torch.zeros(1, *plan.facts.shape))
        return sum(parameter.numel() for parameter in built.parameters()), answer.shape

    size, shape = learner("width_fraction", 1.0)
    assert learner("width_fraction", 0.5)[0] < 0.6 * size
    small = learner("resolution", 0.6)
    assert small[1] == (torch.Size([1, 2, 19, 19]) if family == "unet" else shape)


INFEASIBLE = [
    ("chain_cnn", {"blocks": 4}, "halves the image 4 times, which takes 16×16 pixels at least, not 8×8"),
    ("chain_cnn", {"style": "zf", "stem_stride": 2}, "4 times.*stem_stride 1"),
    ("chain_cnn", {"style": "nin", "blocks": 5}, "4 times"),
    ("resnet", {"stages": 5}, "4 times.*fewer stages"),
    ("resnet", {"stages": 4, "batch_size": 2}, "batch_size of 3 at least, not 2"),
    ("chain_cnn", {"style": "nin", "blocks": 4, "norm": "instance"}, "norm instance needs more than one"),
    ("mobilenet", {"blocks": 10, "batch_size": 1}, "batch_size of 3 at least, not 1"),
    ("unet", {"depth": 4}, "smaller depth"),
]


@pytest.mark.parametrize(("family", "config", "reason"), INFEASIBLE)
def test_what_cannot_be_built_says_why(
    family: str, config: dict[str, Any], reason: str, settings: Callable[..., Settings]
) -> None:
    with pytest.raises(Failure, match=reason) as caught:
        load(FAMILIES[family].builder)(settings(family, **config), facts_of(family))
    assert caught.value.failure is FailureClass.INFEASIBLE


@pytest.mark.parametrize("family", SMALL)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 11, 17), (1, 28, 28)])
def test_defaults_take_all_images(family: str, shape: tuple[int, ...], settings: Callable[..., Settings]) -> None:
    learner: Learner = load(FAMILIES[family].builder)(settings(family), facts_of(family, shape, 7))
    attach_noise(learner, stream(0, "dropout"))
    answer = learner(torch.rand(3, *shape))
    assert answer.shape == ((3, 7, *shape[1:]) if family == "unet" else (3, 7))
