"""PriorBand (Mallik et al. 2023): Hyperband whose new configs follow the user's expectations as far as results bear
them out.

A config that enters rung r (0 is the lowest of the ladder) is drawn by one of three rules:

    uniform      with probability p_U = 1 / (1 + eta^r): cheap rungs explore
    prior        the user's prior
    incumbent    the best config so far, mutated

The rest, 1 - p_U, is the prior's alone until results are worth a comparison: one of Hyperband's own runs has succeeded
at the highest fidelity, and as much fidelity was spent as one whole bracket from the lowest rung takes. From then on
the two rules share it by how well each explains the best configs of the highest rung that has eta of them: S is the sum
of their densities, the best weighted most, once under the prior and once under the same law moved to the incumbent. A
bad prior gives way by itself, since good configs lie where its density vanishes.

With a `model`, all that is for the beginning: once enough fidelity was spent, a Gaussian process suggests the configs
(`search.samplers.priorband_model`).
"""

from __future__ import annotations

import heapq
from bisect import insort
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from search.actions import Sample
from search.history import Config, Ended, Event, History, RunState
from search.observations import observations
from search.points import points
from search.samplers import Origin, Streams
from search.samplers.variation import perturbed
from search.schedulers.brackets import OUTSIDE, Rounding, ladder, sizes
from spaces import Space

if TYPE_CHECKING:
    from spaces.laws import Law  # imports SciPy, which takes long: only a prior needs it

Floats = NDArray[np.float64]
IncumbentStyle = Literal["dynamic", "constant", "decay"]
UniformStyle = Literal["geometric", "linear", "50-50"]

ROUND_OFF = 1 + 1e-9
"""Sums of fractional fidelities may fall short of what they are on paper by this factor."""


ORIGIN_OF_THE_MODE: Origin = {"rule": "prior-mode", "probabilities": {"prior-mode": 1.0}}
"""Of the trial that comes before all draws."""


@dataclass(frozen=True, slots=True)
class Shares:
    """The probabilities of the three rules."""

    uniform: float
    prior: float
    incumbent: float


@dataclass(frozen=True, slots=True)
class PriorBand:
    """`uniform_style` is how p_U falls with the rung: "geometric" as above, "linear" to 1 / (1 + eta) at the top, or
    "50-50" on all rungs. `inc_style` is how the rest is shared once the incumbent counts: "dynamic" as above,
    "constant" eta to 1 for the prior, or "decay": the prior's share halves with every eta full runs' worth of fidelity.
    `model`: whether a model takes over once `model_after` full runs' worth of fidelity have been spent.
    """

    space: Space
    eta: float = 3
    rounding: Rounding = "ceil"
    inc_style: IncumbentStyle = "dynamic"
    uniform_style: UniformStyle = "geometric"
    model: bool = False
    model_after: float = 10.0

    def sample(self, request: Sample, history: History, streams: Streams) -> tuple[Config, Origin]:
        if self.model and self.standing(history).full_runs >= self.model_after:
            from search.samplers.priorband_model import suggest

            suggestion = suggest(self.space, request, history, streams)
            if suggestion is not None:
                return suggestion
        shares = self.shares(request.slot.rung, history)
        rules = {"uniform": shares.uniform, "prior": shares.prior, "incumbent": shares.incumbent}
        rule = str(streams("rule").choice(list(rules), p=list(rules.values())))
        origin: dict[str, Any] = {"rule": rule, "probabilities": rules}
        if rule == "incumbent":
            trial = self.standing(history).incumbent
            assert trial is not None, "it has a share only when there is one"
            best = history.runs[history.runs_of(trial)[0]].config
            origin["incumbent"] = trial

        def draw(rng: np.random.Generator) -> Config:
            match rule:
                case "uniform":
                    return self.space.sample(rng)
                case "prior":
                    return self.space.sample_prior(rng)
                case _:
                    return perturbed(self.space, best, rng)

        config, left = points(self.space, history).new(streams("config"), draw)
        return config, origin if left is None else {**origin, "left": left}

    def standing(self, history: History) -> Standing:
        return history.view(("standing", self), lambda: Standing(self.space, self.eta, self.rounding))

    def shares(self, rung: int, history: History) -> Shares:
        """The probabilities with which a config that enters this rung is drawn."""
        standing = self.standing(history)
        uniform = uniform_share(self.uniform_style, self.eta, rung, standing.top)
        if not standing.active:
            return Shares(uniform, 1 - uniform, 0.0)
        prior = (1 - uniform) * self._prior_share(standing, history)
        return Shares(uniform, prior, 1 - uniform - prior)

    def _prior_share(self, standing: Standing, history: History) -> float:
        """The prior's part of what is not uniform."""
        match self.inc_style:
            case "decay":
                return 0.5 ** int(standing.full_runs / self.eta)
            case "dynamic" if best := standing.best(self.eta):
                return standing.prior_share(best, observations(self.space, history).points)
            case _:
                return self.eta / (self.eta + 1)


def uniform_share(style: UniformStyle, eta: float, rung: int, top: int) -> float:
    """p_U on a rung of 0, ..., `top`."""
    match style:
        case "geometric":
            return 1 / (1 + float(eta) ** rung)
        case "linear":
            return 1 / (2 + (eta - 1) * rung / max(top, 1))
        case "50-50":
            return 0.5


def bracket_cost(fidelities: tuple[float | int, ...], eta: float, rounding: Rounding) -> float:
    """The fidelity that one bracket from the lowest rung spends, promoted trials continued."""
    steps = [fidelities[0], *(high - low for low, high in pairwise(fidelities))]
    top = len(fidelities) - 1
    return float(sum(size * step for size, step in zip(sizes(top, top, eta, rounding), steps, strict=True)))


class Standing:
    """The view of what PriorBand looks at.

    A trial counts where it has been furthest: it costs its highest fidelity, and its loss is that of its highest
    success. A failed run costs as much as one that succeeded, and counts for nothing else. One that was told costs
    nothing, and counts on the rung that has its fidelity, if there is one.
    """

    def __init__(self, space: Space, eta: float, rounding: Rounding) -> None:
        assert space.fidelity is not None, "refused before"
        axis = space.fidelity
        self.fidelities = ladder(axis.low, axis.high, eta, axis.type == "int")
        self.spent = 0.0
        self._rungs = {fidelity: rung for rung, fidelity in enumerate(self.fidelities)}
        self._space = space
        self._cost = bracket_cost(self.fidelities, eta, rounding)
        self._reached: dict[int, float] = {}
        self._loss: dict[int, float] = {}
        self._ranking: list[tuple[float, int]] = []  # a heap with the (loss, trial) of all, and some that are outdated
        self._completed: list[list[tuple[float, int]]] = [[] for _ in self.fidelities]
        self._topped = False
        self._around: tuple[int, Law] | None = None
        self._share: tuple[tuple[int, list[int]], float] | None = None

    def apply(self, event: Event, history: History) -> None:
        match event:
            case Ended(number, outcome):
                run = history.runs[number]
                fidelity, before = run.fidelity or 0, self._reached.get(run.trial, 0)
                if fidelity > before and not run.told:
                    self._reached[run.trial] = fidelity
                    self.spent += fidelity - before
                if outcome.state is RunState.SUCCEEDED:
                    self._loss[run.trial] = outcome.loss
                    heapq.heappush(self._ranking, (outcome.loss, run.trial))
                    rung = run.slot.rung if not run.told else self._rungs.get(fidelity)
                    if rung is not None:
                        insort(self._completed[rung], (outcome.loss, run.trial))
                    self._topped = self._topped or (run.slot.rung == self.top and run.slot.bracket != OUTSIDE)

    @property
    def top(self) -> int:
        """The highest rung."""
        return len(self.fidelities) - 1

    @property
    def full_runs(self) -> float:
        """How many runs to the highest fidelity would have cost as much as was spent."""
        return self.spent * ROUND_OFF / self.fidelities[-1]

    @property
    def active(self) -> bool:
        """Whether the incumbent's neighbourhood is sampled."""
        return self._topped and self.spent * ROUND_OFF >= self._cost

    @property
    def incumbent(self) -> int | None:
        """The trial with the best loss, each at the highest fidelity where it succeeded; ties go to the lower trial."""
        while self._ranking:
            loss, trial = self._ranking[0]
            if self._loss[trial] == loss:
                return trial
            heapq.heappop(self._ranking)
        return None

    def best(self, eta: float) -> list[int]:
        """The best 1 / eta (and eta at least) of the highest rung where eta or more succeeded, best first."""
        for completed in reversed(self._completed):
            if len(completed) >= eta:
                count = max(int(len(completed) / Fraction(eta)), int(eta))
                return [trial for _, trial in completed[:count]]
        return []

    def prior_share(self, best: list[int], encoded: Floats) -> float:
        """S_prior / (S_prior + S_incumbent) of these trials; `encoded` are the points of all, shape [trials, d]."""
        incumbent = self.incumbent
        assert incumbent is not None, "the best are some that succeeded"
        if self._share is None or self._share[0] != (incumbent, best):
            if self._around is None or self._around[0] != incumbent:
                self._around = incumbent, self._space.prior_around(self._space.decode(encoded[incumbent]))
            points = encoded[best]
            share = share_of_first(self._space.prior.log_density(points), self._around[1].log_density(points))
            self._share = (incumbent, best), share
        return self._share[1]


def share_of_first(first: Floats, second: Floats) -> float:
    """S_1 / (S_1 + S_2) with S = sum of w_i exp(log density of i), the best first, with weights n, ..., 2, 1.

    In logarithms, since the densities of many parameters vanish in doubles; one half where both do even so.
    """
    from scipy.special import expit, logsumexp

    weights = np.arange(len(first), 0, -1)
    with np.errstate(invalid="ignore"):
        share = float(expit(logsumexp(first, b=weights) - logsumexp(second, b=weights)))
    return share if share == share else 0.5
