"""One thread for the linear algebra of a model.

More threads would add in another order, so the last digits would depend on the machine; and on the small matrices of a
search they cost more than they bring, the more so where other processes have use for the cores.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import scipy.linalg  # noqa: F401  its BLAS has to be loaded before the thread pools are looked for
from threadpoolctl import ThreadpoolController


@contextmanager
def one_thread() -> Iterator[None]:
    """Within it BLAS and OpenMP compute on one thread; what was set before is put back."""
    with _pools().limit(limits=1):
        yield


@cache
def _pools() -> ThreadpoolController:
    return ThreadpoolController()
