"""Samplers of Optuna."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

from search.algorithms.row import Algorithm, Options
from search.algorithms.shared import (
    full,
)
from search.options import Option
from search.samplers import Sampler
from spaces import Problem, Space

STARTUP = Option("startup", "int", "Uniform draws until so many trials have succeeded.", default=10, at_least=1)


def _optuna(name: Literal["tpe", "gp", "cmaes", "nsga2"]) -> Callable[[Space, Options], Sampler]:
    def make(space: Space, options: Options) -> Sampler:
        from search.samplers.optuna_bridge import OptunaSampler

        return OptunaSampler(space, name, **options)

    return make


def _no_numbers(space: Space, options: Options) -> Iterable[Problem]:
    if not any(each.domain.ordered and each.domain.count != 1 and each.when is None for each in space):
        yield Problem(
            ("space", "parameters"),
            "no number among them is unconditional, so CMA-ES has nothing to learn and every draw is uniform",
        )


ROWS = (
    Algorithm(
        name="optuna-tpe",
        summary="Optuna's TPE: multivariate, with groups of parameters that are active together.",
        paper="Akiba et al. 2019, Optuna: a next-generation hyperparameter optimization framework",
        sampler=_optuna("tpe"),
        scheduler=full,
        options=(
            STARTUP,
            Option(
                "candidates",
                "int",
                "Draws from the good trials' density; the best is tried.",
                24,
                at_least=1,
                at_most=100_000,
            ),
        ),
        several_metrics=True,
        learns=True,
    ),
    Algorithm(
        name="optuna-gp",
        summary="Optuna's Gaussian process with expected improvement; conditional parameters are drawn uniformly.",
        paper="Akiba et al. 2019, Optuna: a next-generation hyperparameter optimization framework",
        sampler=_optuna("gp"),
        scheduler=full,
        options=(STARTUP,),
        several_metrics=True,
        learns=True,
    ),
    Algorithm(
        name="optuna-cmaes",
        summary="CMA-ES through Optuna, for many runs of unconditional numbers; the rest is drawn uniformly.",
        paper="Hansen 2016, The CMA evolution strategy: a tutorial (1604.00772)",
        sampler=_optuna("cmaes"),
        scheduler=full,
        options=(
            Option("startup", "int", "Uniform draws until so many trials have succeeded.", default=1, at_least=1),
            Option("population", "int", "Trials per generation; 4 + 3 ln d if not given.", at_least=3, at_most=100_000),
        ),
        learns=True,
        advise=_no_numbers,
    ),
    Algorithm(
        name="nsga2",
        summary="A population whose best are crossed and mutated: for several metrics and many runs.",
        paper="Deb et al. 2002, A fast and elitist multiobjective genetic algorithm: NSGA-II",
        sampler=_optuna("nsga2"),
        scheduler=full,
        options=(
            Option(
                "population",
                "int",
                "Trials per generation, of which as many survive.",
                50,
                at_least=2,
                at_most=100_000,
            ),
            Option("crossover", "float", "Chance that a child has two parents.", 0.9, at_least=0, at_most=1),
            Option("swap", "float", "Chance of each parameter to come from the other.", 0.5, at_least=0, at_most=1),
            Option(
                "mutation",
                "float",
                "Chance of each parameter to be drawn anew; one of them on average if not given.",
                at_least=0,
                at_most=1,
            ),
        ),
        several_metrics=True,
        learns=True,
    ),
)
