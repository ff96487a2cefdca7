"""Which examples a search learns from: one half is for the weights, the other for the architecture."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from workers.data.loading import Examples
from workers.training.streams import stream


def halves(examples: Examples, seed: int) -> tuple[Examples, Examples]:
    """Two disjoint halves, drawn at random: for the weights, and for the architecture."""
    order = torch.randperm(len(examples), generator=stream(seed, "halves")).to(examples.inputs.device)
    middle = len(examples) // 2
    return examples[order[:middle].sort().values], examples[order[middle:].sort().values]


def cycled(examples: Examples, size: int, rng: torch.Generator, device: torch.device) -> Iterator[Examples]:
    """Batches without end: all examples in a new order, again and again."""
    while True:
        order = torch.randperm(len(examples), generator=rng).to(examples.inputs.device)
        for part in order.tensor_split(max(1, len(examples) // size)):
            yield examples[part].to(device)
