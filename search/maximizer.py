"""The config that a model likes best, in any space: with choices, conditions and constraints.

Uniform candidates are scored, then the best of them, and the best configs tried so far, climb: from neighbour to better
neighbour (one parameter changed), with shorter steps once none is better. What is scored are real configs, so a model
is never asked about a point between two choices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.cube import Cube
from search.history import Config
from spaces import Space

Floats = NDArray[np.float64]
Score = Callable[[Floats], Floats]
"""From settled points (see `search.cube`), shape [n, parameters], to scores, shape [n]; larger is better."""
Polish = Callable[[Floats], Floats]
"""From settled points to better ones nearby, of the same shape; only what is active may move."""

STEPS = (0.2, 0.05, 0.01)
"""Standard deviations of the steps of numbers: from one to the next where no neighbour is better."""
MAX_MOVES = 30


@dataclass(frozen=True, slots=True)
class Effort:
    """How thoroughly to search: uniform `candidates`, of which `climbs` climb, and as many from configs tried."""

    candidates: int = 2000
    climbs: int = 10


class Proposals:
    """A draw for `Points.new`: the best config found, then the next best ones, then uniform ones (`exhausted`)."""

    def __init__(
        self,
        space: Space,
        score: Score,
        tried: Floats,
        effort: Effort,
        polish: Polish | None = None,
        final: Score | None = None,
    ) -> None:
        """`tried`: settled points to climb from, the best first. `final`: what decides among the ends of the best
        climbs, as many as `effort` has."""
        self._space, self._cube, self._score, self._polish, self._final = space, Cube(space), score, polish, final
        self._tried, self._effort = tried[: effort.climbs], effort
        self._found: Iterator[tuple[Config, float]] | None = None
        self.score = 0.0
        self.exhausted = False

    def __call__(self, rng: np.random.Generator) -> Config:
        if self._found is None:
            self._found = self._search(rng)
        best = next(self._found, None)
        if best is None:
            self.exhausted = True
            return self._space.sample(rng)
        config, self.score = best
        return config

    def _search(self, rng: np.random.Generator) -> Iterator[tuple[Config, float]]:
        """The configs looked at, the best first; ties in the order in which they were found."""
        points = np.concatenate((self._tried, self._cube.uniform(self._effort.candidates, rng)))
        pool = [(points, self._score(points))]
        fresh = len(self._tried) + _best_first(pool[0][1][len(self._tried) :])[: self._effort.climbs]
        starts = np.concatenate((np.arange(len(self._tried)), fresh))
        ends, heights = points[starts], pool[0][1][starts]
        pool += self._climb(ends, heights, rng)
        points, scores = (np.concatenate(each) for each in zip(*pool, strict=True))
        order = _best_first(scores)
        if self._polish is not None:
            polished = self._cube.settled(self._polish(points[order[: self._effort.climbs]]))
            if self._space.constraints:
                polished = polished[[self._space.allows(self._space.decode(point)) for point in polished]]
            if len(polished):
                points, scores = np.concatenate((points, polished)), np.concatenate((scores, self._score(polished)))
                order = _best_first(scores)
        if self._final is not None:
            ends = ends[_best_first(heights)[: self._effort.climbs]]
            scores_of_ends = self._final(ends)
            for row in _best_first(scores_of_ends).tolist():
                yield self._space.decode(ends[row]), float(scores_of_ends[row])
        for row in order.tolist():
            yield self._space.decode(points[row]), float(scores[row])

    def _climb(self, points: Floats, scores: Floats, rng: np.random.Generator) -> Iterator[tuple[Floats, Floats]]:
        """All neighbours looked at, with their scores; the climbs go on side by side, so their points share batches.

        Moves `points` and `scores` to where each climb ends.
        """
        step = np.zeros(len(points), dtype=np.int64)
        for _ in range(MAX_MOVES):
            alive = np.flatnonzero(step < len(STEPS))
            if not len(alive):
                return
            around = [
                (alive[step[alive] == size][rows], near)
                for size, sd in enumerate(STEPS)
                for rows, near in [self._cube.neighbours(points[alive[step[alive] == size]], sd, rng)]
            ]
            climbs, neighbours = (np.concatenate(each) for each in zip(*around, strict=True))
            reached = np.full(len(points), -np.inf)
            if len(climbs):
                found = self._score(neighbours)
                yield neighbours, found
                np.maximum.at(reached, climbs, found)
                for climb in np.flatnonzero(reached > scores).tolist():
                    best = np.flatnonzero(climbs == climb)
                    points[climb] = neighbours[best[np.argmax(found[best])]]
            step[alive] += reached[alive] <= scores[alive]
            np.maximum(scores, reached, out=scores)


def _best_first(scores: Floats) -> NDArray[np.int64]:
    return np.argsort(-scores, kind="stable")
