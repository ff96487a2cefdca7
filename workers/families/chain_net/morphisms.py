"""Weights of a chain that computes what a smaller one does (Wei et al. 2016; Chen et al. 2016, Net2Net).

    widen    the new maps of a stage are copies of old ones; whoever reads them divides the weights among the copies,
             not quite evenly, so that copies do not stay the same while they learn
    deepen   a new block at the end of a stage has an identity for its convolution, and a normalization that gives back
             what it takes away; a rectifier leaves alone what another one has answered
    kernel   the weights of a larger kernel are the old ones within zeros
    skip     begins closed: its gate, or its projection, is zero

All at once, for any growth between two chains with as many stages. Equal up to rounding in evaluation; in training,
normalization goes by the batch, and the new ones begin with what is to be expected there. Of a chain that is smaller
in some respect the first maps, the first blocks and the middle of the kernels are kept: that is no morphism.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spaces.architectures.chain import Stage

Tensors = Mapping[str, Tensor]

UNEVEN = 0.1
"""The standard deviation of how unevenly weights are divided among copies, in that of the weights."""
EPSILON = 1e-5
"""Of `BatchNorm2d`."""
LEAST_VARIANCE = 1e-2
NORM = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class Maps:
    """Where the maps of a stage come from, `source`, shape [maps], and how many copies each has, shape [old maps]."""

    source: Tensor
    copies: Tensor

    @classmethod
    def grown(cls, before: int, after: int, rng: torch.Generator) -> Maps:
        extra = torch.randint(before, (max(after - before, 0),), generator=rng)
        source = torch.cat((torch.arange(min(before, after)), extra))
        return cls(source, torch.bincount(source, minlength=before))

    def read(self, weight: Tensor, rng: torch.Generator) -> Tensor:
        """The weights [outputs, old maps, ...] of what reads the maps: [outputs, maps, ...], of copies so that the sum
        is the old weight."""
        source, copies = self.source.to(weight.device), self.copies.to(weight.device)
        shape = (1, -1, *[1] * (weight.ndim - 2))
        taken = weight[:, source]
        noise = torch.randn(taken.shape, generator=rng).to(weight) * UNEVEN * weight.std(correction=0)
        total = torch.zeros_like(weight).index_add_(1, source, noise)
        share = copies[source].reshape(shape)
        return taken / share + (noise - total[:, source] / share)


@torch.no_grad()
def morphed(
    drawn: Tensors, parent: Tensors, before: Sequence[Stage], after: Sequence[Stage], rng: torch.Generator
) -> dict[str, Tensor]:
    """The tensors of the network `after`, of which `drawn` are the first, from those of `before`. `rng` is on the CPU.

    Names are those of `network.Network`.
    """
    assert len(before) == len(after), "stages are not added"
    grown: dict[str, Tensor] = {}
    channels = parent["stages.0.0.conv.weight"].shape[1]
    reading = Maps.grown(channels, channels, rng)
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        maps = Maps.grown(old.width, new.width, rng)
        for place, form in enumerate(new.blocks):
            prefix = f"stages.{number}.{place}."
            if place < len(old.blocks):
                grown |= _kept(prefix, drawn, parent, maps, reading if place == 0 else maps, rng)
            else:
                grown |= _identity(prefix, drawn, grown, f"stages.{number}.{place - 1}.")
            assert drawn[prefix + "conv.weight"].shape[-1] == form.kernel
        reading = maps
    return grown | {"head.weight": reading.read(parent["head.weight"], rng), "head.bias": parent["head.bias"]}


def _kept(prefix: str, drawn: Tensors, parent: Tensors, maps: Maps, reading: Maps, rng: torch.Generator) -> Tensors:
    """A block that both have."""
    weight = parent[prefix + "conv.weight"]
    source = maps.source.to(weight.device)
    kernel = drawn[prefix + "conv.weight"].shape[-1]
    grown = {prefix + "conv.weight": _kernel(reading.read(weight, rng)[source], kernel)}
    grown |= {f"{prefix}norm.{name}": parent[f"{prefix}norm.{name}"][source] for name in NORM}
    grown[prefix + "norm.num_batches_tracked"] = parent[prefix + "norm.num_batches_tracked"]
    for skip in ("gate", "projection.weight"):
        name = prefix + skip
        if name in drawn and name not in parent:
            grown[name] = torch.zeros_like(drawn[name])
        elif name in drawn:
            grown[name] = parent[name] if skip == "gate" else reading.read(parent[name], rng)[source]
    return grown


def _identity(prefix: str, drawn: Tensors, grown: Tensors, last: str) -> Tensors:
    """A block that answers what the one before it does. Of that the mean and the variance are those of a rectified
    normal number, whose own are the gains and biases of the normalization there."""
    weight = torch.zeros_like(drawn[prefix + "conv.weight"])
    middle = weight.shape[-1] // 2
    weight[:, :, middle, middle] = torch.eye(len(weight), device=weight.device)
    mean, variance = rectified(grown[f"{last}norm.bias"], grown[f"{last}norm.weight"].abs())
    variance = variance.clamp(min=LEAST_VARIANCE)
    made = {
        "conv.weight": weight,
        "norm.weight": (variance + EPSILON).sqrt(),
        "norm.bias": mean,
        "norm.running_mean": mean,
        "norm.running_var": variance,
        "norm.num_batches_tracked": grown[f"{last}norm.num_batches_tracked"],
    }
    if prefix + "gate" in drawn:
        made["gate"] = torch.zeros_like(drawn[prefix + "gate"])
    return {prefix + name: tensor for name, tensor in made.items()}


def rectified(mean: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of max(x, 0), x normal."""
    ratio = mean / deviation.clamp(min=1e-6)
    below = 0.5 * (1 + torch.erf(ratio / math.sqrt(2)))
    density = torch.exp(-(ratio**2) / 2) / math.sqrt(2 * math.pi)
    first = mean * below + deviation * density
    second = (mean**2 + deviation**2) * below + mean * deviation * density
    return first, (second - first**2).clamp(min=0)


def _kernel(weight: Tensor, side: int) -> Tensor:
    """The same in the middle of a kernel of this side."""
    pad = (side - weight.shape[-1]) // 2  # below 0 it is cut
    return torch.nn.functional.pad(weight, (pad, pad, pad, pad))
