"""What a model suggests, one config after another, until one is free."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from search.history import Config
from spaces import Space

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ATTEMPTS = 10
"""So often a model is asked again when all that it suggested is taken; then uniform draws replace it."""

Suggestion = tuple[Config, float]
"""A config with its log ratio of good to bad. It may break constraints."""


class Proposals:
    """The draws for `Points.new`: the allowed configs that a model suggests, and at last uniform ones.

    `suggest` gives some suggestions, the best first, others each time; when the constraints allow none of them, the
    best is moved to the nearest config that they do allow. `log_ratio` is the one of the last draw (before it was
    moved), and `exhausted` says that it did not come from the model.
    """

    def __init__(self, space: Space, suggest: Callable[[np.random.Generator], Iterator[Suggestion]]) -> None:
        self._space, self._suggest = space, suggest
        self._suggested: Iterator[Suggestion] | None = None
        self.log_ratio = 0.0
        self.exhausted = False

    def __call__(self, rng: np.random.Generator) -> Config:
        if self._suggested is None:
            self._suggested = self._allowed(rng)
        suggestion = next(self._suggested, None)
        if suggestion is None:
            self.exhausted = True
            return self._space.sample(rng)
        config, self.log_ratio = suggestion
        return config

    def _allowed(self, rng: np.random.Generator) -> Iterator[Suggestion]:
        for _ in range(ATTEMPTS):
            refused: Suggestion | None = None
            some = False
            for config, log_ratio in self._suggest(rng):
                if self._space.allows(config):
                    some = True
                    yield config, log_ratio
                elif refused is None:
                    refused = config, log_ratio
            if not some and refused is not None:
                yield self._space.repair(refused[0], rng), refused[1]


def best_first(log_ratios: Floats) -> Ints:
    """The order of candidates, the largest log ratio first.

    What differs by less than round-off is equal, and goes by index: or ties, which are common among choices, would be
    decided by the order in which a machine adds.
    """
    return np.argsort(-np.round(log_ratios, 9), kind="stable")


def plain(log_ratio: float) -> float:
    """A log ratio as it is stored: fewer digits than a sum has whose terms another machine may add in another order."""
    return float(f"{log_ratio:.6g}")
