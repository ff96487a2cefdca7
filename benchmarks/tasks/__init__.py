"""Tasks with a known answer: published tables of real trainings, surrogates fitted to them, and formulas.

`load(name)` opens one; what it needs that this machine lacks is said by the `Missing` that it raises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial

from benchmarks.tasks.hartmann import hartmann
from benchmarks.tasks.nb201 import nb201
from benchmarks.tasks.surrogates import surrogate
from benchmarks.tasks.tables import hpobench, hpolib
from benchmarks.tasks.task import Missing, Task

__all__ = ["PRIOR_SUITE", "SUITE", "TASKS", "Missing", "Task", "load"]

TASKS: Mapping[str, Callable[[], Task]] = {
    **{f"hpobench-{name}": partial(hpobench, name) for name in ("australian", "vehicle", "segment", "phoneme")},
    **{f"hpolib-{name}": partial(hpolib, name) for name in ("protein_structure", "parkinsons_telemonitoring")},
    **{f"nb201-{name}": partial(nb201, name) for name in ("cifar10", "cifar100")},
    **{f"lcbench-{name}": partial(surrogate, "lcbench", name) for name in ("3945", "7593", "126026", "167168")},
    **{f"xgboost-{name}": partial(surrogate, "rbv2_xgboost", name) for name in ("12", "40966")},
    "hartmann3": partial(hartmann, 3, bias=2.5, noise=2.0),
    "hartmann6": partial(hartmann, 6, bias=3.0, noise=3.0),
}
"""All tasks, by name."""

SUITE = tuple(TASKS)
"""The sixteen tasks of the suite: four MLP tables, two regression tables, two architecture tables, six surrogates and
two formulas; ten of them have a fidelity."""

PRIOR_SUITE = tuple(name for name in TASKS if name.startswith(("lcbench-", "hartmann")))
"""The six tasks on which priors are compared: numeric parameters and a fidelity."""


@cache
def load(name: str) -> Task:
    """The task of this name, opened once per process. Raises Missing when its data or its runtime is not here."""
    return TASKS[name]()
