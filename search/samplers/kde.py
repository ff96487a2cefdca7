"""The model of BOHB (Falkner, Klein and Hutter 2018): a density of the good results and one of the bad ones.

It is fitted at the highest fidelity that has enough results: the best of them form the good density, the others the bad
one. Candidates are drawn around good results, wider than the kernels; the one with the largest ratio of good to bad is
tried. A third of the suggestions is random all the same, so the search never does worse than random search with three
times the budget. The user's prior weighs the ratio, less and less (`search.belief`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from math import log
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from search.actions import Sample
from search.belief import Belief, belief, from_prior
from search.cube import Cube
from search.density import split
from search.density.axes import Axes
from search.density.kde import KDE
from search.density.proposals import Proposals, Suggestion, best_first, plain
from search.history import Config, Event, History
from search.observations import CANCELLED, OPEN, SUCCEEDED, Observations, observations
from search.points import points
from search.samplers import Origin, Streams
from spaces import Space
from spaces.domain import Choices

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST_DENSITY = log(1e-32)
MANY_OPEN = 4
"""With more open trials they count as bad, so that workers spread out."""


@dataclass(frozen=True, slots=True)
class KDESampler:
    """`top_fraction`: of the results at a fidelity, the good ones. `candidates`: draws per suggestion.
    `random_fraction`: the probability of a uniform draw. `bandwidth_factor`: how much wider than the kernels candidates
    are drawn. `min_bandwidth`: the least width of a kernel, as a share of the range. `pending`: whether open trials
    count as "bad" (when there are more than four), or not ("ignore"). `prior_weight`: the beta of piBO, 0 to ignore the
    user's prior; with it, what is not random comes from the prior until there is a model.
    """

    space: Space
    top_fraction: float = 0.15
    candidates: int = 64
    random_fraction: float = 1 / 3
    bandwidth_factor: float = 3.0
    min_bandwidth: float = 1e-3
    pending: Literal["bad", "ignore"] = "bad"
    prior_weight: float = 2.0

    def sample(self, request: Sample, history: History, streams: Streams) -> tuple[Config, Origin]:
        observed = observations(self.space, history)
        free, rng = points(self.space, history), streams("config")
        frame = history.view(("KDE frame", self.space), lambda: _Frame(self.space))
        split_at = self.split(observed, len(frame.axes)) if len(frame.axes) else None
        believed = belief(self.space, self.prior_weight, history)
        otherwise = "model" if split_at is not None else "prior" if believed is not None else "random"
        chances = {"random": self.random_fraction, otherwise: 1 - self.random_fraction}
        if otherwise == "random" or self.random_fraction == 1:
            chances = {"random": 1.0}
        if streams("rule").random() < chances["random"]:
            config, left = free.new(rng, self.space.sample)
            return config, _origin("random", chances, {}, left)
        if split_at is None:
            config, origin = from_prior(self.space, history, rng)
            return config, origin if "left" in origin else {**origin, "probabilities": chances}

        fidelity, good, bad = split_at
        if self.pending == "bad" and history.open_count > MANY_OPEN:
            bad = np.concatenate((bad, np.flatnonzero(split.pending(observed))))
        model = self.model(frame.axes, observed.points, good, bad, streams("impute"))
        proposals = Proposals(self.space, partial(self._suggest, frame, *model, believed))
        config, left = free.new(rng, proposals)
        if left is not None or proposals.exhausted:
            return config, _origin("random", chances, {"reason": "the model's suggestions were taken"}, left)
        more: dict[str, Any] = {} if fidelity is None else {"fidelity": fidelity}
        more |= {"good": len(good), "bad": len(bad), "candidates": self.candidates}
        more["log_ratio"] = plain(proposals.log_ratio)
        if believed is not None:
            more["prior_exponent"] = plain(believed.exponent)
        return config, _origin("model", chances, more, None)

    def split(self, observed: Observations, dimensions: int) -> tuple[float | None, Ints, Ints] | None:
        """The highest fidelity that has enough results for a model, and its good and bad trials, the best first.

        Both sides need more results than there are dimensions, and only successes are good; a failure is worse than
        any success. None while no fidelity has enough.
        """
        state = observed.state
        ended = np.flatnonzero((state != OPEN) & (state != CANCELLED) & observed.learnable)
        at = np.nan_to_num(observed.fidelity[ended])
        while len(ended):
            top = at == at.max()
            runs = ended[top]
            successes = int(np.count_nonzero(state[runs] == SUCCEEDED))
            count = min(max(dimensions + 1, int(self.top_fraction * len(runs) + 1e-9)), successes)
            if count > dimensions and len(runs) - count > dimensions:
                loss = np.where(state[runs] == SUCCEEDED, observed.losses[runs, 0], np.inf)
                trials = observed.trial[runs]
                trials = trials[np.lexsort((trials, loss))]
                fidelity = float(observed.fidelity[runs[0]])
                return None if np.isnan(fidelity) else fidelity, trials[:count], trials[count:]
            ended, at = ended[~top], at[~top]
        return None

    def model(self, axes: Axes, values: Floats, good: Ints, bad: Ints, rng: np.random.Generator) -> tuple[KDE, KDE]:
        """The two densities; what is inactive is filled in from good trials."""
        donors = axes.read(values[good])
        sides = (impute(axes, donors.copy(), donors, rng), impute(axes, axes.read(values[bad]), donors, rng))
        return KDE(axes, sides[0], self.min_bandwidth), KDE(axes, sides[1], self.min_bandwidth)

    def _suggest(
        self, frame: _Frame, good: KDE, bad: KDE, believed: Belief | None, rng: np.random.Generator
    ) -> Iterator[Suggestion]:
        axes, drawn = frame.axes, good.draw_around(rng, self.candidates, self.bandwidth_factor)
        if believed is not None:
            drawn = np.concatenate((drawn, axes.read(believed.candidates(rng, self.candidates))))
            axes.snap(drawn)
        densities = (np.maximum(density.log_density(drawn), LEAST_DENSITY) for density in (good, bad))
        ratios = np.subtract(*densities)
        if believed is not None:
            at = np.full((len(drawn), len(self.space)), 0.5)
            axes.write(drawn, at)
            ratios = believed.weighted(ratios, frame.cube.settled(at))
        point = np.full(len(self.space), np.nan)
        for index in best_first(ratios).tolist():
            axes.write(drawn[index], point)
            yield self.space.decode(point), float(ratios[index])


def impute(axes: Axes, rows: Floats, donors: Floats, rng: np.random.Generator) -> Floats:
    """Fills the NaNs of `rows`, shape [rows, coordinates], in place.

    The first missing coordinate of a row is looked up in a random donor that has it, and with it all that the row lacks
    and that donor has; so on until nothing is missing. A coordinate that no donor has is drawn uniformly.
    """
    present = ~np.isnan(donors)
    for column in np.flatnonzero(np.isnan(rows).any(axis=0)).tolist():
        lacking = np.flatnonzero(np.isnan(rows[:, column]))  # all coordinates before this one are there
        able = np.flatnonzero(present[:, column])
        if len(able):
            given = donors[able[rng.integers(len(able), size=len(lacking))]]
            rows[lacking] = np.where(np.isnan(rows[lacking]), given, rows[lacking])
        else:
            rows[lacking, column] = axes.uniform(rng, column, len(lacking))
    return rows


class _Frame:
    """What a space alone determines, made once per history. A view without events."""

    def __init__(self, space: Space) -> None:
        # numbers are smooth, whatever their steps; only values without a scale are discrete
        self.axes = Axes.of(space, range(len(space)), lambda domain: not isinstance(domain, Choices))
        self.cube = Cube(space)

    def apply(self, event: Event, history: History) -> None:
        """Nothing: see the class."""


def _origin(rule: str, chances: dict[str, float], more: dict[str, Any], left: int | None) -> Origin:
    origin = {"rule": rule, "probabilities": chances, **more}
    return origin if left is None else {**origin, "left": left}
