"""What several rows of the table have in common: builders of halves, options, advice."""

from __future__ import annotations

from collections.abc import Iterable

from search.algorithms.row import Options
from search.options import Option
from search.samplers import Sampler
from search.samplers.random import RandomSampler
from search.schedulers import Scheduler
from search.schedulers.brackets import ladder
from search.schedulers.full import FullFidelity
from search.schedulers.hyperband import Hyperband
from spaces import Problem, Space

ETA = Option("eta", "float", "Of each rung, 1/eta of the trials go on.", default=3, at_least=1.5, at_most=1000)


HYPERBAND_OPTIONS = (
    ETA,
    Option(
        "rounding",
        "text",
        "Size of a bracket's first rung: the paper's (ceil) or HpBandSter's (floor).",
        default="ceil",
        choices=("ceil", "floor"),
    ),
    Option("max_open_brackets", "int", "Brackets begun while others wait for a rung.", default=4, at_least=1),
)


PRIOR_WEIGHT = Option(
    "prior_weight",
    "float",
    "Where there are priors: how strongly they count at first (piBO's beta); 0 ignores them.",
    default=10.0,
    at_least=0,
)


def uniform(space: Space, options: Options) -> Sampler:
    """Uniform draws."""
    return RandomSampler(space)


def full(space: Space, options: Options) -> Scheduler:
    """Everything to the highest fidelity."""
    return FullFidelity(space.fidelity.high if space.fidelity else None)


def hyperband(space: Space, options: Options) -> Scheduler:
    """Hyperband over the fidelities of the space."""
    fidelity = space.fidelity
    assert fidelity is not None, "refused before"
    return Hyperband(fidelity.low, fidelity.high, fidelity.type == "int", **options)


def model_and_hyperband(space: Space, options: Options) -> Scheduler:
    """Hyperband, where the options are those of a sampler too."""
    return hyperband(space, {option.name: options[option.name] for option in HYPERBAND_OPTIONS})


def one_rung(space: Space, options: Options) -> Iterable[Problem]:
    """Advice on a range of fidelities in which nothing can be stopped early."""
    fidelity, eta = space.fidelity, options["eta"]
    assert fidelity is not None, "refused before"
    if len(ladder(fidelity.low, fidelity.high, eta, fidelity.type == "int")) == 1:
        yield Problem(
            ("space", "fidelity"),
            f"{fidelity.high:g} / {fidelity.low:g} is below eta = {eta:g}, so nothing can be stopped early and every"
            f" run goes to {fidelity.high:g}; lower the fidelity's low end or use full fidelity",
        )
