"""What networks are built from. Nothing here draws from torch's global generator, which threads share: weights come
from `workers.families.initialization`, noise from `attach_noise`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from workers.families.activations import ACTIVATION_TYPES, ACTIVATIONS, Maxout, RadialBasis, pieces
from workers.families.failures import infeasible
from workers.families.initialization import Gate, initialize
from workers.families.noise import Dropout, Noise, PathDrop, attach_noise

__all__ = [
    "ACTIVATIONS",
    "ACTIVATION_TYPES",
    "Dropout",
    "Gate",
    "Noise",
    "PathDrop",
    "Settings",
    "Sparse",
    "activation",
    "attach_noise",
    "dense",
    "infeasible",
    "initialize",
    "norm",
    "parameter_count",
    "pieces",
    "unit",
]

Settings = Mapping[str, Any]


class Sparse(nn.Module):
    """A layer with weights that it never reads: `unread` of them."""

    unread: int


def activation(settings: Settings) -> nn.Module:
    """The nonlinearity, and the noise on what it answers. Raises Failure INFEASIBLE for one that is more than a
    function of each number: `dense` and `unit` have those."""
    make = ACTIVATIONS[settings["activation"]]
    if make is None:
        raise infeasible(f"activation {settings['activation']} is none for these layers; choose another one")
    return _noisy(settings, make(settings))


def _noisy(settings: Settings, module: nn.Module) -> nn.Module:
    deviation = settings.get("hidden_noise", 0.0)
    return nn.Sequential(module, Noise("hidden_noise", deviation)) if deviation else module


def norm(settings: Settings, channels: int, dimensions: int, affine: bool = True, tracked: bool = True) -> nn.Module:
    """Normalizes [batch, channels, *dimensions positions]; the identity when there is none to put here. `affine`: with
    gains and biases of its own; `tracked`: with the statistics of the batches before, in evaluation."""
    match settings["norm"]:
        case "batch":  # S. Ioffe and C. Szegedy 2015
            if settings["batch_size"] < 3 and dimensions == 0:  # of an odd number of examples one may be left alone
                size = settings["batch_size"]
                raise infeasible(f"batch normalization needs a batch_size of 3 at least, got {size}")
            kind = nn.BatchNorm2d if dimensions == 2 else nn.BatchNorm1d
            momentum = settings.get("norm_momentum", 0.1)
            return kind(channels, momentum=momentum, affine=affine, track_running_stats=tracked)
        case "layer":  # J. Ba, J. Kiros and G. Hinton 2016; over channels and positions
            return nn.GroupNorm(1, channels, affine=affine)
        case "group":  # Y. Wu and K. He 2018
            groups = min(settings["norm_groups"], channels)
            divisor = next(g for g in range(groups, 0, -1) if channels % g == 0)
            return nn.GroupNorm(divisor, channels, affine=affine)
        case "instance":  # D. Ulyanov, A. Vedaldi and V. Lempitsky 2016; over the positions of each channel
            return nn.GroupNorm(channels, channels, affine=affine) if dimensions else nn.Identity()
        case _:  # weight normalization is no layer: `initialization.normalize_weights`
            return nn.Identity()


def unit(settings: Settings, channels: int, dimensions: int) -> nn.Sequential:
    """[batch, pieces(settings) channels, *positions] -> [batch, channels, *positions]: norm and activation, in the
    order that the settings ask for. Before it stands an affine layer or a convolution with so many outputs."""
    k = pieces(settings)
    bent = activation(settings) if k == 1 else _noisy(settings, Maxout(k))
    if settings.get("norm_place", "before") == "after":
        return nn.Sequential(bent, norm(settings, channels, dimensions))
    return nn.Sequential(norm(settings, k * channels, dimensions), bent)


def dense(settings: Settings, inputs: int, outputs: int) -> nn.Sequential:
    """[batch, inputs] -> [batch, outputs]: affine, norm, activation, dropout. Radial units are a layer of their own."""
    dropout = Dropout(settings["dropout"])
    if settings["activation"] == "rbf":
        radial = RadialBasis(inputs, outputs, settings.get("rbf_width", 1.0))
        return nn.Sequential(_noisy(settings, radial), norm(settings, outputs, dimensions=0), dropout)
    return nn.Sequential(nn.Linear(inputs, pieces(settings) * outputs), *unit(settings, outputs, dimensions=0), dropout)


def parameter_count(model: nn.Module) -> int:
    """How many numbers training fits. What is there but never read is not among them."""
    unread = sum(module.unread for module in model.modules() if isinstance(module, Sparse))
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad) - unread
