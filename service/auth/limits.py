"""How much somebody may ask: a bucket of turns for each token or address, which fills up again at a steady rate.

In the memory of one process, so each replica has its own. For the coroutines of one event loop: nothing here is locked.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from time import monotonic

MOST_BUCKETS = 10_000
"""Beyond this the bucket that was used longest ago is forgotten, which is full again as far as anyone can tell."""


class Buckets:
    """`rate` turns a second, and as many as `burst` at once after a while without any."""

    def __init__(self, rate: float, burst: float | None = None, clock: Callable[[], float] = monotonic) -> None:
        self.rate = rate
        self.burst = max(1.0, rate if burst is None else burst)
        self._clock = clock
        self._levels: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def take(self, owner: Hashable) -> float:
        """Takes a turn and answers 0, or answers after how many seconds there is one."""
        now = self._clock()
        level, then = self._levels.get(owner, (self.burst, now))
        level = min(self.burst, level + (now - then) * self.rate)
        wait = 0.0 if level >= 1 else (1 - level) / self.rate
        self._levels[owner] = (level if wait else level - 1, now)
        self._levels.move_to_end(owner)
        if len(self._levels) > MOST_BUCKETS:
            self._levels.popitem(last=False)
        return wait
