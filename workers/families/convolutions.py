"""What convolutional networks share: a convolution with its norm and activation, and which images are too small."""

from __future__ import annotations

from torch import Tensor, nn

from workers.families.blocks import Settings, infeasible, pieces, unit
from workers.families.halvings import objection


def convolution(
    settings: Settings,
    inputs: int,
    outputs: int,
    kernel: int | tuple[int, int],
    stride: int = 1,
    groups: int = 1,
    dilation: int = 1,
) -> nn.Conv2d:
    """[n, inputs, h, w] -> [n, outputs, ⌈h / stride⌉, ⌈w / stride⌉] for odd kernels. It has a bias where no norm, that
    would take it away again, comes next."""
    kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = (dilation * (kernel[0] // 2), dilation * (kernel[1] // 2))
    bias = settings["norm"] in ("none", "weight") or settings.get("norm_place", "before") == "after"
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias)


def convolved(
    settings: Settings,
    inputs: int,
    outputs: int,
    kernel: int | tuple[int, int],
    stride: int = 1,
    groups: int = 1,
    dilation: int = 1,
) -> nn.Sequential:
    """A convolution, its norm, its activation."""
    conv = convolution(settings, inputs, pieces(settings) * outputs, kernel, stride, groups, dilation)
    return nn.Sequential(conv, *unit(settings, outputs, dimensions=2))


class GlobalAverage(nn.Module):
    """[n, channels, h, w] -> [n, channels]: the mean over the positions (M. Lin et al., Network in network, 2014)"""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


def check_halvings(settings: Settings, shape: tuple[int, ...], times: int, remedy: str) -> None:
    """Raises Failure INFEASIBLE where an image [channels, height, width] cannot be halved so often."""
    if reason := objection(settings, shape, times, remedy):
        raise infeasible(reason)
