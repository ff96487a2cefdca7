"""Whether plain darts collapses to skips, and what its robust variants make of the same searches.

NAS-Bench-201's cell without `none`, to which searches go otherwise, in a deeper network and for longer than `found`: by
every epoch's genotype, how many of the six edges are skips. Even draws would make it 1.5. What each search comes to is
trained alone, beside random cells, as in `found`.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from benchmarks.nas import found
from benchmarks.report import table

METHODS = (
    "darts, first",
    "darts, second",
    "sdarts, random",
    "sdarts, adversarial",
    "robust-darts, stop",
    "robust-darts, regularize",
    "drop-path",
)
SETTING = found.Setting(
    epochs=16,
    pool=6,
    ops=("skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"),
    options={**found.QUICK, "channels": 4, "layers": 3, "alpha_lr": 0.1},
)


def shown(measured: Mapping[str, Any]) -> str:
    """A row per search."""
    rows = []
    for label, method in measured["methods"].items():
        for search in method["searches"]:
            tested = ", ".join(f"{100 * accuracy:.1f}" for accuracy in search["test"] or ())
            stopped = search["stopped_at"]
            notes = [] if stopped is None else [f"back to epoch {stopped + 1}"]
            notes += [f"decay raised {search['raised_decay']} times"] if search["raised_decay"] else []
            each = ", ".join(map(str, search["skips"]))
            rows.append([label, str(search["seed"]), each, str(search["answer_skips"]), tested, "; ".join(notes)])
    head = ("method", "seed", "skips of 6, by epoch", "answer", "test %", "")
    lines = [table(head, rows), "random cells:"]
    lines += [
        f"{one['genotype'].count('skip_connect')} skips, test {100 * statistics.mean(one['test']):.2f} %"
        for one in measured["pool"]
    ]
    return "\n".join(lines)
