"""The tables and charts of a comparison, from its curves."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from benchmarks import charts, scores
from benchmarks.protocol import Curve

LEVELS = (0.1, 0.05)
"""The regrets whose first time is reported."""

Curves = Mapping[tuple[str, str, int], Curve]
"""By method, task and seed."""


@dataclass(frozen=True)
class Comparison:
    """Methods on the same tasks and seeds: every (method, task, seed) is in `curves`. `baseline` is one of them."""

    curves: Curves
    methods: Sequence[str]
    tasks: Sequence[str]
    seeds: Sequence[int]
    read_outs: Sequence[float]
    baseline: str

    @cached_property
    def regrets(self) -> Mapping[float, scores.Array]:
        """By read-out, shape [method, task, seed]."""
        return {budget: self._array(Curve.at, budget) for budget in self.read_outs}

    @property
    def last(self) -> float:
        return self.read_outs[-1]

    def times(self, level: float) -> scores.Array:
        """The spending at which each search first reached a regret; infinite beyond the budget."""
        times = self._array(Curve.time_to, level)
        return np.where(times <= self.last + 1e-9, times, math.inf)

    def _array(self, of: Callable[[Curve, float], float], argument: float) -> scores.Array:
        return np.array(
            [
                [[of(self.curves[method, task, seed], argument) for seed in self.seeds] for task in self.tasks]
                for method in self.methods
            ],
            dtype=np.float64,
        )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns: the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        first, *others = (
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return f"| {' | '.join([first, *others])} |"

    rule = (
        "| " + " | ".join("-" * width if i == 0 else "-" * (width - 1) + ":" for i, width in enumerate(widths)) + " |"
    )
    return "\n".join([line(head), rule, *map(line, rows)])


def regret_table(comparison: Comparison) -> str:
    """Mean normalized regret at the read-outs, half width of the 95 % interval at the last, how soon, mean rank."""
    estimates = {budget: scores.suite_mean(regrets) for budget, regrets in comparison.regrets.items()}
    ranks = scores.mean_ranks(comparison.regrets[comparison.last])
    reached = {level: np.isfinite(comparison.times(level)).mean(axis=(1, 2)) for level in LEVELS}
    medians = {level: np.median(comparison.times(level), axis=(1, 2)) for level in LEVELS}
    last = f"{comparison.last:g}"
    head = ["mean normalized regret", *(f"@{budget:g}" for budget in comparison.read_outs), "+-"]
    head += [f"<= {level:g} by {last}" for level in LEVELS] + [f"median time to {level:g}" for level in LEVELS]
    head.append(f"mean rank @{last}")
    rows = []
    for index, method in enumerate(comparison.methods):
        row = [method, *(_short(estimates[budget][index].mean) for budget in comparison.read_outs)]
        row.append(_short(estimates[comparison.last][index].half_width))
        row += [f"{reached[level][index]:.0%}" for level in LEVELS]
        row += [_time(float(medians[level][index]), comparison.last) for level in LEVELS]
        rows.append([*row, f"{ranks[index]:.2f}"])
    return table(head, rows)


def rank_table(comparison: Comparison) -> str:
    """Mean ranks over tasks and seeds at every read-out."""
    ranks = [scores.mean_ranks(regrets) for regrets in comparison.regrets.values()]
    rows = [[method, *(f"{rank[index]:.2f}" for rank in ranks)] for index, method in enumerate(comparison.methods)]
    return table(["mean rank", *(f"@{budget:g}" for budget in comparison.read_outs)], rows)


def difference_table(comparison: Comparison) -> str:
    """Each method less the baseline at the last read-out, with its interval and two paired tests."""
    regrets = comparison.regrets[comparison.last]
    base = regrets[comparison.methods.index(comparison.baseline)]
    rows = []
    for method, own in zip(comparison.methods, regrets, strict=True):
        if method == comparison.baseline:
            continue
        gap = scores.compare(own, base)
        interval = f"{gap.difference.mean:+.3f} +- {gap.difference.half_width:.3f}"
        rows.append([method, interval, f"{gap.p_seeds:.2g}", f"{gap.p_tasks:.2g}"])
    head = [f"less {comparison.baseline}, @{comparison.last:g}", "difference", "p over seeds", "p over tasks"]
    return table(head, rows)


def task_table(comparison: Comparison) -> str:
    """Mean normalized regret per task at the last read-out."""
    means = comparison.regrets[comparison.last].mean(axis=2)
    rows = [
        [task, *(_short(float(means[method, index])) for method in range(len(comparison.methods)))]
        for index, task in enumerate(comparison.tasks)
    ]
    return table([f"per task @{comparison.last:g}", *comparison.methods], rows)


def significance(comparison: Comparison) -> str:
    """Friedman's test and the critical difference, in words."""
    test = scores.rank_test(comparison.regrets[comparison.last])
    if test is None:
        return "Friedman's test needs three methods and two tasks."
    ranks = ", ".join(
        f"{method} {rank:.2f}" for rank, method in sorted(zip(test.ranks, comparison.methods, strict=True))
    )
    return (
        f"Friedman on task means @{comparison.last:g}: p = {test.p:.2g}; mean ranks {ranks};"
        f" Nemenyi's critical difference {test.critical_difference:.2f} (5 %)"
    )


def pictures(comparison: Comparison, title: str) -> dict[str, str]:
    """SVG texts by name: `curves`, and `ranks` where the test can be done."""
    lines = {}
    for index, method in enumerate(comparison.methods):
        estimates = [scores.suite_mean(regrets)[index] for regrets in comparison.regrets.values()]
        points = [(budget, one.mean) for budget, one in zip(comparison.read_outs, estimates, strict=True)]
        lines[method] = charts.Line(points, [one.half_width for one in estimates])
    drawn = {"curves": charts.curves(title, "full evaluations", "mean normalized regret", lines)}
    if test := scores.rank_test(comparison.regrets[comparison.last]):
        ranks = dict(zip(comparison.methods, test.ranks, strict=True))
        caption = f"{title}: mean ranks after {comparison.last:g} full evaluations"
        drawn["ranks"] = charts.critical_difference(caption, ranks, test.critical_difference)
    return drawn


def to_json(comparison: Comparison) -> dict[str, Any]:
    """All numbers of the tables."""
    test = scores.rank_test(comparison.regrets[comparison.last])
    estimates = {budget: scores.suite_mean(regrets) for budget, regrets in comparison.regrets.items()}
    methods = {}
    for index, method in enumerate(comparison.methods):
        methods[method] = {
            "mean": {f"{budget:g}": asdict(estimates[budget][index]) for budget in comparison.read_outs},
            "rank": {
                f"{budget:g}": float(scores.mean_ranks(comparison.regrets[budget])[index])
                for budget in comparison.read_outs
            },
            "reached": {f"{level:g}": float(np.isfinite(comparison.times(level)[index]).mean()) for level in LEVELS},
            "task": {
                task: [float(comparison.regrets[budget][index, place].mean()) for budget in comparison.read_outs]
                for place, task in enumerate(comparison.tasks)
            },
            "seconds": sum(
                comparison.curves[method, task, seed].seconds for task in comparison.tasks for seed in comparison.seeds
            ),
        }
    return {
        "tasks": list(comparison.tasks),
        "seeds": len(comparison.seeds),
        "read_outs": list(comparison.read_outs),
        "methods": methods,
        "friedman": asdict(test) if test else None,
    }


def _short(value: float) -> str:
    """.418 rather than 0.418: the tables are wide."""
    return f"{value:.3f}".removeprefix("0") if math.isfinite(value) else "-"


def _time(value: float, last: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else f"> {last:g}"
