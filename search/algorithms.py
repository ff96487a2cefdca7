"""The table of algorithms: a name for each pair sampler x scheduler, what it can do, and its options.

To add one, write its sampler or scheduler in a file of its own and give it a row here; the contract suites, the checks
of studies and the catalogue of the service read the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from search.options import Option
from search.samplers import Sampler
from search.samplers.random import RandomSampler
from search.schedulers import Scheduler
from search.schedulers.brackets import ladder
from search.schedulers.full import FullFidelity
from search.schedulers.hyperband import Hyperband
from spaces import Problem, Space

Options = Mapping[str, Any]


def _no_advice(space: Space, options: Options) -> Iterable[Problem]:
    return ()


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A row of the table.

    `needs_fidelity`: a fidelity axis is required (an algorithm without the need runs everything to its maximum).
    `conditions`, `several_metrics`, `pending`: it serves conditional parameters, ranks by more than one metric, decides
    while runs are open.
    `sampler` and `scheduler` build its halves from a space and complete options; `advise` lists what is legal but
    hardly meant, with paths from the study's root.
    """

    name: str
    summary: str
    paper: str
    sampler: Callable[[Space, Options], Sampler]
    scheduler: Callable[[Space, Options], Scheduler]
    options: tuple[Option, ...] = ()
    needs_fidelity: bool = False
    conditions: bool = True
    several_metrics: bool = False
    pending: bool = True
    advise: Callable[[Space, Options], Iterable[Problem]] = _no_advice

    def to_json(self) -> dict[str, Any]:
        """The catalogue's row."""
        return {
            "name": self.name,
            "summary": self.summary,
            "paper": self.paper,
            "needs": {"fidelity": self.needs_fidelity},
            "serves": {
                "conditions": self.conditions,
                "several_metrics": self.several_metrics,
                "parallelism": self.pending,
            },
            "options": [option.to_json() for option in self.options],
        }


def _random(space: Space, options: Options) -> Sampler:
    return RandomSampler(space)


def _full(space: Space, options: Options) -> Scheduler:
    return FullFidelity(space.fidelity.high if space.fidelity else None)


def _hyperband(space: Space, options: Options) -> Scheduler:
    fidelity = space.fidelity
    assert fidelity is not None, "refused before"
    return Hyperband(fidelity.low, fidelity.high, fidelity.type == "int", **options)


def _one_rung(space: Space, options: Options) -> Iterable[Problem]:
    fidelity, eta = space.fidelity, options["eta"]
    assert fidelity is not None, "refused before"
    if len(ladder(fidelity.low, fidelity.high, eta, fidelity.type == "int")) == 1:
        yield Problem(
            ("space", "fidelity"),
            f"{fidelity.high:g} / {fidelity.low:g} is below eta = {eta:g}, so nothing can be stopped early and every"
            f" run goes to {fidelity.high:g}; lower the fidelity's low end or use full fidelity",
        )


HYPERBAND_OPTIONS = (
    Option("eta", "float", "Of each rung, 1/eta of the trials go on.", default=3, at_least=1.5),
    Option(
        "rounding",
        "text",
        "Size of a bracket's first rung: the paper's (ceil) or HpBandSter's (floor).",
        default="ceil",
        choices=("ceil", "floor"),
    ),
    Option("max_open_brackets", "int", "Brackets begun while others wait for a rung.", default=4, at_least=1),
)

ALGORITHMS: Mapping[str, Algorithm] = {
    row.name: row
    for row in (
        Algorithm(
            name="random",
            summary="Uniform draws at full fidelity: the baseline that every other algorithm has to beat.",
            paper="Bergstra and Bengio 2012, Random search for hyper-parameter optimization",
            sampler=_random,
            scheduler=_full,
            several_metrics=True,
        ),
        Algorithm(
            name="hyperband",
            summary="Many cheap runs, of which the best are trained on: random search that stops early.",
            paper="Li et al. 2018, Hyperband: a novel bandit-based approach to hyperparameter optimization",
            sampler=_random,
            scheduler=_hyperband,
            options=HYPERBAND_OPTIONS,
            needs_fidelity=True,
            advise=_one_rung,
        ),
    )
}
"""All algorithms, by name."""
