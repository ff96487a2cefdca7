"""A row of the table of algorithms."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from search.history import History
from search.options import Option
from search.samplers import Sampler
from search.schedulers import Scheduler
from search.schedulers.first import First
from spaces import Problem, Space

Options = Mapping[str, Any]


def no_advice(space: Space, options: Options) -> Iterable[Problem]:
    return ()


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A row of the table.

    `needs_fidelity`: a fidelity axis is required (an algorithm without the need runs everything to its maximum).
    `needs_prior`: some parameter must have a prior.
    `needs_architecture`: the space must have an architecture.
    `presets`: of these presets alone; any, if there are none.
    `one_shot`: its first run ranks the configs that are trained after it; if it needs an architecture, that is one that
    a supernet can hold.
    `continuous`: it varies continuous parameters alone, so that all others must be constant.
    `conditions`, `several_metrics`, `pending`: it serves conditional parameters, ranks by more than one metric, decides
    while runs are open.
    `synchronous`: its slots do not depend on the order in which runs end. `learns`: its configs depend on results.
    `forks`: trials may begin with what others have learned, so that configs change in the middle of a training.
    `inherits`: the runs whose weights new trials may yet begin with; None where they begin with none.
    `ends`: it ends without a budget, in any space.
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
    needs_prior: bool = False
    needs_architecture: bool = False
    presets: tuple[str, ...] = ()
    one_shot: bool = False
    continuous: bool = False
    conditions: bool = True
    several_metrics: bool = False
    pending: bool = True
    synchronous: bool = True
    learns: bool = False
    forks: bool = False
    ends: bool = False
    inherits: Callable[[Space, Options, History], Collection[int]] | None = None
    advise: Callable[[Space, Options], Iterable[Problem]] = no_advice

    def scheduler_within(self, space: Space, options: Options, budget: float | None) -> Scheduler:
        """Its scheduler, for a study with so much fidelity to spend in all; None is no limit."""
        scheduler = self.scheduler(space, options)
        return scheduler.within(budget) if isinstance(scheduler, First) else scheduler

    def inheriting(self, options: Options) -> bool:
        """Whether its trials begin with weights of others: where it asks by an option, if that is set."""
        asks = any(option.name == "inherit" for option in self.options)
        return self.inherits is not None and (not asks or options.get("inherit") is True)

    @property
    def uses_prior(self) -> bool:
        """Whether its configs depend on the space's prior."""
        return self.needs_prior or any(option.name == "prior_weight" for option in self.options)

    def to_json(self) -> dict[str, Any]:
        """The catalogue's row."""
        return {
            "name": self.name,
            "summary": self.summary,
            "paper": self.paper,
            "needs": {
                "fidelity": self.needs_fidelity,
                "prior": self.needs_prior,
                "architecture": self.needs_architecture,
            },
            "serves": {
                "conditions": self.conditions,
                "several_metrics": self.several_metrics,
                "parallelism": self.pending,
            },
            "options": [option.to_json() for option in self.options],
        }
