from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from workers.catalogue import FAMILIES
from workers.data.loading import Examples
from workers.protocol import Failure, FailureClass
from workers.rows import Facts
from workers.training.adversarial import robust_loss, sensitivity
from workers.training.assembly import assemble
from workers.training.learner import Learner
from workers.training.settings import resolve
from workers.training.streams import stream

W = torch.tensor([1.0, -2.0, 0.5])


class Straight(Learner):
    """f(x) = w x with the loss f(x)², on inputs of the given scale."""

    scale = 1.0

    def __init__(self) -> None:
        super().__init__({}, Facts(task="regression", inputs="table", shape=(3,), outputs=1))
        self.weight = nn.Parameter(W.clone())

    @property
    def input_scale(self) -> Tensor:
        return torch.full((3,), self.scale)

    def forward(self, inputs: Tensor) -> Tensor:
        return (inputs @ self.weight)[:, None]

    def loss(self, batch: Examples, rng: torch.Generator) -> Tensor:
        squares: Tensor = self(batch.inputs).square()
        return squares.mean()

    def evaluate(self, examples: Examples, rng: torch.Generator) -> dict[str, float]:
        return {}


def added(kind: str, inputs: Tensor, scale: float = 1.0) -> float:
    learner = Straight()
    learner.scale = scale
    settings = {"adversarial": kind, "adversarial_eps": 0.1, "adversarial_weight": 2.0}
    draws, rng = stream(0, "loss"), stream(0, "adversarial")
    loss = robust_loss(learner, Examples(inputs), settings, draws, rng)
    torch.autograd.backward(loss)
    assert learner.weight.grad is not None
    return float((loss - learner.loss(Examples(inputs), draws)).detach() / 2)


X = torch.tensor([[1.0, 1.0, 1.0], [2.0, 0.0, 1.0]])  # answers -0.5 and 2.5


def test_fgsm_moves_every_input_uphill() -> None:
    answers = X @ W
    moved = answers + answers.sign() * 0.1 * W.abs().sum()
    assert added("fgsm", X) == pytest.approx(float(moved.square().mean()))
    moved = answers + answers.sign() * 0.1 * 3 * W.abs().sum()
    assert added("fgsm", X, scale=3) == pytest.approx(float(moved.square().mean()))


def test_double_backprop_adds_the_squared_slope_of_each_example() -> None:
    slopes = 2 * (X @ W)[:, None] * W
    assert added("double_backprop", X) == pytest.approx(float(slopes.square().sum(dim=1).mean()))


def test_vat_finds_the_direction_that_changes_the_answer() -> None:
    """For a linear answer it is that of the weights: the answer moves by e √3 |w|."""
    assert added("vat", X) == pytest.approx(3 * 0.01 * float(W.square().sum()), rel=1e-4)


def test_vat_of_classes_is_a_divergence_and_vanishes_with_the_change() -> None:
    facts = Facts(task="classification", inputs="table", shape=(5,), outputs=3)
    family = FAMILIES["mlp"]
    learner = assemble(family, resolve(family.hyperparameters("table"), {}), facts, stream(0, "initialization"))
    learner.eval()
    x = torch.randn(8, 5, generator=torch.Generator().manual_seed(0))
    sizes = [float(sensitivity(learner, x, eps, stream(0, "adversarial")).detach()) for eps in (0.3, 0.03, 0.0)]
    assert sizes[0] > sizes[1] > 0
    assert sizes[2] == pytest.approx(0, abs=1e-6)


def test_names_have_no_neighbours(train: Any) -> None:
    family = FAMILIES["mlp"]
    facts = Facts(task="classification", inputs="text", shape=(5,), outputs=3)
    with pytest.raises(Failure, match="names") as caught:
        assemble(family, resolve(family.hyperparameters("table"), {"adversarial": "fgsm"}), facts, None)
    assert caught.value.failure is FailureClass.INFEASIBLE
