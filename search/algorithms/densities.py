"""Where the good trials lie: algorithms that learn densities, or mix them with what is believed."""

from __future__ import annotations

from dataclasses import replace

from search.algorithms.row import Algorithm, Options
from search.algorithms.shared import (
    HYPERBAND_OPTIONS,
    PRIOR_WEIGHT,
    full,
    hyperband,
    model_and_hyperband,
    one_rung,
)
from search.density.parzen import Law
from search.history import Slot
from search.options import Option
from search.samplers import Sampler
from search.samplers.kde import KDESampler
from search.samplers.priorband import ORIGIN_OF_THE_MODE, PriorBand
from search.samplers.tpe import TPESampler
from search.schedulers import Scheduler
from search.schedulers.brackets import OUTSIDE, ladder
from search.schedulers.first import First
from spaces import Space

RATIO_WEIGHT = replace(PRIOR_WEIGHT, default=2.0)
"""A ratio of densities has a smaller range than an expected improvement, so less of the prior outweighs it."""


KDE_OPTIONS = (
    Option("top_fraction", "float", "Of the results at a fidelity, the good ones.", 0.15, above=0, at_most=1),
    Option(
        "candidates",
        "int",
        "Draws from the good density, of which the best is tried.",
        default=64,
        at_least=1,
        at_most=100_000,
    ),
    Option("random_fraction", "float", "Share of uniform draws.", default=1 / 3, at_least=0, at_most=1),
    Option("bandwidth_factor", "float", "How much wider than the kernels candidates are drawn.", default=3, above=0),
    Option("min_bandwidth", "float", "Least kernel width, as a share of the range.", 1e-3, above=0, at_most=1),
    Option("pending", "text", "Open trials count as bad when they are many, or not.", "bad", choices=("bad", "ignore")),
    RATIO_WEIGHT,
)


TPE_OPTIONS = (
    Option("startup", "int", "Uniform draws until so many trials have finished.", default=10, at_least=1),
    Option(
        "candidates",
        "int",
        "Draws from the good trials' density, of which the best is tried.",
        24,
        at_least=1,
        at_most=100_000,
    ),
    Option("gamma", "text", "How the number of good trials grows.", default="linear", choices=("linear", "sqrt")),
    Option("gamma_factor", "float", "Good trials: this times their number, or its root.", default=0.1, above=0),
    Option("gamma_max", "int", "Good trials, at most.", default=25, at_least=1),
    Option(
        "weights",
        "text",
        "Better ones count more among the good (improvement), or older ones less (recent), or all the same.",
        default="improvement",
        choices=("improvement", "recent", "uniform"),
    ),
    Option(
        "density",
        "text",
        "Modelled jointly: groups of parameters that are active together, unconditional ones only, or nothing.",
        default="groups",
        choices=("groups", "unconditional", "independent"),
    ),
    Option("pending", "text", "Open trials count among the rest, or not.", "rest", choices=("rest", "ignore")),
    Option(
        "bandwidth",
        "text",
        "Kernel widths: the gaps to the neighbours, or one width by Scott's rule.",
        default="neighbours",
        choices=("neighbours", "scott"),
    ),
    Option("min_bandwidth", "float", "Least kernel width, as a share of the range.", default=0.03, above=0, at_most=1),
    Option("bandwidth_exponent", "float", "No width is below (n + 2)^-exponent.", default=2, above=0),
    Option(
        "choice_bandwidth",
        "float",
        "Chance to leave a seen choice; by the number seen if not given.",
        above=0,
        at_most=1,
    ),
    RATIO_WEIGHT,
)


PRIORBAND_OPTIONS = (
    *HYPERBAND_OPTIONS,
    Option(
        "first",
        "text",
        "The prior's mode is tried first: at the highest fidelity, outside the brackets, or on the lowest rung.",
        default="highest",
        choices=("highest", "lowest"),
    ),
    Option(
        "uniform_style",
        "text",
        "Share of uniform draws on rung r: 1 / (1 + eta^r), or falling to 1 / (1 + eta) at the top, or one half.",
        default="geometric",
        choices=("geometric", "linear", "50-50"),
    ),
    Option(
        "inc_style",
        "text",
        "Prior against incumbent: by how each explains the best trials, eta to 1, or the prior's share halving.",
        default="dynamic",
        choices=("dynamic", "constant", "decay"),
    ),
    Option("model", "bool", "Whether a Gaussian process takes over from these rules.", default=False),
    Option("model_after", "float", "When it does: full runs' worth of fidelity spent.", default=10.0, above=0),
)


def _tpe(space: Space, options: Options) -> Sampler:
    law = ("bandwidth", "min_bandwidth", "bandwidth_exponent", "choice_bandwidth")
    rest = {name: value for name, value in options.items() if name not in law}
    return TPESampler(space, **rest, law=Law(*(options[name] for name in law)))


def _kde(space: Space, options: Options) -> Sampler:
    return KDESampler(space, **{option.name: options[option.name] for option in KDE_OPTIONS})


def _priorband(space: Space, options: Options) -> Sampler:
    law = ("eta", "rounding", "uniform_style", "inc_style", "model", "model_after")
    return PriorBand(space, **{name: options[name] for name in law})


def _mode_first(space: Space, options: Options) -> Scheduler:
    brackets = {option.name: options[option.name] for option in HYPERBAND_OPTIONS}
    scheduler = hyperband(space, brackets)
    fidelity = space.fidelity
    assert fidelity is not None, "refused before"
    slot = None
    if options["first"] == "highest":
        rungs = ladder(fidelity.low, fidelity.high, options["eta"], fidelity.type == "int")
        slot = Slot(OUTSIDE, len(rungs) - 1, rungs[-1])
    return First(space.prior_mode(), ORIGIN_OF_THE_MODE, slot, scheduler)


ROWS = (
    Algorithm(
        name="tpe",
        summary="Learns where the good trials are, and tries what is likely among them and not among the rest.",
        paper="Bergstra et al. 2011, Algorithms for hyper-parameter optimization; Watanabe 2023 (2304.11127)",
        sampler=_tpe,
        scheduler=full,
        options=TPE_OPTIONS,
        several_metrics=True,
        learns=True,
    ),
    Algorithm(
        name="bohb",
        summary="Hyperband that learns: two thirds of its new trials come from where the best ones lie.",
        paper="Falkner et al. 2018, BOHB: robust and efficient hyperparameter optimization at scale",
        sampler=_kde,
        scheduler=model_and_hyperband,
        options=(*HYPERBAND_OPTIONS, *KDE_OPTIONS),
        needs_fidelity=True,
        learns=True,
        advise=one_rung,
    ),
    Algorithm(
        name="priorband",
        summary="Hyperband that starts from what you expect, and lets results take over where you were wrong.",
        paper="Mallik et al. 2023, PriorBand: practical hyperparameter optimization in the age of deep learning",
        sampler=_priorband,
        scheduler=_mode_first,
        options=PRIORBAND_OPTIONS,
        needs_fidelity=True,
        needs_prior=True,
        learns=True,
        advise=one_rung,
    ),
)
