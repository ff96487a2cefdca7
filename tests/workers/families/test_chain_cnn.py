from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from workers.families.blocks import initialize, parameter_count
from workers.families.chain_cnn.network import network
from workers.training.settings import Settings
from workers.training.streams import stream

MakeSettings = Callable[..., Settings]


def convolutions(model: nn.Module) -> list[nn.Conv2d]:
    return [module for module in model.modules() if isinstance(module, nn.Conv2d)]


def drawn(model: nn.Module) -> nn.Module:
    initialize(model, "he", stream(0, "initialization"))
    return model.eval()


def test_vgg_has_the_parameters_of_its_layers(settings: MakeSettings) -> None:
    vgg = network(settings("chain_cnn", norm="none", blocks=2, convs=2, width=8, fc=32), (3, 16, 16), 10)
    convs = 8 * (27 + 1) + 8 * (72 + 1) + 16 * (72 + 1) + 16 * (144 + 1)
    assert parameter_count(vgg) == convs + 32 * (16 * 16 + 1) + 32 * (32 + 1) + 10 * (32 + 1)
    gap = network(settings("chain_cnn", norm="none", blocks=2, convs=2, width=8, head="gap"), (3, 16, 16), 10)
    assert parameter_count(gap) == convs + 10 * (16 + 1)


def test_alexnet_and_zfnet_have_five_convolutions(settings: MakeSettings) -> None:
    full = {"blocks": 5, "width": 8, "growth": 1.5, "stem_kernel": 7, "stem_stride": 2}
    alex, zf = (convolutions(network(settings("chain_cnn", style=s, **full), (3, 64, 64), 10)) for s in ("alex", "zf"))
    assert [conv.kernel_size[0] for conv in alex] == [7, 5, 3, 3, 3]
    assert [conv.stride[0] for conv in alex] == [2, 1, 1, 1, 1]
    assert [conv.groups for conv in alex] == [1, 2, 1, 2, 2]
    assert [conv.groups for conv in zf] == [1, 1, 1, 1, 1]
    assert [conv.out_channels for conv in zf] == [8, 12, 18, 28, 40]  # 27 maps have no halves


def test_the_second_convolution_of_alexnet_is_split(settings: MakeSettings) -> None:
    chosen = settings("chain_cnn", style="alex", blocks=2, width=8, norm="none")
    second = drawn(network(chosen, (1, 8, 8), 10)).get_submodule("0.2.0")
    x = torch.rand(1, 8, 4, 4, generator=torch.Generator().manual_seed(0))
    changed = x.clone()
    changed[:, 4:] += 1
    same = (second(x) == second(changed)).flatten(2).all(dim=2)[0]
    assert same.tolist() == [True] * 8 + [False] * 8


def test_responses_are_normalized_as_in_the_paper(settings: MakeSettings) -> None:
    chosen = settings("chain_cnn", style="alex", blocks=1, width=8, response_norm=True)
    (layer,) = (m for m in network(chosen, (1, 8, 8), 10).modules() if isinstance(m, nn.LocalResponseNorm))
    a = 50 * torch.rand(2, 8, 3, 3, generator=torch.Generator().manual_seed(0))
    for i in range(8):
        total = a[:, max(0, i - 2) : i + 3].square().sum(dim=1)
        torch.testing.assert_close(layer(a)[:, i], a[:, i] / (2 + 1e-4 * total) ** 0.75)


def test_nin_answers_the_means_of_class_maps(settings: MakeSettings) -> None:
    nin = drawn(network(settings("chain_cnn", style="nin", blocks=2, mlpconv=2, width=8), (1, 8, 8), 10))
    assert [conv.kernel_size[0] for conv in convolutions(nin)] == [5, 1, 1, 5, 1, 1]
    assert not any(isinstance(module, nn.Linear) for module in nin.modules())
    x = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    maps = nn.Sequential(*list(nin.children())[:-1])(x)
    assert maps.shape == (2, 10, 4, 4)
    torch.testing.assert_close(nin(x), maps.flatten(2).mean(dim=2))


@pytest.mark.parametrize("style", ["alex", "zf", "vgg", "nin"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 13, 9), (1, 28, 28)])
@pytest.mark.parametrize("head", ["fc", "gap"])
def test_all_styles_take_all_images(style: str, shape: tuple[int, ...], head: str, settings: MakeSettings) -> None:
    model = drawn(network(settings("chain_cnn", style=style, head=head, width=7, growth=1.5), shape, 5))
    assert model(torch.rand(2, *shape)).shape == (2, 5)
