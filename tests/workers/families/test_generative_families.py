"""What holds for each family of representation and generation: every choice trains, resume is exact, gradients are
right, what is smaller is cheaper."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from workers.catalogue import FAMILIES, Facts, load
from workers.data.loading import Data, Examples
from workers.families.blocks import attach_noise, initialize
from workers.objectives.train import TrainObjective
from workers.protocol import Assignment, Result, to_the_end
from workers.rows import Inputs
from workers.training.learner import Epoch, Learner
from workers.training.plan import Plan
from workers.training.settings import Settings
from workers.training.streams import stream

SMALL: dict[str, dict[str, Any]] = {
    "autoencoder": {"width": 16, "code": 4, "active_units": 2, "depth": 1},
    "vae": {"width": 16, "latent": 3},
    "made_nade": {"hidden": 16},
    "gan": {"width": 8, "latent": 3},
}
CONDITIONS: dict[tuple[str, str], dict[str, Any]] = {
    ("autoencoder", "penalty"): {"kind": "sparse_kl"},
    ("autoencoder", "sparsity"): {"kind": "sparse_kl"},
    ("autoencoder", "active_units"): {"kind": "k_sparse", "code": 64},
    ("autoencoder", "corruption"): {"kind": "denoising"},
    ("autoencoder", "corruption_level"): {"kind": "denoising"},
    ("vae", "flows"): {"posterior": "planar"},
    ("vae", "pseudo_inputs"): {"prior": "pseudo", "posterior": "planar"},
    ("vae", "free_nats"): {"decoder": "pixelcnn"},
    ("made_nade", "masks"): {"order": "random", "layers": 2},
    ("gan", "gradient_penalty"): {"loss": "wgan_gp"},
    ("gan", "weight_limit"): {"loss": "wgan_clip"},
    ("gan", "smoothing"): {"loss": "non_saturating"},
    ("gan", "d_sees_batch"): {"loss": "minimax", "d_norm": "virtual_batch"},
}


def values(own: Any) -> tuple[Any, ...]:
    if own.type == "bool":
        return (False, True)
    return own.choices if own.type == "categorical" else (own.low, own.high)


CHOICES = [
    (family, {**CONDITIONS.get((family, own.name), {}), own.name: value})
    for family in SMALL
    for own in FAMILIES[family].own
    if own.name not in FAMILIES[family].widths
    for value in values(own)
]
TABLES = [
    ("autoencoder", {"loss": "mse", "kind": "denoising", "corruption": "salt_pepper"}),
    ("autoencoder", {"loss": "bce", "kind": "denoising", "corruption": "mask"}),
    ("vae", {"prior": "pseudo"}),
    ("vae", {"likelihood": "bernoulli"}),
    ("gan", {"d_norm": "virtual_batch", "conditional": True}),
    ("gan", {"loss": "non_saturating", "d_sees_batch": True}),
]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def examples_of(inputs: Inputs, n: int = 24) -> Examples:
    """Images of three classes, of which some pixels are bright; or points around three means."""
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % 3
    shape = (1, 8, 8) if inputs == "image" else (4,)
    kinds = torch.rand(3, *shape, generator=rng).round()
    return Examples((0.8 * kinds[labels] + 0.2 * torch.rand(n, *shape, generator=rng)), labels)


def learner_of(settings: Settings, family: str, examples: Examples) -> Learner:
    shape = tuple(examples.inputs.shape[1:])
    inputs: Inputs = "image" if len(shape) == 3 else "table"
    facts = Facts(task=FAMILIES[family].tasks[0], inputs=inputs, shape=shape, outputs=3)
    learner: Learner = load(FAMILIES[family].builder)(settings, facts)
    initialize(learner, settings["init"], stream(0, "initialization"))
    learner.prepare(Data(examples, examples))
    return learner


def epoch_of(learner: Learner, examples: Examples) -> Epoch:
    return Epoch(
        0,
        1,
        examples,
        learner.settings,
        learner.optimizers(),
        torch.device("cpu"),
        nullcontext,
        lambda purpose, device=None: stream(0, purpose, 0, device),
    )


@pytest.mark.parametrize(
    ("family", "config", "inputs"),
    [(*choice, "image") for choice in CHOICES] + [(*choice, "table") for choice in TABLES],
)
def test_every_choice_trains(
    family: str, config: dict[str, Any], inputs: Inputs, settings: Callable[..., Settings]
) -> None:
    examples = examples_of(inputs)
    learner = learner_of(settings(family, **{**SMALL[family], "batch_size": 8, **config}), family, examples)
    before = {name: parameter.clone() for name, parameter in learner.named_parameters()}
    loss = learner.train_epoch(epoch_of(learner, examples))
    assert torch.isfinite(torch.tensor(loss))
    still = {name for name, parameter in learner.named_parameters() if torch.equal(parameter, before[name])}
    shift = {"discriminator.out.bias"} if learner.settings.get("loss") in ("wgan_clip", "wgan_gp") else set()
    assert still <= shift, "all weights learn, but for the shift that a critic's loss does not see"
    learner.eval()
    with torch.no_grad():
        scores = learner.evaluate(examples, stream(0, "evaluation"))
        answer = learner(examples.inputs)
    assert all(torch.isfinite(torch.tensor(score)) for score in scores.values())
    assert len(answer) == len(examples)
    assert torch.isfinite(answer).all()


GRADIENTS = [
    ("autoencoder", {"kind": "contractive", "penalty": 0.1}),
    ("autoencoder", {"kind": "sparse_kl", "penalty": 0.1, "loss": "bce"}),
    ("autoencoder", {"kind": "sparse_l1", "penalty": 0.1, "tied": True}),
    ("autoencoder", {"kind": "denoising", "norm": "layer"}),
    ("vae", {}),
    ("vae", {"posterior": "planar", "prior": "pseudo", "pseudo_inputs": 5}),
    ("vae", {"likelihood": "gauss", "decoder": "conv"}),
    ("vae", {"decoder": "pixelcnn", "free_nats": 0.1}),
    ("made_nade", {"layers": 2, "masks": 2, "order": "random"}),
    ("made_nade", {"model": "nade", "order": "random"}),
    ("gan", {"loss": "wgan_gp", "d_norm": "layer"}),
    ("gan", {"loss": "minimax", "d_norm": "virtual_batch", "conditional": True}),
    ("gan", {"loss": "non_saturating", "d_sees_batch": True}),
]


@pytest.mark.parametrize(("family", "config"), GRADIENTS)
def test_gradients_are_those_of_finite_differences(
    family: str, config: dict[str, Any], settings: Callable[..., Settings]
) -> None:
    examples = examples_of("image", 5)
    smooth = {} if family == "gan" else {"activation": "tanh", "dropout": 0.0}
    learner = learner_of(settings(family, **SMALL[family], **smooth, **config), family, examples).double()
    batch = Examples(examples.inputs.double(), examples.targets)
    learner.train()

    def loss() -> torch.Tensor:
        return learner.loss(batch, torch.Generator().manual_seed(2))

    torch.autograd.backward(loss())
    rng = torch.Generator().manual_seed(1)
    for name, parameter in learner.named_parameters():
        if family == "gan" and name.startswith("generator"):
            assert parameter.grad is None, "the discriminator's loss is not the generator's"
            continue
        direction = torch.randn(parameter.shape, generator=rng, dtype=torch.float64)
        direction /= direction.norm()
        assert parameter.grad is not None
        slope, losses, step = float((parameter.grad * direction).sum()), [], 1e-6
        with torch.no_grad():
            for sign in (1, -2):
                parameter += sign * step * direction
                with torch.enable_grad():
                    losses.append(float(loss().detach()))
            parameter += step * direction
        assert slope == pytest.approx((losses[0] - losses[1]) / (2 * step), rel=1e-4, abs=1e-6), name


def train(family: str, config: dict[str, Any], fidelity: tuple[str, float, float], **paths: Path) -> tuple[Any, Result]:
    objective = {"type": "train", "family": family, "dataset": "digits"}
    if fidelity[0] != "epochs":
        objective["epochs"] = 1
    training = TrainObjective().train(
        Assignment(key="1", objective=objective, config=config, seed=0, fidelity=fidelity, **paths)
    )
    reports, result = to_the_end(training)
    return [report.metrics for report in reports], result


RESUMED = [
    ("autoencoder", {"kind": "denoising", "dropout": 0.2}),
    ("vae", {"posterior": "planar", "prior": "pseudo", "pseudo_inputs": 5, "kl_warmup": 0.5}),
    ("made_nade", {"masks": 3, "order": "random", "dropout": 0.2}),
    ("gan", {"d_norm": "virtual_batch", "conditional": True, "n_critic": 2}),
]


@pytest.mark.parametrize(("family", "config"), RESUMED)
def test_two_epochs_and_one_are_three(family: str, config: dict[str, Any], tmp_path: Path) -> None:
    config = {**SMALL[family], "batch_size": 256, **config}
    whole, result = train(family, config, ("epochs", 3, 3), checkpoint=tmp_path / "whole")
    first, _ = train(family, config, ("epochs", 2, 3), checkpoint=tmp_path / "2")
    rest, end = train(family, config, ("epochs", 3, 3), resume_from=tmp_path / "2", checkpoint=tmp_path / "3")
    assert [*first, *rest] == whole
    assert end == result
    assert (tmp_path / "3").read_bytes() == (tmp_path / "whole").read_bytes()


@pytest.mark.parametrize("family", SMALL)
def test_the_test_split_is_judged_by_the_checkpoint(family: str, tmp_path: Path) -> None:
    config = {**SMALL[family], "batch_size": 256}
    (metrics,), _ = train(family, config, ("epochs", 1, 1), checkpoint=tmp_path / "1")
    assignment = Assignment(
        key="1",
        objective={"type": "train", "family": family, "dataset": "digits"},
        config=config,
        seed=0,
        fidelity=("epochs", 1, 1),
        resume_from=tmp_path / "1",
    )
    scores = TrainObjective().test(assignment)
    assert {name.replace("test_", "val_") for name in scores} == {name for name in metrics if name.startswith("val_")}


@pytest.mark.parametrize("family", SMALL)
def test_less_width_is_a_smaller_network_and_less_resolution_has_fewer_inputs(family: str) -> None:
    def size(axis: str, level: float) -> int:
        objective = {"type": "train", "family": family, "dataset": "digits"}
        plan = Plan.of(Assignment(key="1", objective=objective, config={}, seed=0, fidelity=(axis, level, 1.0)))
        learner: Learner = load(plan.family.builder)(plan.settings, plan.facts)
        attach_noise(learner, stream(0, "dropout"))
        learner.eval()
        learner(torch.rand(2, *plan.facts.shape, generator=stream(0, "evaluation")))
        return sum(parameter.numel() for parameter in learner.parameters())

    assert size("width_fraction", 0.5) < size("width_fraction", 1.0)
    assert size("resolution", 0.5) < size("resolution", 1.0)
