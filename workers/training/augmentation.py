"""Random changes of training images, a whole batch at once. Pixels lie in [0, 1]; what comes into view is 0.

Where the target is a class for every pixel, it moves with its image; what comes into view then has the class UNSEEN.

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
from workers.training.sequence_augmentation import varied
from workers.training.strengths import Strength, absent

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
UNSEEN = -1


def augmented(batch: Examples, settings: Mapping[str, Any], rng: torch.Generator) -> Examples:
    """The batch with its images [batch, channels, height, width] changed, or its sequences. `rng` is on the CPU, so the
    device makes no difference."""
    match settings.get("augmentation", "none"):
        case "manual":
            changed = manual(batch, settings, rng)
        case "randaugment":
            changed = randaugment(batch, settings["augmentations"], settings["augmentation_strength"], rng)
        case "trivialaugment":
            changed = trivial(batch, rng)
        case _:
            return varied(batch, settings, rng)
    share = settings.get("augmented_share", 1.0)
    if share < 1:
        chosen = torch.rand(len(batch), generator=rng) < share
        changed = either(chosen.to(batch.inputs.device), changed, batch)
    return changed


def either(chosen: Tensor, yes: Examples, no: Examples) -> Examples:
    """Of each example the one or the other; chosen [batch]."""
    batch = replace(yes, inputs=torch.where(chosen[:, None, None, None], yes.inputs, no.inputs))
    if not of_pixels(no):
        return batch
    assert yes.targets is not None
    assert no.targets is not None
    return replace(batch, targets=torch.where(chosen[:, None, None], yes.targets, no.targets))


def of_pixels(batch: Examples) -> bool:
    """Whether the targets are classes [batch, height, width]."""
    return batch.targets is not None and batch.targets.ndim == 3 and not batch.targets.is_floating_point()


def manual(batch: Examples, settings: Mapping[str, Any], rng: torch.Generator) -> Examples:
    images = batch.inputs
    u = signed((5, len(images)), rng, images)
    stretch, bend = settings.get("stretch", 0.0), settings.get("elastic", 0.0)
    if settings.get("flip"):
        mirrored = torch.rand(len(images), generator=rng).to(images.device) < 0.5
        batch = either(mirrored, flipped(batch), batch)
    sources = affine(
        images,
        degrees=u[0] * settings["rotate"],
        scale=1 + u[1] * settings["scale"],
        shift=u[2:4] * settings["shift"],
        shear=torch.zeros_like(u[2:4]),
        stretch=None if absent(stretch) else 1 + stretch * signed((len(images),), rng, images),
        bend=None if absent(bend) else elastic(images, bend, rng),
    )
    moved = warped(batch, sources)
    return replace(moved, inputs=contrast(moved.inputs, 1 + u[4] * settings["contrast"]))


def flipped(batch: Examples) -> Examples:
    targets = batch.targets.flip(-1) if of_pixels(batch) and batch.targets is not None else batch.targets
    return Examples(batch.inputs.flip(-1), targets)


def randaugment(batch: Examples, times: int, strength: float, rng: torch.Generator) -> Examples:
    for _ in range(times):
        kind = torch.randint(len(KINDS), (len(batch),), generator=rng).to(batch.inputs.device)
        batch = changed_by(batch, kind, strength * signed((len(batch),), rng, batch.inputs).sign())
    return batch


def trivial(batch: Examples, rng: torch.Generator) -> Examples:
    kind = torch.randint(len(KINDS), (len(batch),), generator=rng).to(batch.inputs.device)  # [batch]
    return changed_by(batch, kind, signed((len(batch),), rng, batch.inputs))


def signed(shape: tuple[int, ...], rng: torch.Generator, like: Tensor) -> Tensor:
    """Uniform in [-1, 1)."""
    return torch.rand(shape, generator=rng).mul_(2).sub_(1).to(like)


def changed_by(batch: Examples, kind: Tensor, u: Tensor) -> Examples:
    """Each image changed in its kind [batch] with the strength u [batch], from -1 to 1."""

    def strength(name: str) -> Tensor:
        return torch.where(kind == KINDS.index(name), u, 0)

    sources = affine(
        batch.inputs,
        degrees=ROTATE * strength("rotate"),
        scale=torch.ones_like(u),
        shift=TRANSLATE * torch.stack([strength("translate_x"), strength("translate_y")]),
        shear=SHEAR * torch.stack([strength("shear_x"), strength("shear_y")]),
    )
    moved = warped(batch, sources)
    lit = (moved.inputs * (1 + ENHANCE * strength("brightness"))[:, None, None, None]).clamp(0, 1)
    lit = contrast(lit, 1 + ENHANCE * strength("contrast"))
    # from 8 bits per pixel down to 2; from no inverted pixel to all of them
    levels = torch.exp2(2 + 6 * (1 - strength("posterize").abs())).floor()[:, None, None, None] - 1
    coarse = torch.where(is_kind(kind, "posterize"), (lit * levels).round() / levels, lit)
    inverted = torch.where(coarse > 1 - strength("solarize").abs()[:, None, None, None], 1 - coarse, coarse)
    return replace(moved, inputs=torch.where(is_kind(kind, "solarize"), inverted, coarse))


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
    """Where in its image each pixel of the changed one comes from, [batch, height, width, 2]: the image is rotated and
    scaled about its centre, then sheared and shifted.

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
    return grid


def warped(batch: Examples, sources: Tensor) -> Examples:
    """Each pixel from its source: the images' by linear interpolation, the targets' from the nearest one."""
    images = grid_sample(batch.inputs, sources, mode="bilinear", padding_mode="zeros", align_corners=False)
    if not of_pixels(batch):
        return replace(batch, inputs=images)
    assert batch.targets is not None
    classes = (batch.targets - UNSEEN)[:, None].to(sources.dtype)  # 0 is what the padding gives
    nearest = grid_sample(classes, sources, mode="nearest", padding_mode="zeros", align_corners=False)
    return Examples(images, nearest[:, 0].round().to(batch.targets.dtype) + UNSEEN)


def elastic(images: Tensor, strength: Strength, rng: torch.Generator) -> Tensor:
    """[batch, height, width, 2]: smooth normal displacements with a deviation of `strength` pixels per BEND pixels of
    the side, so that small images are bent alike."""
    sides = images.shape[-2:]
    coarse = [max(2, side // BEND + 1) for side in sides]
    points = torch.randn(len(images), 2, *coarse, generator=rng).to(images)
    smooth = interpolate(points, size=sides, mode="bicubic", align_corners=True)
    return smooth.permute(0, 2, 3, 1) * (2 * strength / BEND)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Moves the pixels of each image away from their mean, or towards it; factor [batch]."""
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return (mean + (images - mean) * factor[:, None, None, None]).clamp(0, 1)
