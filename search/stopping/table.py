"""The table of stopping rules, by the names that users type in `algorithm: {name: ..., stop: {rule: ...}}`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from search.options import Option
from search.stopping import Rule
from search.stopping.asha import AshaStop
from search.stopping.curve import Curve
from search.stopping.median import Median
from search.stopping.patience import Patience
from search.stopping.threshold import Threshold
from spaces import Space

Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StoppingRule:
    """A row of the table.

    `compares`: it judges a run by the other trials, as a multi-fidelity algorithm does itself. `needs_horizon`: it must
    know where training ends, from the space's fidelity or its option `horizon`. `make` builds it from complete options,
    the space, and the sign that turns the first metric into a loss.
    """

    name: str
    summary: str
    paper: str
    make: Callable[[Options, Space, int], Rule]
    options: tuple[Option, ...]
    compares: bool = True
    needs_horizon: bool = False

    def to_json(self) -> dict[str, Any]:
        """The catalogue's row."""
        return {
            "name": self.name,
            "summary": self.summary,
            "paper": self.paper,
            "serves": {"multi_fidelity": not self.compares, "several_metrics": not self.compares},
            "options": [option.to_json() for option in self.options],
        }


def _asha_stop(options: Options, space: Space, sign: int) -> AshaStop:
    first = space.fidelity.low if space.fidelity else 1
    return AshaStop(**{**options, "grace": options["grace"] or first})


GRACE = Option("grace", "float", "Before this step every run goes on.", default=0, at_least=0)

STOPPING_RULES: Mapping[str, StoppingRule] = {
    row.name: row
    for row in (
        StoppingRule(
            name="median",
            summary="Stops a run that was never as good as the other trials were on average: the median of them.",
            paper="Golovin et al. 2017, Google Vizier: a service for black-box optimization",
            make=lambda options, space, sign: Median(**options),
            options=(Option("trials", "int", "Ended trials that it takes to judge.", default=5, at_least=1), GRACE),
        ),
        StoppingRule(
            name="asha-stop",
            summary="Lets the best 1/eta of those that come to a rung go on; the rungs are at grace, grace * eta, ....",
            paper="Li et al. 2020, A system for massively parallel hyperparameter tuning",
            make=_asha_stop,
            options=(
                Option(
                    "eta", "float", "Of those on a rung, the best 1/eta go on.", default=3, at_least=1.5, at_most=1000
                ),
                Option("grace", "float", "The step of the first rung; the lowest fidelity if not given.", above=0),
                Option(
                    "cutoff",
                    "text",
                    "The 1/eta quantile of the losses on the rung, or the loss of rank n/eta.",
                    default="quantile",
                    choices=("quantile", "rank"),
                ),
            ),
        ),
        StoppingRule(
            name="patience",
            summary="Ends a run that no longer improves; its last report is its result.",
            paper="Prechelt 1998, Early stopping - but when?",
            make=lambda options, space, sign: Patience(**options),
            options=(
                Option("reports", "int", "Reports in a row without an improvement.", default=10, at_least=1),
                Option("delta", "float", "The least improvement that counts.", default=0, at_least=0),
                GRACE,
            ),
            compares=False,
        ),
        StoppingRule(
            name="threshold",
            summary="Stops a run that has not come to a given value by a given step.",
            paper="none: the value is the user's knowledge",
            make=lambda options, space, sign: Threshold(sign * options["value"], options["grace"]),
            options=(
                Option("value", "float", "The first metric must have been at least as good.", required=True),
                Option("grace", "float", "By this step; at every one if not given.", default=0, at_least=0),
            ),
            compares=False,
        ),
        StoppingRule(
            name="curve",
            summary="Extrapolates the learning curve and stops a run that will hardly beat the best result.",
            paper="Domhan et al. 2015, Speeding up automatic hyperparameter optimization of deep neural networks by"
            " extrapolation of learning curves",
            make=lambda options, space, sign: Curve(**options),
            options=(
                Option("horizon", "float", "The step at which training ends; by default the run's fidelity.", above=0),
                Option("probability", "float", "The least chance to go on.", default=0.05, above=0, at_most=1),
                Option("every", "int", "Judged at each report of this number.", default=5, at_least=1),
                GRACE,
            ),
            needs_horizon=True,
        ),
    )
}
"""All stopping rules, by name."""
