"""How long something takes, on whatever device."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch


def median_seconds(work: Callable[[], object], device: torch.device, passes: int, warm_up: int = 1) -> float:
    """The median over `passes` of `work`, after `warm_up` more that are not counted: the first ones also load kernels
    and fill caches. What `work` hands to a GPU is waited for."""

    def once() -> float:
        _finish(device)
        started = time.perf_counter()
        work()
        _finish(device)
        return time.perf_counter() - started

    for _ in range(warm_up):
        once()
    return statistics.median(once() for _ in range(passes))


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
