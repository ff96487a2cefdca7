from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from workers.training.decay import decaying, penalty
from workers.training.optimizers import make_optimizer, set_lr
from workers.training.recipe import MODULES
from workers.training.settings import resolve

RECIPE = [each for module in MODULES.values() for each in module]


def step(gradient: float = 0.0, lr: float = 0.1, **config: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights (2, -1) and bias 1 of a unit after one step of plain sgd, or what the config says."""
    model = nn.Linear(2, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[2.0, -1.0]]))
        model.bias.fill_(1)
    config = {"optimizer": "sgd", "momentum": 0, "weight_decay": 0.5, **config}
    optimizer = make_optimizer(model, resolve(RECIPE, config))
    set_lr(optimizer, lr)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, gradient)
    optimizer.step()
    return model.weight.detach().flatten(), model.bias.detach()


@pytest.mark.parametrize(
    ("config", "weight", "bias"),
    [
        ({"decay": "none"}, [2, -1], 1),
        ({"decay": "l2"}, [2 - 0.1 * 0.5 * 2, -1 + 0.1 * 0.5], 1),
        ({"decay": "l2", "decay_biases": True}, [2 - 0.1 * 0.5 * 2, -1 + 0.1 * 0.5], 1 - 0.1 * 0.5),
        ({"decay": "decoupled"}, [2 * 0.95, -0.95], 1),
        ({"decay": "decoupled", "optimizer": "adam"}, [2 * 0.95, -0.95], 1),
        ({"decay": "decoupled", "optimizer": "adamw"}, [2 * 0.95, -0.95], 1),
        ({"decay": "l1"}, [2 - 0.05, -1 + 0.05], 1),
        ({"decay": "elastic", "l1_share": 0.25}, [2 - 0.05 * (0.25 + 1.5), -1 + 0.05 * (0.25 + 0.75)], 1),
        ({"decay": "max_norm", "max_norm": 5**0.5 / 2}, [1, -0.5], 1),
        ({"decay": "max_norm", "max_norm": 3}, [2, -1], 1),
    ],
)
def test_each_kind_is_its_formula(config: dict[str, Any], weight: list[float], bias: float) -> None:
    found, found_bias = step(**config)
    torch.testing.assert_close(found, torch.tensor(weight, dtype=torch.float32))
    torch.testing.assert_close(found_bias, torch.tensor([bias], dtype=torch.float32))


def test_l2_goes_through_adams_scaling_and_decoupled_does_not() -> None:
    scaled, _ = step(optimizer="adam", decay="l2")
    torch.testing.assert_close(scaled, torch.tensor([1.9, -0.9]), atol=1e-5, rtol=0)  # steps of lr, whatever the weight


def test_the_lengths_of_weight_normalization_do_not_decay() -> None:
    model = weight_norm(nn.Linear(3, 2))
    decays, others = decaying(model, {"decay_biases": False})
    assert [tuple(p.shape) for p in decays] == [(2, 3)]
    assert sorted(tuple(p.shape) for p in others) == [(2,), (2, 1)]


@pytest.mark.parametrize("kind", ["l2", "l1", "elastic"])
def test_the_penalty_has_the_gradient_of_the_decay(kind: str) -> None:
    settings = {"decay": kind, "weight_decay": 0.5, "l1_share": 0.3}
    weight = nn.Parameter(torch.tensor([[2.0, -1.0]]))
    added = penalty([weight], settings)
    assert isinstance(added, torch.Tensor)
    torch.autograd.backward(added)
    moved, _ = step(decay=kind, l1_share=0.3)
    assert weight.grad is not None
    torch.testing.assert_close(torch.tensor([2.0, -1.0]) - 0.1 * weight.grad.flatten(), moved)
