"""Sobol search: the points of a scrambled Sobol sequence, which fill the unit cube more evenly than random ones.

Trial n is given the n-th point, whatever the other trials do, so parallel workers never meet. The cube has one axis per
parameter, active or not; a choice is the cell of its coordinate. Source: Sobol 1967, scrambled as in Matousek 1998.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.actions import Sample
from search.history import Added, Config, Event, History
from search.points import points
from search.samplers import Origin, Streams
from spaces import Space

FIRST_BLOCK = 256
FORBIDDEN_IN_A_ROW = 100
"""After so many points that constraints rule out, the next one is moved to the nearest config that they allow."""


@dataclass(frozen=True, slots=True)
class SobolSampler:
    """Points whose config a trial already has, and those that constraints rule out, are skipped; the origin tells the
    `index` in the sequence.

    The last configs of a small space, when the sequence keeps meeting taken ones, are picked uniformly, and the origin
    tells in `left` from how many.
    """

    space: Space

    def sample(self, request: Sample, history: History, streams: Streams) -> tuple[Config, Origin]:
        sequence = history.view("sobol", lambda: _Sequence(len(self.space), streams.of_study("sobol")))
        index = sequence.next - 1

        def following(rng: np.random.Generator) -> Config:
            nonlocal index
            for _ in range(FORBIDDEN_IN_A_ROW):
                index += 1
                config = self.space.decode(sequence.point(index))
                if self.space.allows(config):
                    return config
            return self.space.repair(config, rng)

        config, left = points(self.space, history).new(streams("config"), following)
        if left is None:
            return config, {"rule": "sobol", "probabilities": {"sobol": 1.0}, "index": index}
        return config, {"rule": "uniform", "probabilities": {"uniform": 1.0}, "left": left}


class _Sequence:
    """The view of the sequence: `next` is the index of the first point that no trial was given or went past."""

    def __init__(self, dimensions: int, rng: np.random.Generator) -> None:
        from scipy.stats import qmc  # heavy, and for this sampler only

        # scipy wants a generator that can spawn others, or an integer to make one of
        self._engine = qmc.Sobol(dimensions, scramble=True, rng=int(rng.integers(2**63)))
        self._points: NDArray[np.float64] = self._engine.random(FIRST_BLOCK)
        self.next = 0

    def apply(self, event: Event, history: History) -> None:
        match event:
            case Added(run) if run.origin.get("rule") == "sobol" and run.resume_from is None:
                self.next = run.origin["index"] + 1

    def point(self, index: int) -> NDArray[np.float64]:
        """The point at this place of the sequence, shape [parameters]."""
        while index >= len(self._points):  # doubling keeps the number of points a power of two
            self._points = np.concatenate([self._points, self._engine.random(len(self._points))])
        point: NDArray[np.float64] = self._points[index]
        return point
