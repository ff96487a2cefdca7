"""Random changes of training images, a whole batch at once. Pixels lie in [0, 1]; what comes into view is 0.

manual           every image is shifted, rotated, scaled, stretched, bent and changed in contrast, up to the settings'
                 bounds, and mirrored or not
randaugment      every image gets some changes of random kind, one after the other, all of the same strength (E. Cubuk
                 et al., RandAugment, 2020)
trivialaugment   every image gets one change of random kind and strength (S. Müller and F. Hutter, TrivialAugment, 2021)

The kinds are those for grey images, the ranges the narrower ones of TrivialAugment. Elastic bending is that of
P. Simard, D. Steinkraus and J. Platt, Best practices for convolutional neural networks, 2003, on a coarse grid.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

from workers.data.loading import Examples

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
BEND = 8  # pixels between the points of the grid that bends an image


def augmented(batch: Examples, settings: Mapping[str, Any], rng: torch.Generator) -> Examples:
    """The batch with its inputs [batch, channels, height, width] changed. `rng` is on the CPU, so the device makes no
    difference."""
    images = batch.inputs
    match settings.get("augmentation", "none"):
        case "manual":
            changed = manual(images, settings, rng)
        case "randaugment":
            changed = randaugment(images, settings["augmentations"], settings["augmentation_strength"], rng)
        case "trivialaugment":
            changed = trivial(images, rng)
        case _:
            return batch
    share = settings.get("augmented_share", 1.0)
    if share < 1:
        chosen = torch.rand(len(images), generator=rng) < share
        changed = torch.where(chosen.to(images.device)[:, None, None, None], changed, images)
    return replace(batch, inputs=changed)


def manual(images: Tensor, settings: Mapping[str, Any], rng: torch.Generator) -> Tensor:
    u = signed((5, len(images)), rng, images)
    stretch, bend = settings.get("stretch", 0.0), settings.get("elastic", 0.0)
    if settings.get("flip"):
        mirrored = torch.rand(len(images), generator=rng).to(images.device) < 0.5
        images = torch.where(mirrored[:, None, None, None], images.flip(-1), images)
    moved = affine(
        images,
        degrees=u[0] * settings["rotate"],
        scale=1 + u[1] * settings["scale"],
        shift=u[2:4] * settings["shift"],
        shear=torch.zeros_like(u[2:4]),
        stretch=1 + stretch * signed((len(images),), rng, images) if stretch else None,
        bend=elastic(images, bend, rng) if bend else None,
    )
    return contrast(moved, 1 + u[4] * settings["contrast"])


def randaugment(images: Tensor, times: int, strength: float, rng: torch.Generator) -> Tensor:
    for _ in range(times):
        kind = torch.randint(len(KINDS), (len(images),), generator=rng).to(images.device)
        images = changed_by(images, kind, strength * signed((len(images),), rng, images).sign())
    return images


def trivial(images: Tensor, rng: torch.Generator) -> Tensor:
    kind = torch.randint(len(KINDS), (len(images),), generator=rng).to(images.device)  # [batch]
    return changed_by(images, kind, signed((len(images),), rng, images))


def signed(shape: tuple[int, ...], rng: torch.Generator, like: Tensor) -> Tensor:
    """Uniform in [-1, 1)."""
    return torch.rand(shape, generator=rng).mul_(2).sub_(1).to(like.device)


def changed_by(images: Tensor, kind: Tensor, u: Tensor) -> Tensor:
    """Each image changed in its kind [batch] with the strength u [batch], from -1 to 1."""

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
    inverted = torch.where(coarse > 1 - strength("solarize").abs()[:, None, None, None], 1 - coarse, coarse)
    return torch.where(is_kind(kind, "solarize"), inverted, coarse)


def is_kind(kind: Tensor, name: str) -> Tensor:
    """[batch, 1, 1, 1]"""
    return (kind == KINDS.index(name))[:, None, None, None]


def affine(
    images: Tensor,
    degrees: Tensor,
    scale: Tensor,
    shift: Tensor,
    shear: Tensor,
    stretch: Tensor | None = None,
    bend: Tensor | None = None,
) -> Tensor:
    """Rotates and scales about the centre, then shears and shifts; bilinear.

    degrees, scale [batch]; shift [2, batch] as fractions of width and height; shear [2, batch] along x and y; stretch
    [batch], the factor of the width and the divisor of the height; bend [batch, height, width, 2], by how much of half
    an image each pixel's source lies off.
    """
    height, width = images.shape[-2:]
    aspect = height / width
    cos, sin = torch.cos(degrees * math.pi / 180) / scale, torch.sin(degrees * math.pi / 180) / scale
    # torch wants the way back, from each output pixel to its source, with both sides of the image from -1 to 1
    x_row = torch.stack([cos, (shear[0] - sin) * aspect, -2 * shift[0]], dim=-1)
    y_row = torch.stack([(shear[1] + sin) / aspect, cos, -2 * shift[1]], dim=-1)
    if stretch is not None:
        sides = torch.stack([1 / stretch, stretch, torch.ones_like(stretch)], dim=-1)
        x_row, y_row = x_row * sides, y_row * sides
    grid = affine_grid(torch.stack([x_row, y_row], dim=1), list(images.shape), align_corners=False)
    if bend is not None:
        grid = grid + bend
    return grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def elastic(images: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """[batch, height, width, 2]: smooth normal displacements with a deviation of `strength` pixels per BEND pixels of
    the side, so that small images are bent alike."""
    sides = images.shape[-2:]
    coarse = [max(2, side // BEND + 1) for side in sides]
    points = torch.randn(len(images), 2, *coarse, generator=rng).to(images.device)
    smooth = interpolate(points, size=sides, mode="bicubic", align_corners=True)
    return smooth.permute(0, 2, 3, 1) * (2 * strength / BEND)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Moves the pixels of each image away from their mean, or towards it; factor [batch]."""
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return (mean + (images - mean) * factor[:, None, None, None]).clamp(0, 1)
