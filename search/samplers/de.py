"""Differential evolution (Storn and Price 1997; over fidelities in DEHB, Awad et al. 2021).

An individual is a point x of the unit cube. Its offspring mixes it, gene by gene, with a mutant r1 + F (r2 - r3) of
three others, so the steps are as long as the population is wide. Discrete parameters decode by cells like everywhere;
points between the cells' centres, and the genes of inactive parameters, live on in the offspring.

Who competes with whom is the scheduler's matter: it names the parents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.actions import Sample
from search.history import Config, History
from search.points import points
from search.samplers import Origin, Streams
from spaces import Space

Floats = NDArray[np.float64]

TRIES = 50
"""Individuals made before the last one is repaired, so that the constraints allow it."""


@dataclass(frozen=True, slots=True)
class DifferentialEvolution:
    """The strategy rand/1/bin, coordinates out of range redrawn uniformly.

    `parents` of a request are trials: first the target, with which the new trial will compete, then the pool that the
    mutant comes from (three of it at random; random points of the cube where it has fewer). Without parents the config
    is a uniform draw. The origin has the target, the three as `parents`, and in `genes` the coordinates that the config
    does not tell.
    """

    space: Space
    mutation_factor: float = 0.5
    crossover: float = 0.5

    def sample(self, request: Sample, history: History, streams: Streams) -> tuple[Config, Origin]:
        space = self.space
        point = np.empty(len(space))
        chosen: Sequence[int] = ()

        def draw(rng: np.random.Generator) -> Config:
            nonlocal point, chosen
            for _ in range(TRIES):
                if request.parents:
                    target, *pool = request.parents
                    chosen = rng.choice(pool, min(3, len(pool)), replace=False).tolist()
                    point = self._offspring(genome(space, history, target), self._three(history, chosen, rng), rng)
                else:
                    point = rng.random(len(space))
                config = space.decode(point)
                if space.allows(config):
                    return config
            config = space.repair(config, rng)
            point = genes_of(space, config, point)
            return config

        config, left = points(space, history).new(streams("config"), draw)
        rule = "offspring" if request.parents else "uniform"
        origin: dict[str, Any] = {"rule": rule, "probabilities": {rule: 1.0}}
        if left is not None:
            return config, {**origin, "left": left}
        if request.parents:
            origin |= {"target": request.parents[0], "parents": list(chosen)}
        genes = hidden_genes(space, config, point)
        return config, {**origin, "genes": genes} if genes else origin

    def _three(self, history: History, trials: Sequence[int], rng: np.random.Generator) -> Floats:
        rows = rng.random((3, len(self.space)))
        for row, trial in enumerate(trials):
            rows[row] = genome(self.space, history, trial)
        return rows

    def _offspring(self, target: Floats, three: Floats, rng: np.random.Generator) -> Floats:
        return crossed(target, mutant(three, self.mutation_factor, rng), self.crossover, rng)


def mutant(three: Floats, factor: float, rng: np.random.Generator) -> Floats:
    """r1 + factor (r2 - r3) of three points, shape [3, parameters]; what leaves [0, 1] is drawn anew, uniformly."""
    point: Floats = three[0] + factor * (three[1] - three[2])
    outside = (point < 0) | (point > 1)
    point[outside] = rng.random(np.count_nonzero(outside))
    return point


def crossed(target: Floats, mutant: Floats, rate: float, rng: np.random.Generator) -> Floats:
    """Binomial crossover: each coordinate is the mutant's with probability `rate`, one of them for sure."""
    taken = rng.random(len(target)) < rate
    taken[rng.integers(len(target))] = True
    return np.where(taken, mutant, target)


def hidden_genes(space: Space, config: Config, point: Floats) -> dict[str, float]:
    """The coordinates of a point that its config does not give back: those within a cell, those of the inactive."""
    encoded = space.encode(config)
    return {
        parameter.name: gene
        for parameter, gene, seen in zip(space.parameters, point.tolist(), encoded.tolist(), strict=True)
        if parameter.domain.count != 1 and not abs(gene - seen) < 1e-9
    }


def genome(space: Space, history: History, trial: int) -> Floats:
    """The point of a trial, shape [parameters]: its config's, with the genes that its origin keeps."""
    run = history.runs[history.runs_of(trial)[0]]
    kept: Mapping[str, float] = run.origin.get("genes", {})
    point = genes_of(space, run.config, np.full(len(space), 0.5))
    for index, parameter in enumerate(space.parameters if kept else ()):
        point[index] = kept.get(parameter.name, point[index])
    return point


def genes_of(space: Space, config: Config, inactive: Floats) -> Floats:
    """The point of a config, with these coordinates for its inactive parameters."""
    point = space.encode(config)
    return np.where(np.isnan(point), inactive, point)
