from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from workers.training.optimizers import clip_gradients, make_optimizer, set_lr
from workers.training.recipe import MODULES
from workers.training.recipe.descent import GRADUAL
from workers.training.settings import resolve

RECIPE = [each for module in MODULES.values() for each in module]


def step(config: dict[str, Any], steps: int = 1, gradient: float = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of a layer of ones after steps of 0.1 with all components of the gradient alike."""
    model = nn.Linear(2, 1)
    for parameter in model.parameters():
        nn.init.ones_(parameter)
    optimizer = make_optimizer(model, resolve(RECIPE, {"weight_decay": 0, **config}))
    set_lr(optimizer, 0.1)
    for _ in range(steps):
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, gradient)
        optimizer.step()
    return model.weight.detach(), model.bias.detach()


def test_sgd_follows_the_documented_momentum() -> None:
    weight, _ = step({"optimizer": "sgd", "momentum": 0.5}, steps=2)
    torch.testing.assert_close(weight, torch.full((1, 2), 1 - 0.1 * 1 - 0.1 * 1.5))


def test_nesterov_looks_ahead_and_is_plain_without_momentum() -> None:
    weight, _ = step({"optimizer": "sgd", "momentum": 0.5, "nesterov": True})
    torch.testing.assert_close(weight, torch.full((1, 2), 1 - 0.1 * 1.5))
    weight, _ = step({"optimizer": "sgd", "momentum": 0, "nesterov": True})
    torch.testing.assert_close(weight, torch.full((1, 2), 0.9))


@pytest.mark.parametrize("optimizer", GRADUAL)
def test_weights_decay_and_biases_do_not(optimizer: str) -> None:
    weight, bias = step({"optimizer": optimizer, "weight_decay": 0.5}, gradient=0)
    assert (weight < 1).all()
    assert (bias == 1).all()


def test_adamw_decays_beside_the_step() -> None:
    weight, _ = step({"optimizer": "adamw", "weight_decay": 0.5})
    torch.testing.assert_close(weight, torch.full((1, 2), 1 - 0.1 * 0.5 - 0.1), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"clip": "none"}, [3.0, 4.0]),
        ({"clip": "norm", "clip_norm": 1}, [0.6, 0.8]),
        ({"clip": "norm", "clip_norm": 10}, [3.0, 4.0]),
        ({"clip": "value", "clip_value": 3.5}, [3.0, 3.5]),
    ],
)
def test_gradients_are_clipped(config: dict[str, Any], expected: list[float]) -> None:
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([3.0, 4.0])
    clip_gradients([parameter], resolve(RECIPE, config))
    torch.testing.assert_close(parameter.grad, torch.tensor(expected), atol=1e-5, rtol=0)
