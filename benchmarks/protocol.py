"""How a method is measured on a task: by the regret of its incumbent while it spends a budget of full evaluations.

An evaluation at a fidelity costs that share of the highest one; a run that continues another costs the difference
(`resume=False`: what it would cost from scratch). The incumbent is the config with the best *observed* loss at the
highest fidelity seen so far; it is scored by its true loss, as normalized regret. Before anything finite was seen the
regret is 1.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

from benchmarks.tasks import Task
from benchmarks.tasks.task import Config

ROUND_OFF = 1e-9
"""A sum of shares of a full evaluation may exceed the budget that it equals on paper by this much."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What a method wants evaluated. A `fidelity` of None is the highest; `resumed` is what an earlier run of the same
    config, which this one continues, has reached. `token` is the method's own."""

    config: Config
    fidelity: float | None
    resumed: float
    token: Any


class Session(Protocol):
    """One search in progress, asked and told one evaluation at a time."""

    def ask(self) -> Suggestion | None:
        """The next evaluation; None when the method has no more."""

    def tell(self, suggestion: Suggestion, loss: float) -> None:
        """The observed loss of what was asked last."""

    def close(self) -> None:
        """Nothing more will be asked."""


Start = Callable[[Task, int, float], Session]
"""Opens a search on a task with a seed and a budget, which the method may know but need not keep."""


@dataclass(frozen=True, slots=True)
class Step:
    """From this spending on (in full evaluations), the incumbent has this normalized regret."""

    spent: float
    regret: float


@dataclass(frozen=True, slots=True)
class Curve:
    """What one search did. `seconds` is what the method took for its decisions, all together."""

    steps: tuple[Step, ...]
    evaluations: int
    spent: float
    seconds: float

    def at(self, budget: float) -> float:
        """The normalized regret after this many full evaluations."""
        index = bisect_right(self.steps, budget + ROUND_OFF, key=lambda step: step.spent)
        return self.steps[index - 1].regret if index else 1.0

    def time_to(self, level: float) -> float:
        """The spending at which the regret first was at most `level`; infinite if it never was."""
        return next((step.spent for step in self.steps if step.regret <= level), math.inf)

    def to_json(self) -> dict[str, Any]:
        steps = [[step.spent, step.regret] for step in self.steps]
        return {"steps": steps, "evaluations": self.evaluations, "spent": self.spent, "seconds": self.seconds}

    @classmethod
    def from_json(cls, obj: dict[str, Any]) -> Curve:
        return cls(tuple(Step(*step) for step in obj["steps"]), obj["evaluations"], obj["spent"], obj["seconds"])


def play(task: Task, start: Start, seed: int, budget: float, resume: bool = True) -> Curve:
    """Searches until the next evaluation would exceed the budget, or the method has no more."""
    steps: list[Step] = []
    best = (math.inf, math.inf)  # of the incumbent: minus the fidelity, the observed loss
    evaluations, spent = 0, 0.0
    began = perf_counter()
    session = start(task, seed, budget)
    thinking = perf_counter() - began
    try:
        while True:
            began = perf_counter()
            suggestion = session.ask()
            thinking += perf_counter() - began
            if suggestion is None:
                break
            price = _price(task, suggestion, resume)
            if spent + price > budget + ROUND_OFF:
                break
            spent += price
            evaluations += 1
            loss = task.observe(suggestion.config, suggestion.fidelity, seed)
            rank = (-(math.inf if suggestion.fidelity is None else suggestion.fidelity), loss)
            if math.isfinite(loss) and rank < best:
                best = rank
                steps.append(Step(spent, task.regret(suggestion.config)))
            began = perf_counter()
            session.tell(suggestion, loss)
            thinking += perf_counter() - began
    finally:
        session.close()
    return Curve(tuple(steps), evaluations, spent, thinking)


def _price(task: Task, suggestion: Suggestion, resume: bool) -> float:
    """In full evaluations."""
    if suggestion.fidelity is None or task.max_fidelity is None:
        return 1.0
    return (suggestion.fidelity - (suggestion.resumed if resume else 0.0)) / task.max_fidelity
