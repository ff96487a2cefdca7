"""TPE, the tree-structured Parzen estimator (Bergstra et al. 2011; multivariate, with groups).

The finished trials are split into the few good ones and the rest. A density is fitted to each side, candidates are
drawn from the good one, and the candidate with the largest ratio of good to rest is tried. Parameters that are active
together form a group with a joint density; groups are drawn from the outermost in, each from the trials in which it is
active. Trials that are still open count among the rest (a "liar"), so that parallel workers spread out; so do failed
ones, so that regions that crash are left. The user's prior weighs the ratio, less and less (`search.belief`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from search import pareto
from search.actions import Sample
from search.belief import Belief, belief, from_prior
from search.density import split
from search.density.axes import Axes, Cells
from search.density.parzen import Law, Parzen
from search.density.proposals import Proposals, Suggestion, best_first, plain
from search.history import Config, Event, History
from search.observations import Observations, observations
from search.points import points
from search.samplers import Origin, Streams
from spaces import Condition, Space
from spaces.domain import Discrete
from spaces.structure import Declaration, topological_order

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

RECENT = 25
"""So many of the newest trials have the full weight."""


@dataclass(frozen=True, slots=True)
class TPESampler:
    """`startup`: uniform draws until so many trials have finished. `candidates`: draws per group and suggestion.

    `gamma`, `gamma_factor`, `gamma_max`: the number of good trials (see `split.good`). `weights`: of the components,
    "improvement" (of the good ones, by how much they are better than the rest), "recent" (beyond 25, older ones count
    less), or "uniform". `density`: what is modelled jointly: "groups" of parameters that are active together,
    "unconditional" ones only, or nothing ("independent"). `pending`: open trials count among the "rest", or "ignore"
    them. `law`: the widths of the kernels. `prior_weight`: the beta of piBO, 0 to ignore the user's prior; with it the
    first draws come from the prior.
    """

    space: Space
    startup: int = 10
    candidates: int = 24
    gamma: split.Growth = "linear"
    gamma_factor: float = 0.1
    gamma_max: int = 25
    weights: Literal["improvement", "recent", "uniform"] = "improvement"
    density: Literal["groups", "unconditional", "independent"] = "groups"
    pending: Literal["rest", "ignore"] = "rest"
    law: Law = field(default_factory=Law)
    prior_weight: float = 2.0

    def sample(self, request: Sample, history: History, streams: Streams) -> tuple[Config, Origin]:
        observed = observations(self.space, history)
        free, rng = points(self.space, history), streams("config")
        finished, successes = split.finished(observed), split.succeeded(observed)
        count = int(np.count_nonzero(finished))
        believed = belief(self.space, self.prior_weight, history)
        if believed is not None and count < self.startup:
            return from_prior(self.space, history, rng)
        if count < self.startup or not len(successes):
            config, left = free.new(rng, self.space.sample)
            return config, _origin("startup", {"finished": count, "of": self.startup}, left)

        size = split.good(count, self.gamma, self.gamma_factor, self.gamma_max)
        good = split.best(observed, successes, min(size, len(successes)))
        rest = finished | split.pending(observed) if self.pending == "rest" else finished
        rest[good] = False
        model = history.view(self, lambda: _Rest(self))
        model.follow(observed, rest, self)
        gains = self._improvements(observed, successes, good)
        groups = [(group, group.good(observed.points, good, gains, self)) for group in model.groups]
        proposals = Proposals(self.space, partial(_suggest, self, groups, believed))
        config, left = free.new(rng, proposals)
        if left is not None or proposals.exhausted:
            return config, _origin("uniform", {"reason": "the model's suggestions were taken"}, left)
        return config, _origin(
            "model",
            {
                "good": len(good),
                "rest": int(np.count_nonzero(rest)),
                "candidates": self.candidates,
                "log_ratio": plain(proposals.log_ratio),
                **({} if believed is None else {"prior_exponent": plain(believed.exponent)}),
            },
            None,
        )

    def groups(self) -> Iterator[tuple[int, ...]]:
        """The columns of the parameters that share a density, parents before their children."""
        conditions: dict[tuple[Condition | None, int | None], list[int]] = {}
        parameters = self.space.parameters
        for column in topological_order([Declaration(each.name, each.domain, each.when) for each in parameters]):
            when = parameters[column].when
            alone = self.density == "independent" or (self.density == "unconditional" and when is not None)
            conditions.setdefault((when, column if alone else None), []).append(column)
        return (tuple(columns) for columns in conditions.values())

    def recency(self, count: int) -> Floats:
        """The weights of so many components, the oldest first."""
        weights = np.ones(count)
        if self.weights == "recent" and count > RECENT:
            weights[: count - RECENT] = np.linspace(1 / count, 1, count - RECENT)
        return weights

    def _improvements(self, observed: Observations, successes: Ints, good: Ints) -> Floats | None:
        """The weight of each good trial, up to 1, where better ones are to count more: by how much it is better than
        the best of the rest (with several metrics: by what it adds to the hypervolume)."""
        if self.weights != "improvement":
            return None
        fidelity, losses = observed.fidelity[observed.latest[successes]], observed.losses[observed.latest]
        if fidelity.min() < fidelity.max():  # (not so where they are NaN) their losses cannot be compared
            return np.ones(len(good))
        if losses.shape[1] > 1:
            # not beside those that it dominates, nor beside its equals: they would take from what it adds
            distinct, which = np.unique(losses[good], axis=0, return_inverse=True)
            front = pareto.front(distinct)
            added = np.zeros(len(distinct))
            added[front] = pareto.contributions(distinct[front], pareto.reference(losses[successes]))
            gains = added[which.reshape(-1)]
        else:
            others = successes[~np.isin(successes, good, assume_unique=True)]
            bound = losses[others].min() if len(others) else losses[good].max()
            gains = bound - losses[good, 0]
        return np.maximum(gains / gains.max(), 1e-12) if gains.max() > 0 else np.ones(len(good))


@dataclass(slots=True)
class _Group:
    """The parameters that share a density; `rest` is the one of the trials that are not good, `trials` its rows."""

    axes: Axes
    rest: Parzen
    trials: Ints
    seen: int = 0

    def follow(self, observed: Observations, rest: Mask, sampler: TPESampler) -> None:
        """Takes in the trials that are new, and which of them are the rest, shape [trials]."""
        column = self.axes.columns[0]
        if self.seen < observed.trial_count:
            new = self.seen + np.flatnonzero(~np.isnan(observed.points[self.seen :, column]))
            self.rest.add(self.axes.read(observed.points[new]))
            self.trials = np.concatenate((self.trials, new))
            self.seen = observed.trial_count
        live = rest[self.trials]
        self.rest.select(live, sampler.recency(int(np.count_nonzero(live))))

    def good(self, values: Floats, trials: Ints, gains: Floats | None, sampler: TPESampler) -> Parzen:
        """The density of the good trials in which the group is active."""
        active = ~np.isnan(values[trials, self.axes.columns[0]])
        density = Parzen(self.axes, sampler.law)
        density.add(self.axes.read(values[trials[active]]))
        count = int(np.count_nonzero(active))
        if gains is None:
            density.select(np.ones(count, dtype=np.bool_), sampler.recency(count))
        else:
            prior = float(gains[active].mean()) if count else 1.0
            density.select(np.ones(count, dtype=np.bool_), gains[active], prior)
        return density


class _Rest:
    """What is kept between suggestions: the densities of the rest, which are large and change little.

    A view without events of its own: it follows the observations whenever a suggestion is made.
    """

    def __init__(self, sampler: TPESampler) -> None:
        def is_smooth(domain: Discrete[Any]) -> bool:
            return Cells.of(domain).widest <= sampler.law.floor / 10  # within such a cell a kernel is all but flat

        each = (Axes.of(sampler.space, columns, is_smooth) for columns in sampler.groups())
        self.groups = [
            _Group(axes, Parzen(axes, sampler.law), np.empty(0, dtype=np.int64)) for axes in each if len(axes)
        ]

    def apply(self, event: Event, history: History) -> None:
        """Nothing: see the class."""

    def follow(self, observed: Observations, rest: Mask, sampler: TPESampler) -> None:
        for group in self.groups:
            group.follow(observed, rest, sampler)


def _suggest(
    sampler: TPESampler,
    groups: list[tuple[_Group, Parzen]],
    believed: Belief | None,
    rng: np.random.Generator,
) -> Iterator[Suggestion]:
    """One suggestion with the sum of its groups' log ratios, then those that differ in the innermost group only."""
    space = sampler.space
    point, total = np.full(len(space), np.nan), 0.0
    last: tuple[_Group, Floats, Floats] | None = None
    for group, good in groups:
        name = space.parameters[group.axes.columns[0]].name
        if space[name].when is not None and name not in space.decode(point):
            continue
        drawn = good.draw(rng, sampler.candidates)
        if believed is not None:
            drawn = np.concatenate((drawn, group.axes.read(believed.candidates(rng, sampler.candidates))))
            group.axes.snap(drawn)
        ratios = good.log_density(drawn) - group.rest.log_density(drawn)
        if believed is not None:
            at = np.full((len(drawn), len(space)), np.nan)
            group.axes.write(drawn, at)
            ratios = believed.weighted(ratios, at)
        order = best_first(ratios)
        drawn, ratios = drawn[order], ratios[order]
        group.axes.write(drawn[0], point)
        total += float(ratios[0])
        last = group, drawn, ratios
    yield space.decode(point), total
    if last is not None:
        group, drawn, ratios = last
        for values, ratio in zip(drawn[1:], ratios[1:].tolist(), strict=True):
            group.axes.write(values, point)
            yield space.decode(point), total - float(ratios[0]) + ratio


def _origin(rule: str, more: dict[str, Any], left: int | None) -> Origin:
    origin = {"rule": rule, "probabilities": {rule: 1.0}, **more}
    return origin if left is None else {**origin, "left": left}
