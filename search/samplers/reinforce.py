"""A policy that is rewarded for good configs (REINFORCE, Williams 1992; as a controller of architectures, Zoph and Le
2017).

The policy draws every parameter by itself: a choice, or a value with few others, by its probability, a number by that
of its part of the range, and uniformly within. For each result the log probability of its config, that is of the
parameters that are active in it, moves up its gradient by how much better it is than those before (Adam, Kingma and Ba
2015). Nothing is modelled: what it knows is in the probabilities, so it takes hundreds of runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.actions import Sample
from search.history import Config, Ended, Event, History, Outcome, RunState
from search.points import points
from search.samplers import Origin, Streams
from spaces import Space
from spaces.domain import Choices, Discrete, Domain

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BETAS = (0.9, 0.999)
EPSILON = 1e-8
ROUND_OFF = 1e-12
TRIES = 100


@dataclass(frozen=True, slots=True)
class Reinforce:
    """`lr`: of Adam. `entropy`: what staying undecided is worth, in standard deviations of the reward per nat.
    `baseline_decay`: of the mean of earlier rewards, which a reward is compared with. `bins`: parts of the range of a
    number that has more values."""

    space: Space
    lr: float = 0.1
    entropy: float = 1e-3
    baseline_decay: float = 0.9
    bins: int = 8

    def sample(self, request: Sample, history: History, streams: Streams) -> tuple[Config, Origin]:
        policy = history.view(self, lambda: Policy(self))
        config, left = points(self.space, history).new(streams("config"), policy.draw)
        origin = {"rule": "policy", "probabilities": {"policy": 1.0}, "learned_from": policy.updates}
        if left is not None:
            return config, {**origin, "rule": "uniform", "probabilities": {"uniform": 1.0}, "left": left}
        # fewer digits than a sum has whose terms may be added in another order on another machine
        return config, {**origin, "undecided": float(f"{policy.undecided:.5g}")}


class Arms:
    """What a policy chooses among, as indices of one array: the arms of all parameters, one after the other.

    The arm of a number is the part of the range in which it lies, of an integer the middle of its cell; one drawn near
    the end of a part may so count for the next.
    """

    def __init__(self, space: Space, bins: int) -> None:
        self._names = [parameter.name for parameter in space.parameters]
        self._domains: list[Domain] = [parameter.domain for parameter in space.parameters]
        self._values = [_by_value(domain, bins) for domain in self._domains]
        counts = [
            domain.count if each and domain.count is not None else bins
            for domain, each in zip(self._domains, self._values, strict=True)
        ]
        self.ends = np.cumsum(counts)
        self.slices = [slice(int(end - n), int(end)) for end, n in zip(self.ends, counts, strict=True)]

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def chosen(self, config: Config) -> list[tuple[slice, int]]:
        """Of each active parameter with more than one arm its arms, and which of them the config has, from 0."""
        found = []
        for name, domain, by_value, arms in zip(self._names, self._domains, self._values, self.slices, strict=True):
            count = arms.stop - arms.start
            if name in config and count > 1:
                found.append((arms, self._arm(domain, by_value, count, config[name])))
        return found

    def point(self, probabilities: Floats, rng: np.random.Generator) -> Floats:
        """A point of the unit cube, each coordinate drawn by the probabilities of its arms: two numbers from `rng` per
        parameter, whatever is active."""
        draws = rng.random((len(self.slices), 2))
        coordinates = np.empty(len(self.slices))
        for axis, (arms, (which, within)) in enumerate(zip(self.slices, draws.tolist(), strict=True)):
            cumulative = np.cumsum(probabilities[arms])
            arm = min(int(np.searchsorted(cumulative, which * cumulative[-1], side="right")), len(cumulative) - 1)
            domain = self._domains[axis]
            if self._values[axis] and isinstance(domain, Discrete):
                coordinates[axis] = domain.cells.to_unit(arm)
            else:
                coordinates[axis] = (arm + within) / len(cumulative)
        return coordinates

    def _arm(self, domain: Domain, by_value: bool, count: int, value: Any) -> int:
        if by_value and isinstance(domain, Discrete):
            return int(domain.cell(value))
        return min(int(domain.to_unit(value) * count), count - 1)


def _by_value(domain: Domain, bins: int) -> bool:
    """Whether each value is an arm: of choices, and of numbers where there are not more of them than bins."""
    return isinstance(domain, Choices) or (domain.count is not None and domain.count <= bins)


class Policy:
    """The view of the logits of all arms. A reward is the negative of a loss; that of a run that failed or broke a
    constraint is the worst so far, and that of a stopped one no better than the baseline."""

    def __init__(self, options: Reinforce) -> None:
        self._space, self._options = options.space, options
        self._arms = Arms(options.space, options.bins)
        self.logits = np.zeros(len(self._arms))
        self.updates = 0
        self._first, self._second = np.zeros_like(self.logits), np.zeros_like(self.logits)
        self._rewards, self._squares = Mean(options.baseline_decay), Mean(options.baseline_decay)
        self._worst: float | None = None

    @property
    def probabilities(self) -> Floats:
        """Of every arm, shape [arms]; those of a parameter add up to 1."""
        shares = np.empty_like(self.logits)
        for arms in self._arms.slices:
            shares[arms] = softmax(self.logits[arms])
        return shares

    @property
    def undecided(self) -> float:
        """The mean entropy of the parameters as a share of the largest: 1 at first, 0 when all are decided."""
        shares = [
            entropy(softmax(self.logits[arms])) / np.log(arms.stop - arms.start)
            for arms in self._arms.slices
            if arms.stop - arms.start > 1
        ]
        return float(np.mean(shares)) if shares else 0.0

    def draw(self, rng: np.random.Generator) -> Config:
        """A config that constraints allow; in the end the nearest to one that they forbid."""
        probabilities = self.probabilities
        for _ in range(TRIES):
            config = self._space.decode(self._arms.point(probabilities, rng))
            if self._space.allows(config):
                return config
        return self._space.repair(config, rng)

    def apply(self, event: Event, history: History) -> None:
        match event:
            case Ended(number, outcome) if not history.runs[number].partial:
                reward = self._reward(outcome, history, number)
                if reward is not None:
                    self._learn(history.runs[number].config, reward)

    def _reward(self, outcome: Outcome, history: History, number: int) -> float | None:
        match outcome.state:
            case RunState.SUCCEEDED if outcome.losses and not outcome.violation:
                reward = -outcome.losses[0]
                self._worst = reward if self._worst is None else min(self._worst, reward)
                return reward
            case RunState.SUCCEEDED | RunState.FAILED:
                return self._worst
            case RunState.STOPPED if self._worst is not None:
                last = [-report.loss for report in history.curve(number) if report.losses]
                return min([self._rewards.value, *last[-1:]])
        return None

    def _learn(self, config: Config, reward: float) -> None:
        """One step of Adam. The baseline is that of the rewards before, so that a reward does not speak against
        itself; an advantage counts in standard deviations, so that the units of the loss make no difference."""
        baseline = self._rewards.value if self._rewards.count else reward
        advantage = reward - baseline
        if abs(advantage) <= ROUND_OFF * max(abs(reward), abs(baseline)):  # equal rewards are no reason to move
            advantage = 0.0
        self._squares.add(advantage**2)
        self._rewards.add(reward)
        spread = np.sqrt(self._squares.value)
        scaled = advantage / spread if spread > 0 else 0.0
        gradient = np.zeros_like(self.logits)
        for arms, arm in self._arms.chosen(config):
            gradient[arms] = scaled * log_probability_gradient(self.logits[arms], arm)
            gradient[arms] += self._options.entropy * entropy_gradient(self.logits[arms])
        self.updates += 1
        self._first += (1 - BETAS[0]) * (gradient - self._first)
        self._second += (1 - BETAS[1]) * (gradient**2 - self._second)
        first = self._first / (1 - BETAS[0] ** self.updates)
        second = self._second / (1 - BETAS[1] ** self.updates)
        self.logits += self._options.lr * first / (np.sqrt(second) + EPSILON)


class Mean:
    """An exponential moving average without the bias towards its start; 0 before the first number."""

    def __init__(self, decay: float) -> None:
        self._decay, self._sum, self.count = decay, 0.0, 0

    def add(self, number: float) -> None:
        self._sum = self._decay * self._sum + (1 - self._decay) * number
        self.count += 1

    @property
    def value(self) -> float:
        return self._sum / (1 - self._decay**self.count) if self.count else 0.0


def softmax(logits: Floats) -> Floats:
    shares = np.exp(logits - logits.max())
    return np.asarray(shares / shares.sum(), dtype=np.float64)


def entropy(probabilities: Floats) -> float:
    """In nats."""
    positive = probabilities[probabilities > 0]
    return float(-(positive * np.log(positive)).sum())


def log_probability_gradient(logits: Floats, arm: int) -> Floats:
    """Of log softmax(logits)[arm] by the logits: one-hot less softmax."""
    gradient = -softmax(logits)
    gradient[arm] += 1
    return gradient


def entropy_gradient(logits: Floats) -> Floats:
    """Of the entropy of softmax(logits) by the logits: -p (log p + H)."""
    shares = softmax(logits)
    logs = np.log(np.maximum(shares, np.finfo(np.float64).tiny))
    return np.asarray(-shares * (logs + entropy(shares)), dtype=np.float64)
