from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from workers.families.blocks import initialize, parameter_count
from workers.families.unet.network import UNet, Up
from workers.training.settings import Settings
from workers.training.streams import stream

MakeSettings = Callable[..., Settings]


def batch(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def drawn(model: nn.Module) -> nn.Module:
    initialize(model, "he", stream(0, "initialization"))
    return model.eval()


def test_it_has_the_parameters_of_its_layers(settings: MakeSettings) -> None:
    def count(**config: object) -> int:
        return parameter_count(UNet(settings("unet", depth=1, base=4, norm="none", **config), 1, 2))

    down, bottom = 4 * (9 + 1) + 4 * (36 + 1), 8 * (36 + 1) + 8 * (72 + 1)
    patches, refine, head = 8 * 4 * 4 + 4, 4 * (36 + 1), 2 * (4 + 1)
    assert count(merge="concat") == down + bottom + patches + 4 * (72 + 1) + refine + head
    assert count(merge="add") == count(merge="none") == down + bottom + patches + 4 * (36 + 1) + refine + head
    assert count(merge="add", up="nearest") - count(merge="add") == 4 * (72 + 1) - patches


@pytest.mark.parametrize("up", ["transposed", "nearest"])
@pytest.mark.parametrize("merge", ["concat", "add", "none"])
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 13, 10), (1, 19, 19)])
def test_the_answer_is_as_large_as_the_image(
    up: str, merge: str, depth: int, shape: tuple[int, ...], settings: MakeSettings
) -> None:
    model = drawn(UNet(settings("unet", up=up, merge=merge, depth=depth, base=2), shape[0], 3))
    assert model(batch(2, *shape)).shape == (2, 3, *shape[1:])


def test_only_bridges_depend_on_the_way_down(settings: MakeSettings) -> None:
    x, bridge = batch(2, 8, 4, 4), batch(2, 4, 8, 8)
    for merge in ("concat", "add", "none"):
        up = drawn(Up(settings("unet", merge=merge), 8, 4))
        assert torch.equal(up(x, bridge), up(x, bridge + 1)) == (merge == "none")


def test_transposed_makes_a_patch_of_each_pixel(settings: MakeSettings) -> None:
    grow = drawn(Up(settings("unet", up="transposed"), 3, 2)).get_submodule("grow")
    x = batch(1, 3, 4, 4)
    patches = torch.einsum("nihw,ioab->nohawb", x, grow.get_parameter("weight")).reshape(1, 2, 8, 8)
    torch.testing.assert_close(grow(x), patches + grow.get_parameter("bias")[:, None, None])


def test_dilation_widens_the_sight_of_the_bottom(settings: MakeSettings) -> None:
    def seen(dilate: bool) -> int:
        model = drawn(UNet(settings("unet", depth=1, base=2, dilate=dilate, norm="none", activation="elu"), 1, 2))
        x = torch.zeros(1, 1, 40, 40, requires_grad=True)
        torch.autograd.backward(model(x)[0, 0, 20, 20])
        assert x.grad is not None
        return int(x.grad[0, 0].any(dim=0).sum())

    # 3×3 convolutions reach 1, 1 pixels at half the size; dilated ones 2 and 4
    assert seen(True) - seen(False) == 2 * 2 * (2 + 4 - 1 - 1)
