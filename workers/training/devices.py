"""Where a training runs, and in which precision."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch

from workers.protocol import Resources


def prepare_device(resources: Resources, options: Mapping[str, Any]) -> torch.device:
    """The device to train on. The calling thread uses as many cores from now on as the run may.

    The option `deterministic` forbids every algorithm whose result may differ from time to time, for the whole process;
    what has no other way then raises. Without it, convolutions are deterministic, some scatters on a GPU are not.
    """
    torch.set_num_threads(max(1, int(resources.cpus)))
    torch.use_deterministic_algorithms(bool(options.get("deterministic")))
    if resources.gpus > 0 and torch.cuda.is_available():
        # What shares a GPU keeps to its share of the memory: beyond it, it is out of memory, and not its neighbours.
        torch.cuda.set_per_process_memory_fraction(min(1.0, resources.gpus))
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
        return torch.device("cuda")
    return torch.device("cpu")


def autocast(device: torch.device) -> Callable[[], AbstractContextManager[Any]]:
    """The precision of the forward pass: bfloat16 where a GPU has it, float32 elsewhere."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return partial(torch.autocast, "cuda", dtype=torch.bfloat16)
    return nullcontext
