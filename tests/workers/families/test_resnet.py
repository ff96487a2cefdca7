from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from workers.families.blocks import attach_noise, initialize, parameter_count
from workers.families.resnet.network import Block, Padded, PathDrop, SqueezeExcitation, network
from workers.training.settings import Settings
from workers.training.streams import stream

MakeSettings = Callable[..., Settings]


def batch(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def drawn(model: nn.Module) -> nn.Module:
    initialize(model, "he", stream(0, "initialization"))
    return model.eval()


def test_branches_have_the_parameters_of_their_papers(settings: MakeSettings) -> None:
    def count(block: str, **config: object) -> int:
        chosen = settings("resnet", block=block, norm="batch", **config)
        made = Block(chosen, 32 if block == "basic" else 64, 32 if block == "basic" else 16, 1, 0.0)
        assert isinstance(made.shortcut, nn.Identity)
        return sum(m.weight.numel() for m in made.modules() if isinstance(m, nn.Conv2d))

    assert count("basic") == 2 * 9 * 32 * 32
    assert count("bottleneck") == 64 * 16 + 9 * 16 * 16 + 16 * 64
    assert count("resnext", cardinality=8) == 64 * 32 + 9 * 32 * 32 // 8 + 32 * 64


def test_a_whole_network_has_the_parameters_of_its_layers(settings: MakeSettings) -> None:
    model = network(settings("resnet", stages=2, blocks=1, width=8), (1, 8, 8), 10)
    first = 2 * 8 + 9 * 8 * 8 + 2 * 8 + 9 * 8 * 8
    second = 2 * 8 + 9 * 8 * 16 + 2 * 16 + 9 * 16 * 16 + 8 * 16
    assert parameter_count(model) == 9 * 8 + first + second + 2 * 16 + 10 * (16 + 1)
    identity = network(settings("resnet", stages=2, blocks=1, width=8, shortcut="identity"), (1, 8, 8), 10)
    assert parameter_count(model) - parameter_count(identity) == 8 * 16


def test_groups_take_any_width(settings: MakeSettings) -> None:
    model = drawn(network(settings("resnet", block="resnext", cardinality=8, width=5), (1, 8, 8), 10))
    assert model(batch(2, 1, 8, 8)).shape == (2, 10)


def test_a_residual_block_adds_to_its_input(settings: MakeSettings) -> None:
    block, x = drawn(Block(settings("resnet"), 8, 8, 1, 0.0)), batch(2, 8, 4, 4)
    torch.testing.assert_close(block(x) - x, block.get_submodule("branch")(x))


def test_a_highway_block_is_the_mean_that_its_gate_says(settings: MakeSettings) -> None:
    block, x = drawn(Block(settings("resnet", block="highway", gate_bias=-1.0), 8, 8, 1, 0.0)), batch(2, 8, 4, 4)
    conv = block.get_submodule("gate.conv")
    transform = 1 / (1 + torch.exp(1 - conv(x)))
    torch.testing.assert_close(block(x), transform * block.get_submodule("branch")(x) + (1 - transform) * x)


def test_a_closed_gate_carries_the_input_on(settings: MakeSettings) -> None:
    block, x = drawn(Block(settings("resnet", block="highway", gate_bias=-20.0), 8, 8, 1, 0.0)), batch(2, 8, 4, 4)
    torch.testing.assert_close(block(x), x, atol=1e-4, rtol=0)


def test_padding_keeps_every_other_pixel() -> None:
    x = batch(2, 3, 5, 4)
    out = Padded(3, 5, 2)(x)
    assert out.shape == (2, 5, 3, 2)
    assert torch.equal(out[:, :3], x[:, :, ::2, ::2])
    assert not out[:, 3:].any()


def test_excitation_scales_maps_by_what_all_maps_show(settings: MakeSettings) -> None:
    layer, x = drawn(SqueezeExcitation(settings("resnet", se=True, se_reduction=2), 6)), batch(2, 6, 3, 3)
    squeeze, excite = layer.get_submodule("scales.1"), layer.get_submodule("scales.3")
    scales = torch.sigmoid(excite(torch.relu(squeeze(x.flatten(2).mean(dim=2)))))
    torch.testing.assert_close(layer(x), x * scales[:, :, None, None])


def test_paths_are_dropped_whole_and_keep_the_mean() -> None:
    layer, x = PathDrop(0.25), torch.ones(4000, 2, 1, 2)
    attach_noise(layer, stream(0, "dropout", 1))
    out = layer(x)
    assert (out == out[:, :1, :, :1]).all(), "an example is dropped as a whole"
    torch.testing.assert_close(out.unique(), torch.tensor([0, 4 / 3]))
    assert out.mean().item() == pytest.approx(1, abs=0.03)
    assert torch.equal(layer.eval()(x), x)


def test_later_blocks_are_dropped_more_often(settings: MakeSettings) -> None:
    model = network(settings("resnet", stages=2, blocks=2, path_drop=0.4), (1, 8, 8), 10)
    drops = [module.p for module in model.modules() if isinstance(module, PathDrop)]
    assert drops == pytest.approx([0.1, 0.2, 0.3, 0.4])
