"""Warm start: what finished studies found, brought into a new one.

Their best configs are tried among the first, every other trial, the sources in turn (Feurer et al. 2015); and the
middle of the best ones, with low confidence, is the prior of each parameter that has none, for algorithms that know
what to do with a prior. A source is followed as long as it is right: what it says of the configs tried here (those of
its own choice and the others in between) is ranked against what came out, and a source that ranks them the wrong way
round is left alone until more results speak for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from search.actions import Done, Sample
from search.history import Config, Ended, Event, History
from search.ledger import spent
from search.points import points
from search.samplers import Origin, Sampler, Streams
from search.sources import Source
from spaces import Parameter, Prior, Space
from spaces.parameters import Searched

Floats = NDArray[np.float64]

FIRST = 25
"""So many configs of other studies are tried, at most, and no more than a quarter of the budget's trials."""
JUDGED_EVERY = 5
"""A source is judged at every fifth result, by the latest ones."""
JUDGED_BY = 200
NEIGHBOURS = 3


def informed(space: Space, sources: Iterable[Source]) -> Space:
    """The space with priors from the sources, of low confidence, where it has none of its own.

    Their modes are one of the good configs of all sources: the one in their middle, so that it is legal and no outlier.
    """
    good = [config for source in sources for config in source.good]
    if not good:
        return space
    encoded = np.array([space.encode(config) for config in good])
    middle = good[int(np.argmin(_distances(space, encoded, encoded).sum(axis=1)))]

    def believed(parameter: Parameter) -> Parameter:
        if parameter.prior is not None or parameter.name not in middle or not isinstance(parameter, Searched):
            return parameter
        return replace(parameter, prior=Prior(middle[parameter.name], "low"))

    return replace(space, parameters=tuple(believed(parameter) for parameter in space))


@dataclass(frozen=True, slots=True)
class WarmStarted:
    """A sampler that is given the best configs of other studies on the way. `runs`: how many the budget pays for."""

    sampler: Sampler
    space: Space
    sources: tuple[Source, ...]
    runs: float | None

    def sample(self, request: Sample, history: History, streams: Streams) -> tuple[Config, Origin] | Done:
        first = FIRST if self.runs is None else min(FIRST, max(int(self.runs / 4), 1))
        begun = spent(history).trials
        if begun % 2 == 0 and begun < 2 * first and (found := self._next(history)):
            source, place = found
            origin = {"rule": "warm-start", "probabilities": {"warm-start": 1.0}}
            return source.configs[place], {**origin, "study": source.study, "place": place + 1}
        return self.sampler.sample(request, history, streams)

    def _next(self, history: History) -> tuple[Source, int] | None:
        """The best config that is left: the best of each trusted source, then the second best of each, and so on."""
        tried, sources = points(self.space, history), guide(self.space, self.sources, history).trusted
        for place in range(max((len(source.worth_trying) for source in sources), default=0)):
            for source in sources:
                if place < len(source.worth_trying) and not tried.taken(source.configs[place]):
                    return source, place
        return None


class Guide:
    """The view of how far the sources are right about this study.

    `weights`: for each source the rank correlation (Spearman) of its predictions with the results, 0 where it is
    negative; one half as long as there are fewer than five results. Results of different fidelities cannot be compared,
    so those at the highest that has five are taken.
    """

    def __init__(self, space: Space, sources: tuple[Source, ...]) -> None:
        self._space, self._sources = space, sources
        self._informed: dict[tuple[bool, ...], Space] = {}
        self._known = [(np.array([space.encode(c) for c in s.configs]), np.array(s.ranks)) for s in sources]
        self._results: dict[float, list[tuple[float, list[float]]]] = {}
        self._count = 0
        self.weights = tuple(0.5 if source.configs else 0.0 for source in sources)

    def apply(self, event: Event, history: History) -> None:
        match event:
            case Ended(number, outcome) if outcome.losses and history.runs[number].kind == "train":
                run = history.runs[number]
                if history.forked(run.trial):
                    return
                point = self._space.encode(run.config)[None]
                said = [self._predict(point, *known) for known in self._known]
                self._results.setdefault(run.fidelity or 0, []).append((outcome.loss, said))
                self._count += 1
                if self._count % JUDGED_EVERY == 0:
                    self._judge()

    @property
    def trusted(self) -> list[Source]:
        return [source for source, weight in zip(self._sources, self.weights, strict=True) if weight > 0]

    @property
    def space(self) -> Space:
        """The space with priors from the sources that are trusted."""
        key = tuple(weight > 0 for weight in self.weights)
        if key not in self._informed:
            self._informed[key] = informed(self._space, self.trusted)
        return self._informed[key]

    def _judge(self) -> None:
        enough = [fidelity for fidelity, results in self._results.items() if len(results) >= JUDGED_EVERY]
        if not enough:
            return
        results = self._results[max(enough)][-JUDGED_BY:]
        losses, said = np.array([loss for loss, _ in results]), np.array([said for _, said in results])
        correlations = [_spearman(losses, column) for column in said.T]
        both = zip(correlations, self._sources, strict=True)
        self.weights = tuple(_weight(correlation) if source.configs else 0.0 for correlation, source in both)

    def _predict(self, point: Floats, encoded: Floats, ranks: Floats) -> float:
        """The rank that a source expects: the mean of its nearest configs, the nearer the more weight."""
        if not len(encoded):
            return 1.0
        distances = _distances(self._space, point, encoded)[0]
        nearest = np.argsort(distances, kind="stable")[:NEIGHBOURS]
        weights = 1 / (distances[nearest] ** 2 + 1e-12)
        return float(weights @ ranks[nearest] / weights.sum())


def guide(space: Space, sources: tuple[Source, ...], history: History) -> Guide:
    """The guide of a study, up to date."""
    return history.view("warm start", lambda: Guide(space, sources))


def _distances(space: Space, first: Floats, second: Floats) -> Floats:
    """Euclidean, shape [first, second]; 1 along an axis for two choices without order, or when only one is active."""
    total = np.zeros((len(first), len(second)))
    for axis, parameter in enumerate(space):
        gap = np.abs(first[:, axis, None] - second[None, :, axis])
        if not parameter.domain.ordered:
            gap = np.where(gap > 0, 1.0, gap)
        one, other = np.isnan(first[:, axis, None]), np.isnan(second[None, :, axis])
        total += np.where(one & other, 0.0, np.where(one | other, 1.0, gap)) ** 2
    return np.sqrt(total)


def _weight(correlation: float) -> float:
    return 0.5 if math.isnan(correlation) else max(correlation, 0.0)


def _spearman(first: Floats, second: Floats) -> float:
    """The rank correlation; NaN where one of them is constant."""
    a, b = (_ranks(values) for values in (first, second))
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / scale if scale else math.nan


def _ranks(values: Floats) -> Floats:
    """From 0; equal values share the mean of their ranks."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts + 1) / 2)[which]
