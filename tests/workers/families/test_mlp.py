from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from workers.families.blocks import attach_noise, initialize
from workers.families.mlp.network import Highway, layer_widths, network
from workers.training.settings import Settings
from workers.training.streams import stream


@pytest.mark.parametrize(
    ("shape", "depth", "expected"),
    [
        ("constant", 3, [90, 90, 90]),
        ("funnel", 4, [90, 70, 50, 30]),  # evenly down to the 10 outputs
        ("diamond", 3, [68, 90, 68]),
        ("diamond", 2, [90, 90]),
        ("diamond", 1, [90]),
    ],
)
def test_widths(shape: str, depth: int, expected: list[int]) -> None:
    assert layer_widths(shape, depth, 90, outputs=10) == expected


@pytest.mark.parametrize("skip", ["none", "residual", "dense", "highway"])
@pytest.mark.parametrize("shape", ["constant", "funnel", "diamond"])
@pytest.mark.parametrize("depth", [1, 4])
def test_all_forms_answer_logits_and_learn_everywhere(
    skip: str, shape: str, depth: int, settings: Callable[..., Settings]
) -> None:
    model = network(settings("mlp", skip=skip, shape=shape, depth=depth, width=24), (1, 8, 8), 10)
    initialize(model, "he", stream(0, "initialization"))
    attach_noise(model, stream(0, "dropout"))
    out = model(torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0)))
    assert out.shape == (6, 10)
    torch.autograd.backward(out.square().sum())
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_highway_with_a_low_bias_carries_its_input_on(settings: Callable[..., Settings]) -> None:
    layer = Highway(torch.nn.Linear(5, 5), 5, 5, gate_bias=-20)
    initialize(layer, "he", stream(0, "initialization"))
    x = torch.rand(3, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer(x), x, atol=1e-5, rtol=0)


def test_the_plain_network_is_the_textbooks(settings: Callable[..., Settings]) -> None:
    """logits = W3 relu(W2 relu(W1 x + b1) + b2) + b3"""
    model = network(settings("mlp", norm="none", dropout=0, width=16), (7,), 3)
    initialize(model, "he", stream(0, "initialization"))
    w1, b1, w2, b2, w3, b3 = model.parameters()
    x = torch.rand(4, 7, generator=torch.Generator().manual_seed(0))
    expected = torch.relu(torch.relu(x @ w1.T + b1) @ w2.T + b2) @ w3.T + b3
    torch.testing.assert_close(model(x), expected)
