"""NAS-Bench-201 from its tables, as its paper does it (`benchmarks.nasbench201`), beside what others measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.methods import parse
from benchmarks.nasbench201 import HEAD, compared, spreads
from benchmarks.report import table
from search import ALGORITHMS

METHODS = ("random", "evolution:population=10,tournament=3", "bohb", "tpe", "reinforce")
# CIFAR-10 and CIFAR-100, each validation and test. A reference is an independent implementation on the same tables;
# published is what X. Dong and Y. Yang (2020) report.
BESIDE = {
    "random": (
        ("reference, 500 seeds", "90.98 +- 0.34", "93.75 +- 0.37", "71.08 +- 1.03", "71.17 +- 1.10"),
        ("published", "", "93.70 +- 0.36", "", ""),
    ),
    "evolution": (("reference, 500 seeds", "91.16 +- 0.40", "93.93 +- 0.44", "71.77 +- 1.24", "71.92 +- 1.35"),),
    "bohb": (("reference, 30 seeds", "90.94 +- 0.56", "93.77 +- 0.57", "71.15 +- 1.54", "71.35 +- 1.62"),),
    "tpe": (("reference, 60 seeds", "91.40 +- 0.20", "94.17 +- 0.30", "72.65 +- 0.84", "72.84 +- 0.93"),),
    "reinforce": (("published", "91.09 +- 0.37", "93.85 +- 0.37", "", "71.71 +- 1.09"),),
}
OPTIMUM = ("91.61", "94.37", "73.49", "73.51")


def measure(seeds: int, jobs: int) -> dict[str, Any]:
    """Raises Missing without the tables. A method that is not in the table of algorithms is left out."""
    methods = [parse(written) for written in METHODS if written.partition(":")[0] in ALGORITHMS]
    accuracies = compared(methods, seeds, jobs)
    test = {label: by_dataset["cifar10"]["test"] for label, by_dataset in accuracies.items()}
    beyond = {
        label: difference(values, test["random"]) for label, values in test.items() if label != "random" and seeds > 1
    }
    return {"seeds": seeds, "accuracies": accuracies, "beyond_random": beyond}


def difference(values: Sequence[float], others: Sequence[float]) -> dict[str, float]:
    """Of the means, with its 95 % interval (Welch)."""
    interval = stats.ttest_ind(values, others, equal_var=False).confidence_interval()
    return {"mean": float(np.mean(values) - np.mean(others)), "low": float(interval.low), "high": float(interval.high)}


def shown(measured: dict[str, Any]) -> str:
    rows = []
    for label, by_dataset in measured["accuracies"].items():
        name = label.partition(":")[0]
        rows.append([label, str(measured["seeds"]), *spreads(by_dataset)])
        rows += [[f"{name}, {source}", "", *numbers] for source, *numbers in BESIDE[name]]
    rows.append(["optimum", "", *OPTIMUM])
    lines = [table(HEAD, rows)]
    for label, found in measured["beyond_random"].items():
        told = f"{found['mean']:+.2f} (95 %: {found['low']:+.2f} to {found['high']:+.2f})"
        lines.append(f"CIFAR-10 test accuracy of {label} less that of random: {told}")
    return "\n".join(lines)
