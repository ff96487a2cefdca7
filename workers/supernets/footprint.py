"""What one step of a search takes: bytes of what is kept for the way back, and seconds."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn


def kept_bytes(loss: Callable[[], Tensor], model: nn.Module) -> int:
    """Bytes of all different tensors that the graph of the loss holds on to, weights aside: the activations."""
    weights = {p.untyped_storage().data_ptr() for p in [*model.parameters(), *model.buffers()]}
    sizes: dict[int, int] = {}
    alive: list[Tensor] = []  # or memory would be used again, and counted once

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            sizes[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        kept = loss()
    total = sum(sizes.values())
    del kept
    return total


def seconds(step: Callable[[], object], times: int = 5, warmup: int = 2) -> float:
    """The shortest of some runs."""
    taken = list[float]()
    for number in range(warmup + times):
        started = time.perf_counter()
        step()
        if number >= warmup:
            taken.append(time.perf_counter() - started)
    return min(taken)
