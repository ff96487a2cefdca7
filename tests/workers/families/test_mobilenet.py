from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from workers.data.loading import Examples
from workers.families.blocks import initialize
from workers.families.mobilenet.network import build, network, separated
from workers.rows import Facts
from workers.training.health import multiply_adds
from workers.training.settings import Settings
from workers.training.streams import stream

MakeSettings = Callable[..., Settings]


@pytest.mark.parametrize(
    ("config", "products"),
    [
        ({"separation": "depthwise"}, 9 * 16 + 16 * 32),
        ({"separation": "depthwise", "kernel_size": 5}, 25 * 16 + 16 * 32),
        ({"separation": "grouped", "groups": 8}, 9 * 16 * 16 // 8 + 16 * 32),
        ({"separation": "spatial"}, 3 * 16 * 16 + 3 * 16 * 32),
    ],
)
def test_a_separated_convolution_costs_what_the_formula_says(
    config: dict[str, Any], products: int, settings: MakeSettings
) -> None:
    convs = [
        module
        for part in separated(settings("mobilenet", **config), 16, 32, 1)
        for module in part.modules()
        if isinstance(module, nn.Conv2d)
    ]
    assert sum(conv.weight.numel() for conv in convs) == products


def test_the_whole_network_costs_what_its_layers_cost(settings: MakeSettings) -> None:
    facts = Facts(task="classification", inputs="image", shape=(1, 28, 28), outputs=10)
    learner = build(settings("mobilenet"), facts)
    stem = 28**2 * 9 * 16
    blocks = [(28, 28, 16, 16), (28, 14, 16, 32), (14, 14, 32, 32), (14, 7, 32, 64), (7, 7, 64, 64)]
    cost = sum(small**2 * (9 * m + m * n) for _, small, m, n in blocks)
    assert multiply_adds(learner, Examples(torch.zeros(1, 1, 28, 28))) == stem + cost + 64 * 10


@pytest.mark.parametrize("alpha", [0.25, 0.6, 1.5])
def test_alpha_scales_all_maps_to_multiples_of_the_groups(alpha: float, settings: MakeSettings) -> None:
    chosen = settings("mobilenet", alpha=alpha, separation="grouped", groups=4)
    convs = [m for m in network(chosen, (1, 28, 28), 10).modules() if isinstance(m, nn.Conv2d)]
    assert [conv.out_channels % 4 for conv in convs] == [0] * len(convs)
    assert convs[-1].out_channels == pytest.approx(64 * alpha, abs=2)


@pytest.mark.parametrize("separation", ["depthwise", "spatial", "grouped"])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("kernel_size", [3, 5])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 13, 9)])
def test_all_forms_take_all_images(
    separation: str, dilation: int, kernel_size: int, shape: tuple[int, ...], settings: MakeSettings
) -> None:
    chosen = settings("mobilenet", separation=separation, dilation=dilation, kernel_size=kernel_size, alpha=0.5)
    model = network(chosen, shape, 5).eval()
    initialize(model, "he", stream(0, "initialization"))
    assert model(torch.rand(2, *shape)).shape == (2, 5)


def test_dilation_reads_further_where_the_image_is_not_halved(settings: MakeSettings) -> None:
    def read(dilation: int, stride: int) -> list[int]:
        first = separated(settings("mobilenet", dilation=dilation, norm="none"), 1, 1, stride)[0][0]
        assert isinstance(first, nn.Conv2d)
        nn.init.constant_(first.weight, 1.0)
        x = torch.zeros(1, 1, 9, 9, requires_grad=True)
        centre = 4 // stride
        torch.autograd.backward(first(x)[0, 0, centre, centre])
        assert x.grad is not None
        return x.grad[0, 0].any(dim=0).nonzero().flatten().tolist()

    assert read(1, 1) == [3, 4, 5]
    assert read(2, 1) == [2, 4, 6]
    assert read(2, 2) == [3, 4, 5]
