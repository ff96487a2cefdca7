"""Second derivatives of real networks, against differences of what they are derivatives of."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import vector_to_parameters

from workers.catalogue import DATASETS, FAMILIES
from workers.data.loading import Data, Examples, training_data
from workers.hypergradients.gradient import Weights
from workers.hypergradients.network import Look, Network
from workers.hypergradients.preconditioning import stretch_of
from workers.protocol import Assignment, Failure, FailureClass
from workers.training.plan import Plan
from workers.training.strengths import absent, cross_entropy

CPU = torch.device("cpu")
IMAGES = {"shift": 0.1, "rotate": 10.0, "scale": 0.2, "stretch": 0.1, "contrast": 0.3, "elastic": 0.5}
UNITS = {"label_smoothing": 0.1, "input_noise": 0.2, "hidden_noise": 0.1, "adversarial_weight": 0.5}
SMOOTH = {"activation": "tanh", "dropout": 0.2, "batch_size": 12, "width": 8, "norm": "layer"}


def made(family: str, config: dict[str, Any], tuned: dict[str, float], dataset: str = "digits") -> tuple[Network, Data]:
    objective = {"type": "train", "family": family, "dataset": dataset}
    plan = Plan.of(Assignment(key="1", objective=objective, config={**config, **tuned}, seed=3))
    network = Network(plan, plan.settings, dict.fromkeys(tuned, 1.0), 3, CPU)
    data = training_data(plan.dataset, plan.part, CPU)
    network.learner.prepare(data)
    network.learner.double()
    return network, data


def double(examples: Examples) -> Examples:
    return Examples(examples.inputs.double(), examples.targets)


@pytest.mark.parametrize(
    ("family", "config", "tuned"),
    [
        ("mlp", {**SMOOTH, "adversarial": "double_backprop"}, UNITS),
        ("mlp", {**SMOOTH, "adversarial": "fgsm"}, {"adversarial_weight": 0.5}),
        ("mlp", {**SMOOTH, "norm": "batch", "adversarial": "double_backprop"}, UNITS),
        ("mlp", {**SMOOTH, "norm": "group", "adversarial": "double_backprop"}, {"adversarial_weight": 0.5}),
        ("lenet", {**SMOOTH, "norm": "batch", "adversarial": "double_backprop"}, {"adversarial_weight": 0.5}),
        ("chain_net", {"adversarial": "double_backprop"}, {"adversarial_weight": 0.5}),  # whose norm is no setting
        ("mlp", {**SMOOTH, "norm": "batch"}, {"label_smoothing": 0.0, "input_noise": 0.0, "hidden_noise": 0.0}),
        ("lenet", {"activation": "tanh", "augmentation": "manual", "width": 2, "pool": "avg"}, IMAGES),
        ("lenet", {"activation": "tanh", "augmentation": "manual", "width": 2}, {"stretch": 0.0, "elastic": 0.0}),
    ],
)
def test_mixed_derivatives(family: str, config: dict[str, Any], tuned: dict[str, float]) -> None:
    known = {each.name for each in FAMILIES[family].hyperparameters("image")}
    network, data = made(family, {name: value for name, value in config.items() if name in known}, tuned)
    look, rng = Look(double(data.train[:12]), 5), torch.Generator().manual_seed(1)
    direction = torch.randn(len(network.flat()), generator=rng, dtype=torch.float64)
    before = network.flat()
    states = {name: tensor.clone() for name, tensor in network.learner.state_dict().items()}
    other = torch.randn(len(before), generator=rng, dtype=torch.float64)
    with network.curved(look, tuned) as (bent, crossed):
        found, mixed, turned = bent(direction), crossed(direction), bent(other)
    assert torch.equal(network.flat(), before)
    assert all(torch.equal(states[name], now) for name, now in network.learner.state_dict().items())

    def along(name: str, step: float) -> float:
        return float(network.slopes(look, {**tuned, name: tuned[name] + step}).weights @ direction)

    for place, name in enumerate(network.strengths):
        expected = (along(name, 1e-5) - along(name, -1e-5)) / 2e-5
        assert float(mixed[place]) == pytest.approx(expected, rel=1e-4, abs=1e-8), name
    assert float(other @ found) == pytest.approx(float(direction @ turned), rel=1e-8)


@pytest.mark.parametrize("adversarial", ["none", "double_backprop"])
@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_second_derivatives_by_the_weights(norm: str, adversarial: str) -> None:
    network, data = made("mlp", {**SMOOTH, "norm": norm, "adversarial": adversarial}, {})
    look, rng = Look(double(data.train[:12]), 5), torch.Generator().manual_seed(1)
    weights = network.flat()
    one, other = (torch.randn(len(weights), generator=rng, dtype=torch.float64) for _ in range(2))
    with network.curved(look, {}) as (bent, _):
        found = float(bent(one) @ other)

    def along(step: float) -> float:
        vector_to_parameters(weights + step * one, network.weights)
        return float(network.slopes(look, {}).weights @ other)

    assert found == pytest.approx((along(1e-5) - along(-1e-5)) / 2e-5, rel=1e-5)


@pytest.mark.parametrize(
    ("decay", "optimizer"),
    [("l2", "sgd"), ("l1", "sgd"), ("elastic", "sgd"), ("decoupled", "sgd"), ("decoupled", "adamw")],
)
def test_one_step_of_the_recipe_is_differentiated(decay: str, optimizer: str) -> None:
    """The loss of held-out examples after a real step, by what the step was taken with."""
    tuned = {"weight_decay": 0.05, "label_smoothing": 0.1}
    tuned |= {"l1_share": 0.3} if decay == "elastic" else {}
    config = {**SMOOTH, "decay": decay, "optimizer": optimizer, "momentum": 0.0, "norm": "none", "clip": "none"}
    network, data = made("mlp", {**config, "dropout": 0.0}, tuned)
    look, held, lr = Look(double(data.train[:40]), 5), double(data.train[40:80]), 0.02
    states = {name: tensor.clone() for name, tensor in network.learner.state_dict().items()}

    def stepped(values: dict[str, float]) -> float:
        network.learner.load_state_dict(states)
        network.optimizer.state.clear()
        network.step(look, values, lr, 0.0, torch.Generator())
        network.learner.eval()
        assert held.targets is not None
        with torch.no_grad():
            return float(nn.functional.cross_entropy(network.learner(held.inputs), held.targets))

    names = [name for name in tuned if optimizer == "sgd" or name == "weight_decay"]  # how Adam stretches is for fixed
    expected = {}
    for name in names:
        above, below = (stepped({**tuned, name: tuned[name] + sign * 1e-4}) for sign in (1, -1))
        expected[name] = (above - below) / 2e-4
    stepped(tuned)
    v = network.held_out(held, 1)
    network.learner.load_state_dict(states)
    with network.curved(look, tuned) as (bent, crossed):
        weights = Weights(bent, crossed, lr, network.stretch(), network.decay(tuned))
        by_strength, by_decay = weights.by_hyperparameters(weights.answer(v, "t1t2", 0, 0.0))
    found = {**by_decay, **dict(zip(network.strengths, by_strength.tolist(), strict=True))}
    for name in names:
        assert -found[name] == pytest.approx(expected[name], rel=1e-2), name


OPTIMIZERS: dict[str, Any] = {
    "adam": lambda p: torch.optim.Adam([p], lr=0.01),
    "adamw": lambda p: torch.optim.AdamW([p], lr=0.01, weight_decay=0.0),
    "adamax": lambda p: torch.optim.Adamax([p], lr=0.01),
    "rmsprop": lambda p: torch.optim.RMSprop([p], lr=0.01),
    "adagrad": lambda p: torch.optim.Adagrad([p], lr=0.01),
    "adadelta": lambda p: torch.optim.Adadelta([p], lr=0.01),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_gradient_that_stays_is_stretched_as_the_steps_say(name: str) -> None:
    weight, gradient = nn.Parameter(torch.zeros(3, dtype=torch.float64)), torch.tensor([1.0, -0.5, 3.0]).double()
    optimizer = OPTIMIZERS[name](weight)
    for _ in range(3000):
        before, weight.grad = weight.detach().clone(), gradient.clone()
        optimizer.step()
    stretch = stretch_of(optimizer, [weight])
    assert stretch is not None
    assert (-0.01 * stretch * gradient).tolist() == pytest.approx((weight.detach() - before).tolist(), rel=0.06)


def test_sgd_stretches_nothing() -> None:
    weight = nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
    weight.grad = torch.ones(3)
    optimizer.step()
    assert stretch_of(optimizer, [weight]) is None


def test_weights_without_gradients_are_not_stretched_without_end() -> None:
    weight = nn.Parameter(torch.zeros(4))
    optimizer = torch.optim.Adam([weight])
    weight.grad = torch.tensor([1.0, 1.0, 1.0, 0.0])
    optimizer.step()
    stretch = stretch_of(optimizer, [weight])
    assert stretch is not None
    assert stretch.tolist() == pytest.approx([1, 1, 1, 100])


def test_a_held_out_loss_is_plain() -> None:
    """Neither noise nor smoothing, and no memory of it."""
    network, data = made("mlp", {**SMOOTH, "norm": "batch"}, {"label_smoothing": 0.3, "input_noise": 0.5})
    states = {name: tensor.clone() for name, tensor in network.learner.state_dict().items()}
    held = double(data.train[:32])
    found = network.held_out(held, 1)
    assert torch.equal(found, network.held_out(held, 2))
    assert all(torch.equal(states[name], now) for name, now in network.learner.state_dict().items())
    plain, _ = made("mlp", {**SMOOTH, "norm": "batch", "dropout": 0.0}, {})
    plain.learner.load_state_dict(states)
    assert torch.allclose(found, plain.slopes(Look(held, 3), {}).weights)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_the_smooth_cross_entropy_is_torchs(smoothing: float) -> None:
    logits, targets = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 3, 0, 1])
    strong = cross_entropy(logits, targets, torch.tensor(smoothing))
    assert float(strong) == pytest.approx(float(cross_entropy(logits, targets, smoothing)))


def test_a_strength_of_nought_is_absent_unless_it_is_differentiated_by() -> None:
    assert absent(0.0)
    assert not absent(0.1)
    assert not absent(torch.tensor(0.0))


@pytest.mark.parametrize(
    ("family", "config", "reason"),
    [
        ("mlp", {"optimizer": "lbfgs", "decay": "l2"}, "choose another optimizer"),
        ("esn", {}, "one loss"),
    ],
)
def test_what_cannot_descend_says_why(family: str, config: dict[str, Any], reason: str) -> None:
    dataset = next(name for name, row in DATASETS.items() if FAMILIES[family].fits(row))
    with pytest.raises(Failure, match=reason) as caught:
        made(family, config, {}, dataset)
    assert caught.value.failure is FailureClass.INFEASIBLE


def test_the_direction_of_an_adversary_is_no_function_of_the_weights() -> None:
    """What vat adds is linear in its weight: of two weights the slopes differ by the derivative, times a direction."""
    tuned = {"adversarial_weight": 0.5}
    network, data = made("mlp", {**SMOOTH, "adversarial": "vat", "adversarial_eps": 0.3}, tuned)
    look = Look(double(data.train[:12]), 5)
    direction = torch.randn(len(network.flat()), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with network.curved(look, tuned) as (_, crossed):
        (found,) = crossed(direction).tolist()
    more, less = (network.slopes(look, {"adversarial_weight": weight}).weights @ direction for weight in (1.0, 0.0))
    assert found == pytest.approx(float(more - less), rel=1e-4)
