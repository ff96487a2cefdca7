"""The metrics of a study: what is optimised, and what only has to keep within bounds.

A metric without a bound is an objective. The first one ranks the trials; with several, no single trial is best, and the
study has a Pareto front. A metric with `at_most` or `at_least` (or both) is a constraint: it is not optimised, and a
result that breaks its bounds comes after all that keep them. One and the same number may be both, listed twice.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from search.options import Option, read_options
from spaces import Problem
from spaces.values import show

METRIC = (
    Option("name", "text", "The key under which the objective reports it.", required=True),
    Option(
        "direction",
        "text",
        "What is better. May be left out where there is a bound.",
        choices=("minimize", "maximize"),
    ),
    Option("at_most", "float", "Makes it a constraint: a result above this comes after all that keep to it."),
    Option("at_least", "float", "Makes it a constraint: a result below this comes after all that keep to it."),
)


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that the objective reports. `loss = sign * value`."""

    name: str
    direction: Literal["minimize", "maximize"]
    at_most: float | None = None
    at_least: float | None = None

    @property
    def sign(self) -> int:
        return 1 if self.direction == "minimize" else -1

    @property
    def is_objective(self) -> bool:
        """Whether it is optimised."""
        return self.at_most is None and self.at_least is None

    def to_json(self) -> dict[str, Any]:
        """As it is read by `read_metrics`, with the direction where it was left out."""
        bounds = {"at_most": self.at_most, "at_least": self.at_least}
        present = {key: bound for key, bound in bounds.items() if bound is not None}
        return {"name": self.name, "direction": self.direction, **present}

    def violation(self, value: float) -> float:
        """By how much a finite value breaks the bounds, as a share of the bound (of 1 where that is 0); finite.

        Relative, because constraints in milliseconds and in percent are added up.
        """
        excess = 0.0
        if self.at_most is not None and value > self.at_most:
            excess = _share(value - self.at_most, self.at_most)
        if self.at_least is not None and value < self.at_least:
            excess = _share(self.at_least - value, self.at_least)
        return excess


def _share(excess: float, bound: float) -> float:
    # it may overflow; and one that rounds to nothing is a violation all the same
    return max(min(excess / (abs(bound) or 1.0), sys.float_info.max), sys.float_info.min)


def read_metrics(obj: object, problems: list[Problem]) -> list[Metric]:
    """The metrics of a study from JSON; what is wrong is added to `problems`."""
    if not isinstance(obj, list | tuple) or not obj:
        example = '[{"name": "loss", "direction": "minimize"}]'
        problems.append(Problem(("metrics",), f"expected a list such as {example}, got {show(obj)}"))
        return []
    metrics: list[Metric] = []
    for index, item in enumerate(obj):
        path = ("metrics", index)
        if not isinstance(item, Mapping):
            problems.append(Problem(path, f"expected an object with name and direction, got {show(item)}"))
            continue
        metric = _metric(read_options(item, METRIC, path, problems), index, problems)
        if any(metric.name == other.name and metric.is_objective == other.is_objective for other in metrics):
            what = "metric" if metric.is_objective else "constraint"
            problems.append(Problem((*path, "name"), f"a second {what} is named {show(metric.name)}"))
        metrics.append(metric)
    return metrics


def _metric(values: dict[str, Any], index: int, problems: list[Problem]) -> Metric:
    path = ("metrics", index)
    at_most, at_least = values["at_most"], values["at_least"]
    bounded = at_most is not None or at_least is not None
    if values["direction"] is None:
        if not bounded and not any(problem.path == (*path, "direction") for problem in problems):
            problems.append(Problem((*path, "direction"), f"is required: {METRIC[1].expected}"))
        values["direction"] = "maximize" if at_most is None and at_least is not None else "minimize"
    if at_most is not None and at_least is not None and at_most < at_least:
        problems.append(Problem((*path, "at_most"), f"no value is at least {at_least:g} and at most {at_most:g}"))
    if bounded and index == 0:
        problems.append(
            Problem(
                (*path, "at_most" if at_most is not None else "at_least"),
                "the first metric ranks the trials and so has no bound: list the constraint after it, and its metric"
                " without the bound before, if it is to be optimised too (a value that ends the study is the"
                " budget's target)",
            )
        )
    return Metric(**values)
