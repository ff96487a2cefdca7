"""p(x|z): from latents [n, latent], and the pixels before where the decoder reads them, to one number per input
[n, *shape]: a logit, or a mean."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from workers.families.blocks import Settings, Sparse, activation, dense, infeasible

PIXEL_FILTERS = 8  # a masked convolution has one filter per this many units of width: it looks everywhere


def decoder_of(settings: Settings, shape: tuple[int, ...]) -> nn.Module:
    kind = settings["decoder"]
    if kind != "mlp" and len(shape) != 3:
        raise infeasible(f"a {kind} decoder makes images, and an example has the shape {list(shape)}: use mlp")
    match kind:
        case "conv":
            return ConvDecoder(settings, shape)
        case "pixelcnn":
            return PixelCNN(settings, shape)
        case _:
            return MLPDecoder(settings, shape)


class MLPDecoder(nn.Module):
    def __init__(self, settings: Settings, shape: tuple[int, ...]) -> None:
        super().__init__()
        sizes = [settings["latent"], *[settings["width"]] * settings["depth"]]
        layers = [dense(settings, *pair) for pair in pairwise(sizes)]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], math.prod(shape)), nn.Unflatten(1, shape))

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        out: Tensor = self.layers(z)
        return out


class ConvDecoder(nn.Module):
    """A quarter of the image's sides, then twice nearest neighbours and a convolution, `depth` of them each time.

    width / 4 maps at a quarter of the sides, width / 8 at half.
    """

    def __init__(self, settings: Settings, shape: tuple[int, ...]) -> None:
        super().__init__()
        channels, height, width = shape
        many, few = max(1, settings["width"] // 4), max(1, settings["width"] // 8)
        self.small = (many, math.ceil(height / 4), math.ceil(width / 4))
        self.start = dense(settings, settings["latent"], math.prod(self.small))
        layers: list[nn.Module] = [nn.Upsample((math.ceil(height / 2), math.ceil(width / 2)))]
        for index in range(settings["depth"]):
            layers += [nn.Conv2d(many if index == 0 else few, few, 3, padding=1), activation(settings)]
        layers += [nn.Upsample((height, width)), nn.Conv2d(few, channels, 3, padding=1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        out: Tensor = self.layers(self.start(z).unflatten(1, self.small))
        return out


class MaskedConv2d(nn.Conv2d, Sparse):
    """A convolution that reads only what comes before a pixel, row by row from the top left; and, unless it is the
    `first`, the pixel itself, which by then stands for those before it. The channels of a pixel count as one."""

    mask: Tensor

    def __init__(self, inputs: int, outputs: int, kernel: int, first: bool) -> None:
        super().__init__(inputs, outputs, kernel, padding=kernel // 2)
        before = torch.zeros(kernel * kernel)
        before[: kernel * kernel // 2 + (0 if first else 1)] = 1
        self.register_buffer("mask", before.reshape(kernel, kernel), persistent=False)
        self.unread = int((before == 0).sum()) * inputs * outputs

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


class PixelCNN(nn.Module):
    """p(x|z) = Π p(x_i | x_before i, z): residual masked convolutions, each with a bias that depends on z
    (A. van den Oord et al., Conditional image generation with PixelCNN decoders, 2016, without gates)."""

    def __init__(self, settings: Settings, shape: tuple[int, ...]) -> None:
        super().__init__()
        filters = max(1, settings["width"] // PIXEL_FILTERS)
        self.first = MaskedConv2d(shape[0], filters, 7, first=True)
        self.layers = nn.ModuleList(MaskedConv2d(filters, filters, 3, first=False) for _ in range(settings["depth"]))
        self.biases = nn.ModuleList(nn.Linear(settings["latent"], filters) for _ in range(settings["depth"] + 1))
        self.activations = nn.ModuleList(activation(settings) for _ in range(settings["depth"] + 1))
        self.out = nn.Conv2d(filters, shape[0], 1)

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        h = self.first(x) + self.biases[0](z)[:, :, None, None]
        for layer, bias, act in zip(self.layers, self.biases[1:], self.activations, strict=False):
            h = h + layer(act(h)) + bias(z)[:, :, None, None]
        out: Tensor = self.out(self.activations[-1](h))
        return out
