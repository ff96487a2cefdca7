"""Random changes of training sequences [batch, steps, features], a whole batch at once. Shorter sequences begin later:
their first steps are missing (NaN), before a change and after it.

speed       time runs faster or slower, up to the last step: x(T - s d), d steps before the end T, by linear
            interpolation. What would lie before the beginning is missing; what no longer fits is cut away
crop        a window of the sequence, moved to its end (A. Le Guennec, S. Malinowski and R. Tavenard, Data augmentation
            for time series classification using convolutional neural networks, 2016)
step_swap   neighbours change places
jitter      noise on each step (T. Um et al., Data augmentation of wearable sensor data for Parkinson's disease
            monitoring using convolutional neural networks, 2017)

Of a series whose next value is to be predicted, that value is the end, and stays: speed changes the steps as if it were
the last of them, and a crop leaves the latest ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from workers.data.loading import Examples


def varied(batch: Examples, settings: Mapping[str, Any], rng: torch.Generator) -> Examples:
    """The batch with its sequences changed, as far as the settings say; `rng` is on the CPU."""
    jitter, speed, crop, swap = (settings.get(name, 0.0) for name in ("jitter", "speed", "crop", "step_swap"))
    if not (jitter or speed or crop or swap):
        return batch
    x, following = batch.inputs, _following(batch)
    future = batch.targets is not None and batch.targets.is_floating_point()  # and no class
    if speed:
        factor = 1 + speed * (2 * torch.rand(len(x), generator=rng) - 1)
        steps = x if following is None else torch.cat([x, following], dim=1)
        x = at_speed(steps, factor.to(x))[:, : x.shape[1]]
    if crop:
        u, v = torch.rand(2, len(x), generator=rng).to(x)
        x = cropped(x, 1 - crop * u, torch.ones_like(v) if future else v)
    if swap:
        x = swapped(x, swap, rng)
    if jitter:
        noise = torch.randn(x.shape, generator=rng).to(x)
        x = x + jitter * deviation(x) * noise
    return replace(batch, inputs=x)


def _following(batch: Examples) -> Tensor | None:
    """The step [batch, 1, features] that follows the sequences, where the target is that."""
    targets = batch.targets
    following = targets is not None and targets.is_floating_point() and targets.shape[1:] == batch.inputs.shape[2:]
    return targets[:, None].to(batch.inputs) if following and targets is not None else None


def at_speed(x: Tensor, factor: Tensor) -> Tensor:
    """[batch, steps, features] with time running `factor` [batch] times as fast, up to the last step."""
    last = x.shape[1] - 1
    sources = last - factor[:, None] * torch.arange(last, -1, -1, device=x.device)  # [batch, steps]
    before = sources.floor()
    part = (sources - before)[:, :, None]
    low, high = (_steps(x, place.long()) for place in (before, before + 1))
    return torch.where(part == 0, low, low + part * (high - low))


def cropped(x: Tensor, share: Tensor, place: Tensor) -> Tensor:
    """A window with the `share` [batch] of each sequence's own steps, one at least, at `place` [batch] from 0, the
    earliest, to 1, the latest."""
    steps = x.shape[1]
    begins = _begins(x)
    length = ((steps - begins) * share).round().clamp(min=1)
    first = begins + ((steps - begins - length) * place).round()
    sources = torch.arange(steps, device=x.device) - (steps - first - length)[:, None]
    return _steps(x, torch.where(sources < first[:, None], -1, sources).long())


def swapped(x: Tensor, share: float, rng: torch.Generator) -> Tensor:
    """Pairs of neighbours that do not overlap change places, with the probability `share`; missing steps stay."""
    batch, steps = x.shape[:2]
    odd = torch.randint(2, (batch, 1), generator=rng)  # where the first pair begins
    chosen = (torch.rand(batch, steps + 1, generator=rng) < share).to(x.device)
    place = torch.arange(steps, device=x.device)
    second = (place + odd.to(x.device)) % 2 == 1  # [batch, steps]
    partner = torch.where(second, place - 1, place + 1)
    begins = _begins(x)[:, None]
    exists = (place >= begins) & (partner >= begins) & (partner < steps)
    pair = torch.minimum(place, partner) + 1  # one draw for both
    moves = exists & chosen.gather(1, pair)
    return _steps(x, torch.where(moves, partner, place))


def deviation(x: Tensor) -> Tensor:
    """[batch, 1, features]: of each sequence's steps around their mean; 0 where all are missing."""
    mean = x.nanmean(dim=1, keepdim=True)
    return (x - mean).square().nanmean(dim=1, keepdim=True).sqrt().nan_to_num()


def _begins(x: Tensor) -> Tensor:
    """[batch]: the first step that is not missing; 0 where all are."""
    return (~x.isnan().all(dim=2)).int().argmax(dim=1)


def _steps(x: Tensor, sources: Tensor) -> Tensor:
    """The steps `sources` [batch, steps] of x; those that it does not have are missing."""
    inside = (sources >= 0) & (sources < x.shape[1])
    found = x.gather(1, sources.clamp(0, x.shape[1] - 1)[:, :, None].expand(-1, -1, x.shape[2]))
    return torch.where(inside[:, :, None], found, torch.nan)
