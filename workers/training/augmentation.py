"""Random changes of training images, a whole batch at once. Pixels lie in [0, 1]; what comes into view is 0.

manual           every image is shifted, rotated, scaled and changed in contrast, up to the settings' bounds
trivialaugment   every image gets one change of random kind and strength (S. Müller and F. Hutter, TrivialAugment,
                 2021, with its kinds for grey images and its narrower ranges)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

KINDS = (
    "identity",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
    "rotate",
    "brightness",
    "contrast",
    "posterize",
    "solarize",
)
# the strongest changes: a slope, a fraction of the side, degrees, a relative change
SHEAR, TRANSLATE, ROTATE, ENHANCE = 0.3, 0.3, 30.0, 0.9


def augment(images: Tensor, settings: Mapping[str, Any], rng: torch.Generator) -> Tensor:
    """[batch, channels, height, width], of the same shape. `rng` is on the CPU, so the device makes no difference."""
    match settings.get("augmentation", "none"):
        case "manual":
            return manual(images, settings, rng)
        case "trivialaugment":
            return trivial(images, rng)
        case _:
            return images


def manual(images: Tensor, settings: Mapping[str, Any], rng: torch.Generator) -> Tensor:
    u = torch.rand(5, len(images), generator=rng).mul_(2).sub_(1).to(images.device)  # [5, batch] in [-1, 1)
    moved = affine(
        images,
        degrees=u[0] * settings["rotate"],
        scale=1 + u[1] * settings["scale"],
        shift=u[2:4] * settings["shift"],
        shear=torch.zeros_like(u[2:4]),
    )
    return contrast(moved, 1 + u[4] * settings["contrast"])


def trivial(images: Tensor, rng: torch.Generator) -> Tensor:
    kind = torch.randint(len(KINDS), (len(images),), generator=rng).to(images.device)  # [batch]
    u = torch.rand(len(images), generator=rng).mul_(2).sub_(1).to(images.device)  # [batch] in [-1, 1)

    def strength(name: str) -> Tensor:
        return torch.where(kind == KINDS.index(name), u, 0)

    moved = affine(
        images,
        degrees=ROTATE * strength("rotate"),
        scale=torch.ones_like(u),
        shift=TRANSLATE * torch.stack([strength("translate_x"), strength("translate_y")]),
        shear=SHEAR * torch.stack([strength("shear_x"), strength("shear_y")]),
    )
    lit = (moved * (1 + ENHANCE * strength("brightness"))[:, None, None, None]).clamp(0, 1)
    lit = contrast(lit, 1 + ENHANCE * strength("contrast"))
    # from 8 bits per pixel down to 2; from no inverted pixel to all of them
    levels = torch.exp2(2 + 6 * (1 - strength("posterize").abs())).floor()[:, None, None, None] - 1
    coarse = torch.where(is_kind(kind, "posterize"), (lit * levels).round() / levels, lit)
    inverted = torch.where(coarse >= strength("solarize").abs()[:, None, None, None], 1 - coarse, coarse)
    return torch.where(is_kind(kind, "solarize"), inverted, coarse)


def is_kind(kind: Tensor, name: str) -> Tensor:
    """[batch, 1, 1, 1]"""
    return (kind == KINDS.index(name))[:, None, None, None]


def affine(images: Tensor, degrees: Tensor, scale: Tensor, shift: Tensor, shear: Tensor) -> Tensor:
    """Rotates and scales about the centre, then shears and shifts; bilinear.

    degrees, scale [batch]; shift [2, batch] as fractions of width and height; shear [2, batch] along x and y.
    """
    height, width = images.shape[-2:]
    aspect = height / width
    cos, sin = torch.cos(degrees * math.pi / 180) / scale, torch.sin(degrees * math.pi / 180) / scale
    # torch wants the way back, from each output pixel to its source, with both sides of the image from -1 to 1
    x_row = torch.stack([cos, (shear[0] - sin) * aspect, -2 * shift[0]], dim=-1)
    y_row = torch.stack([(shear[1] + sin) / aspect, cos, -2 * shift[1]], dim=-1)
    grid = torch.nn.functional.affine_grid(torch.stack([x_row, y_row], dim=1), list(images.shape), align_corners=False)
    return torch.nn.functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Moves the pixels of each image away from their mean, or towards it; factor [batch]."""
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return (mean + (images - mean) * factor[:, None, None, None]).clamp(0, 1)
