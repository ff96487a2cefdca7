"""Models of the loss: Gaussian processes, random forests, networks."""

from __future__ import annotations

from search.algorithms.row import Algorithm, Options
from search.algorithms.shared import (
    HYPERBAND_OPTIONS,
    PRIOR_WEIGHT,
    full,
    model_and_hyperband,
    one_rung,
)
from search.options import Option
from search.samplers import Sampler
from spaces import Space

FOREST_OPTIONS = (
    Option("initial", "int", "Sobol points before the forest is asked; d + 2 if not given.", at_least=2),
    Option("trees", "int", "Trees of the forest.", default=10, at_least=2, at_most=1000),
    Option("uniform", "float", "Share of uniform draws.", default=0.2, at_least=0, at_most=1),
    Option(
        "candidates",
        "int",
        "Uniform configs that are compared per suggestion.",
        default=2000,
        at_least=1,
        at_most=100_000,
    ),
    Option("climbs", "int", "Of the best of them, so many climb.", default=10, at_least=1, at_most=1000),
    PRIOR_WEIGHT,
)


GP_OPTIONS = (
    Option("initial", "int", "Sobol points before the process is asked; max(d + 1, 5) if not given.", at_least=2),
    Option(
        "acquisition",
        "text",
        "Expected improvement on what the trials may truly be (noisy) or on the best expectation (plain, faster), a"
        " confidence bound, or a draw from the process.",
        default="noisy",
        choices=("noisy", "plain", "bound", "thompson"),
    ),
    Option("at_most", "int", "Trials that are learned from: the best and the newest ones.", default=1000, at_least=10),
    Option(
        "candidates",
        "int",
        "Uniform configs that are compared per suggestion.",
        default=1000,
        at_least=1,
        at_most=100_000,
    ),
    Option("climbs", "int", "Of the best of them, so many climb.", default=5, at_least=1, at_most=1000),
    PRIOR_WEIGHT,
)


DNGO_OPTIONS = (
    Option("initial", "int", "Sobol points before the network is asked; max(d + 1, 10) if not given.", at_least=2),
    Option(
        "epochs", "int", "Passes over the trials when the network is trained.", default=500, at_least=1, at_most=10_000
    ),
    Option(
        "acquisition",
        "text",
        "Expected improvement, its probability, a confidence bound, or a draw from the posterior.",
        default="ei",
        choices=("ei", "pi", "bound", "thompson"),
    ),
    Option("at_most", "int", "Trials that are learned from: the best and the newest ones.", default=5000, at_least=10),
    Option(
        "candidates",
        "int",
        "Uniform configs that are compared per suggestion.",
        default=2000,
        at_least=1,
        at_most=100_000,
    ),
    Option("climbs", "int", "Of the best of them, so many climb.", default=10, at_least=1, at_most=1000),
    PRIOR_WEIGHT,
)


NASBOT_OPTIONS = (
    Option("initial", "int", "Uniform draws before the process is asked.", default=10, at_least=2, at_most=10_000),
    Option(
        "distance",
        "text",
        "What architectures are compared by: what it takes to carry the operations of one over to the other, or the"
        " paths that lead through them (faster).",
        default="transport",
        choices=("transport", "paths"),
    ),
    Option("candidates", "int", "Configs that are looked at per suggestion.", default=200, at_least=6, at_most=10_000),
    Option("at_most", "int", "Trials that are learned from: the best and the newest ones.", default=200, at_least=10),
)


def _smac(space: Space, options: Options) -> Sampler:
    from search.samplers.smac_forest import ForestSampler

    return ForestSampler(space, **{option.name: options[option.name] for option in FOREST_OPTIONS})


def _gp(space: Space, options: Options) -> Sampler:
    from search.samplers.gp import GPSampler

    return GPSampler(space, **options)


def _dngo(space: Space, options: Options) -> Sampler:
    from search.samplers.dngo import DngoSampler

    return DngoSampler(space, **options)


def _nasbot(space: Space, options: Options) -> Sampler:
    from search.samplers.nasbot import Nasbot

    return Nasbot(space, **options)


ROWS = (
    Algorithm(
        name="gp",
        summary="A Gaussian process predicts the loss: the fewest trials, when each is expensive.",
        paper="Balandat et al. 2020, BoTorch; Ament et al. 2023, Unexpected improvements to expected improvement",
        sampler=_gp,
        scheduler=full,
        options=GP_OPTIONS,
        learns=True,
    ),
    Algorithm(
        name="smac",
        summary="A random forest predicts the loss: for spaces with many choices and conditions.",
        paper="Lindauer et al. 2022, SMAC3: a versatile Bayesian optimization package",
        sampler=_smac,
        scheduler=full,
        options=FOREST_OPTIONS,
        learns=True,
    ),
    Algorithm(
        name="smac-hyperband",
        summary="Hyperband whose new trials come from a random forest, fitted at the highest fidelity that allows.",
        paper="Lindauer et al. 2022, SMAC3: a versatile Bayesian optimization package",
        sampler=_smac,
        scheduler=model_and_hyperband,
        options=(*HYPERBAND_OPTIONS, *FOREST_OPTIONS),
        needs_fidelity=True,
        learns=True,
        advise=one_rung,
    ),
    Algorithm(
        name="dngo",
        summary="A network predicts the loss: a model whose cost grows slowly, for studies of thousands of runs.",
        paper="Snoek et al. 2015, Scalable Bayesian optimization using deep neural networks",
        sampler=_dngo,
        scheduler=full,
        options=DNGO_OPTIONS,
        learns=True,
    ),
    Algorithm(
        name="nasbot",
        summary="A Gaussian process that compares architectures as graphs: the fewest trainings of them.",
        paper="Kandasamy et al. 2018, Neural architecture search with Bayesian optimisation and optimal transport",
        sampler=_nasbot,
        scheduler=full,
        options=NASBOT_OPTIONS,
        needs_architecture=True,
        learns=True,
    ),
)
