"""The cheap standard model of every task, which a training has to beat. `workers.tasks` names one function per task:

    baseline(data, facts, test=None) -> Baseline

It learns from the training examples alone, and is judged by the task's scores. Of several models the one with the best
first score on the validation examples is the baseline. Everything that it draws, it draws the same way every time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from workers.data.loading import Data, Examples
from workers.tasks import TASKS

Scores = Mapping[str, float]
Judge = Callable[[Examples], Scores]


@dataclass(frozen=True, slots=True)
class Baseline:
    """`scores` are on the validation examples, `tested` on those of the test, if it was given. `others` are the
    validation scores of the models that were no better, by their names."""

    name: str
    scores: Scores
    tested: Scores | None = None
    others: Mapping[str, Scores] = field(default_factory=dict)


def best_of(task: str, models: Mapping[str, Judge], data: Data, test: Examples | None) -> Baseline:
    """`models` have scores for any examples."""
    first = TASKS[task].scores[0]
    sign = 1 if first.direction == "maximize" else -1
    found = {name: judge(data.validation) for name, judge in models.items()}
    best = max(found, key=lambda name: sign * found[name][first.name])
    others = {name: scores for name, scores in found.items() if name != best}
    return Baseline(best, found[best], None if test is None else models[best](test), others)
