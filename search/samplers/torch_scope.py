"""PyTorch as a pure function: one thread, and no random state that outlives a call.

Imported only by the samplers that need PyTorch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from search.samplers.threads import one_thread


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """Within it everything is computed on one thread, and PyTorch's global generator starts from `seed`; both are put
    back."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with one_thread(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)
