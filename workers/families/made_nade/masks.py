"""Which unit may read which, so that the output for an input depends on the inputs before it alone.

Every unit has a degree: an input's is its place in the order, from 1 to D; a hidden unit's is how many of the first
inputs it may depend on, from 1 to D - 1. A unit reads those of the layer below whose degree is no larger than its own,
an output those whose degree is smaller (M. Germain et al., MADE, 2015, section 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Masks:
    """`hidden` [units, units below] one per hidden layer, `output` [D, units], `direct` [D, D]; of 0 and 1."""

    hidden: tuple[Tensor, ...]
    output: Tensor
    direct: Tensor


def masks_of(inputs: int, units: int, layers: int, order: str, number: int) -> Masks:
    """The set of masks with this number, the same for all seeds. The first one spreads the hidden degrees evenly; the
    others draw them, none below the smallest of the layer below, so that no unit is cut off."""
    rng = torch.Generator().manual_seed(number)
    first = places(inputs, order, number)
    degrees = [first]
    for _ in range(layers):
        low, high = int(degrees[-1].min()), max(1, inputs - 1)
        if number == 0:
            degrees.append(torch.arange(units) % (high - low + 1) + low)
        else:
            degrees.append(torch.randint(low, high + 1, (units,), generator=rng))
    hidden = tuple(above[:, None] >= below for below, above in pairwise(degrees))
    return Masks(
        tuple(mask.float() for mask in hidden),
        (first[:, None] > degrees[-1]).float(),
        (first[:, None] > first).float(),
    )


def places(inputs: int, order: str, number: int) -> Tensor:
    """[inputs]: the place of every input in the order, from 1. A random order is the same for all seeds."""
    if order == "raster":
        return torch.arange(1, inputs + 1)
    return torch.randperm(inputs, generator=torch.Generator().manual_seed(1000 + number)) + 1
