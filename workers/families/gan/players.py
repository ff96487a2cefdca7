"""The two players: generators of points and of images, and their discriminators."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from workers.families.blocks import Settings

SLOPE = 0.2  # of the discriminator's leaky rectifiers
KERNELS, KERNEL_SIZE = 16, 8  # of minibatch discrimination
REFERENCES = 64  # examples that virtual batch normalization refers to


def generator_of(settings: Settings, shape: tuple[int, ...], labels: int) -> nn.Module:
    """[n, latent + labels] -> [n, *shape], standardized; images get pixels from 0 to 1."""
    inputs, width = settings["latent"] + labels, settings["width"]
    if len(shape) == 3:
        return ImageGenerator(inputs, width, shape)
    hidden = [nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(*hidden, nn.Linear(width, math.prod(shape)), nn.Unflatten(1, shape))


class ImageGenerator(nn.Module):
    """A quarter of the sides with `width` maps, then twice nearest neighbours and a convolution: half with `width` / 2
    maps, then the image (after A. Radford et al., Unsupervised representation learning with DCGAN, 2016)."""

    def __init__(self, inputs: int, width: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        channels, rows, columns = shape
        few = max(1, width // 2)
        small = (width, math.ceil(rows / 4), math.ceil(columns / 4))
        self.layers = nn.Sequential(
            nn.Linear(inputs, math.prod(small)),
            nn.Unflatten(1, small),
            nn.ReLU(),
            nn.Upsample((math.ceil(rows / 2), math.ceil(columns / 2))),
            nn.Conv2d(width, few, 3, padding=1),
            nn.ReLU(),
            nn.Upsample((rows, columns)),
            nn.Conv2d(few, channels, 3, padding=1),
            nn.Sigmoid(),
        )

    def forward(self, z: Tensor) -> Tensor:
        out: Tensor = self.layers(z)
        return out


class Discriminator(nn.Module):
    """x [n, *shape] and classes [n, labels], one-hot -> logits [n]

    Points go through two hidden layers, images through two convolutions that halve their sides. `reference` [r, *shape]
    and its classes pass through first where hidden units are normalized by them.
    """

    def __init__(self, settings: Settings, shape: tuple[int, ...], labels: int, sees_batch: bool) -> None:
        super().__init__()
        width, kind = settings["width"], settings["d_norm"]
        self.image = len(shape) == 3
        if self.image:
            few, rows, columns = max(1, width // 2), math.ceil(shape[1] / 4), math.ceil(shape[2] / 4)
            first: nn.Module = nn.Conv2d(shape[0] + labels, few, 3, stride=2, padding=1)
            second: nn.Module = nn.Conv2d(few, width, 3, stride=2, padding=1)
            sizes, features = (few, width), width * rows * columns
        else:
            first, second = nn.Linear(math.prod(shape) + labels, width), nn.Linear(width, width)
            sizes, features = (width, width), width
        layers = [
            [layer, normalization(kind, size), nn.LeakyReLU(SLOPE)]
            for layer, size in zip((first, second), sizes, strict=True)
        ]
        self.hidden = nn.ModuleList(module for layer in layers for module in layer)
        self.batch = MinibatchFeatures(features) if sees_batch else None
        self.out = nn.Linear(features + (KERNELS if sees_batch else 0), 1)

    def forward(self, x: Tensor, classes: Tensor, reference: tuple[Tensor, Tensor] | None) -> Tensor:
        h, references = self.joined(x, classes), 0
        if reference is not None:
            h, references = torch.cat([self.joined(*reference), h]), len(reference[0])
        for module in self.hidden:
            h = module(h, references) if isinstance(module, VirtualBatchNorm) else module(h)
        features = h[references:].flatten(1)
        if self.batch is not None:
            features = torch.cat([features, self.batch(features)], dim=1)
        logits: Tensor = self.out(features)
        return logits[:, 0]

    def joined(self, x: Tensor, classes: Tensor) -> Tensor:
        """An image with a map per class, a point with a number per class."""
        if self.image:
            maps = classes[:, :, None, None].expand(-1, -1, *x.shape[2:])
            return torch.cat([x, maps], dim=1)
        return torch.cat([x.flatten(1), classes], dim=1)


def normalization(kind: str, size: int) -> nn.Module:
    match kind:
        case "layer":
            return nn.GroupNorm(1, size)
        case "virtual_batch":
            return VirtualBatchNorm(size)
        case _:
            return nn.Identity()


class VirtualBatchNorm(nn.Module):
    """Normalizes every example by the statistics of a fixed reference batch and of itself alone, so that examples do
    not depend on each other (T. Salimans et al., Improved techniques for training GANs, 2016)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, h: Tensor, references: int) -> Tensor:
        """[references + n, size, ...] -> the same, normalized; the first rows are the reference batch."""
        # in half the precision nothing would be left of the difference of squares
        h = h.to(torch.promote_types(h.dtype, torch.float32))
        over = list(range(2, h.ndim))
        mean, square = (part.mean(dim=over, keepdim=True) if over else part for part in (h, h.square()))
        # an example counts as one more of the reference batch; the references count as they are
        share = torch.full((len(h), *(1,) * (h.ndim - 1)), 1 / (references + 1), dtype=h.dtype, device=h.device)
        share[:references] = 0
        mean = (1 - share) * mean[:references].mean(dim=0) + share * mean
        square = (1 - share) * square[:references].mean(dim=0) + share * square
        scaled = (h - mean) * torch.rsqrt((square - mean.square()).clamp_min(0) + 1e-5)
        size = (-1, *(1,) * len(over))
        return scaled * self.gain.view(size) + self.bias.view(size)


class MinibatchFeatures(nn.Module):
    """[n, features] -> [n, KERNELS]: Σ over the other examples j of exp(-|M_i - M_j|), where M = T features, a vector
    for each kernel. Samples that are all alike give themselves away (T. Salimans et al. 2016)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.project = nn.Linear(features, KERNELS * KERNEL_SIZE, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        m = self.project(features).unflatten(1, (KERNELS, KERNEL_SIZE)).transpose(0, 1)  # [KERNELS, n, KERNEL_SIZE]
        alike = torch.exp(-torch.cdist(m, m, p=1))
        return alike.sum(dim=2).T - 1  # an example is 1 like itself
