"""What the operations of a supernet cost in their places: multiplications with an addition, or time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from workers.supernets.mixture import MixedEdge, Mixes
from workers.supernets.supernet import Supernet, evaluating
from workers.training.timing import median_seconds

Cost = Literal["multiply_adds", "latency"]
EXAMPLES, TIMES = 16, 5  # in a batch whose time is taken, and how often


@torch.no_grad()
def costs_of(model: Supernet, mixes: Mixes, inputs: Tensor, kind: Cost) -> dict[str, Tensor]:
    """By kind of cell [edges, ops]: the cost of one example, summed over all cells of the kind. `inputs` are of one or
    more examples. latency is in microseconds, the median of some passes, and differs from time to time."""
    count = multiply_adds if kind == "multiply_adds" else latency
    found = {name: torch.zeros_like(mix.weights) for name, mix in mixes.items()}

    def watch(name: str, edge: int) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def look(module: nn.Module, given: tuple[Tensor, ...]) -> None:
            assert isinstance(module, MixedEdge)
            for index, operation in module.operations.items():
                found[name][edge, int(index)] += count(operation, given[0])

        return look

    hooks = [
        module.register_forward_pre_hook(watch(name, int(edge)))
        for name, cell in model.network.cells_by_kind()
        for edge, module in cell.edges.items()
    ]
    try:
        with evaluating(model):
            model(inputs[:2], mixes)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def multiply_adds(operation: nn.Module, x: Tensor) -> float:
    with FlopCounterMode(display=False) as counter:
        operation(x[:2])
    return float(counter.get_total_flops()) / 2 / len(x[:2])


def latency(operation: nn.Module, x: Tensor) -> float:
    batch = x[:1].expand(EXAMPLES, *x.shape[1:]).contiguous()
    return median_seconds(lambda: operation(batch), batch.device, TIMES) / EXAMPLES * 1e6


def total(costs: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> float:
    """Of the architecture that weighs all operations alike that are left (`masks`, by kind [edges, ops])."""
    means = ((cost.sum(dim=1) / masks[kind].to(cost.device).sum(dim=1)).sum() for kind, cost in costs.items())
    return float(sum(means, torch.zeros(())))
