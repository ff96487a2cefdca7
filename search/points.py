"""Which configs the trials of a study have taken, and how to find one that they have not.

Deterministic objectives gain nothing from a second look at a config, and parallel workers must not be sent to the same
place, so a config is given to one trial only, as long as the space has others. That holds whether the trial is open,
failed or done. A fork neither takes its config nor minds that it is taken: it did not begin with it.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from itertools import islice

import numpy as np

from search.history import Added, Config, Event, History
from spaces import Space

ENUMERABLE = 100_000
"""Spaces up to this size are listed when drawing finds nothing new."""


class Points:
    """The view of the taken configs, by a digest of their canonical key: a key of 20 parameters would take half a
    kilobyte per trial. Sizes count configs, not trials."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._size = space.size()
        self._taken: set[bytes] = set()
        self._left: dict[bytes, Config] | None = None

    def apply(self, event: Event, history: History) -> None:
        match event:
            case Added(run) if run.resume_from is None and run.kind == "train":
                key = self._key(run.config)
                self._taken.add(key)
                if self._left is not None:
                    self._left.pop(key, None)

    @property
    def exhausted(self) -> bool:
        return self._size is not None and len(self._taken) >= self._size

    def taken(self, config: Config) -> bool:
        """Whether a trial has this config; once true, it stays true."""
        return self._key(config) in self._taken

    def new(self, rng: np.random.Generator, draw: Callable[[np.random.Generator], Config]) -> tuple[Config, int | None]:
        """A config that no trial has: `draw` until it is new, else one of those left, uniformly.

        Returns with it the number of configs that were left when it had to be picked from a list, else None. In a
        space too large to list (or infinite), whose probability sits almost only on taken configs, the last draw is
        returned although it repeats one.
        """
        assert not self.exhausted
        listable = self._size is not None and self._size <= ENUMERABLE
        # a list costs one pass over the space, then nothing: give up drawing early where there is one
        for _ in range(32 if listable else 1000):
            config = draw(rng)
            if self._key(config) not in self._taken:
                return config, None
        if not listable:
            return config, None
        left = self._list()
        index = int(rng.integers(len(left)))
        return next(islice(left.values(), index, None)), len(left)

    def _key(self, config: Config) -> bytes:
        return blake2b(self._space.key(config).encode(), digest_size=16).digest()

    def _list(self) -> dict[bytes, Config]:
        """The configs not taken, in the order of the space: the same whenever it is made."""
        if self._left is None:
            keyed = ((self._key(config), config) for config in self._space.enumerate())
            self._left = {key: config for key, config in keyed if key not in self._taken}
        return self._left


def points(space: Space, history: History) -> Points:
    """The taken configs of a study, up to date."""
    return history.view("points", lambda: Points(space))
