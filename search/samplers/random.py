"""Random search: every config is a uniform draw from the space (Bergstra and Bengio 2012)."""

from __future__ import annotations

from dataclasses import dataclass

from search.actions import Sample
from search.history import Config, History
from search.points import points
from search.samplers import Origin, Streams
from spaces import Space

ORIGIN: Origin = {"rule": "uniform", "probabilities": {"uniform": 1.0}}
"""One for all trials: a history may have very many."""


@dataclass(frozen=True, slots=True)
class RandomSampler:
    """Uniform in the scale of each parameter (log, step), without repeating a config while there are others.

    The origin tells in `left` from how many configs the last ones of a small space were picked.
    """

    space: Space

    def sample(self, request: Sample, history: History, streams: Streams) -> tuple[Config, Origin]:
        config, left = points(self.space, history).new(streams("config"), self.space.sample)
        return config, ORIGIN if left is None else {**ORIGIN, "left": left}
