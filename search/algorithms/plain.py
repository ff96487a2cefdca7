"""Samplers without a model, at full fidelity."""

from __future__ import annotations

from search.algorithms.row import Algorithm, Options
from search.algorithms.shared import (
    full,
    uniform,
)
from search.options import Option
from search.samplers import Sampler
from search.samplers.grid import GridSampler
from search.samplers.local import LocalSampler
from search.samplers.sobol import SobolSampler
from spaces import Space


def _grid(space: Space, options: Options) -> Sampler:
    return GridSampler(space, **options)


def _sobol(space: Space, options: Options) -> Sampler:
    return SobolSampler(space)


def _local(space: Space, options: Options) -> Sampler:
    return LocalSampler(space, **options)


ROWS = (
    Algorithm(
        name="random",
        summary="Uniform draws at full fidelity: the baseline that every other algorithm has to beat.",
        paper="Bergstra and Bengio 2012, Random search for hyper-parameter optimization",
        sampler=uniform,
        scheduler=full,
        several_metrics=True,
    ),
    Algorithm(
        name="grid",
        summary="Every combination of a few values per parameter, in random order: for small spaces and sweeps.",
        paper="Bergstra and Bengio 2012, Random search for hyper-parameter optimization",
        sampler=_grid,
        scheduler=full,
        options=(
            Option("points", "int", "Values of each numeric parameter, at most.", default=5, at_least=1, at_most=1000),
        ),
        several_metrics=True,
        ends=True,
    ),
    Algorithm(
        name="sobol",
        summary="Points of a scrambled Sobol sequence: random search that leaves no gaps.",
        paper="Sobol 1967, On the distribution of points in a cube and the approximate evaluation of integrals",
        sampler=_sobol,
        scheduler=full,
        several_metrics=True,
    ),
    Algorithm(
        name="local",
        summary="From the best config to a better neighbour, and from a new start when there is none.",
        paper="Hutter et al. 2011, Sequential model-based optimization for general algorithm configuration",
        sampler=_local,
        scheduler=full,
        options=(
            Option("initial", "int", "Uniform draws before the first neighbour is tried.", default=10, at_least=1),
            Option("epsilon", "float", "Share of uniform draws after that.", default=0.02, at_least=0, at_most=1),
            Option("step", "float", "Standard deviation of a step, as a share of the range.", 0.2, above=0, at_most=1),
            Option(
                "integers",
                "text",
                "Integers change by normal steps too, or to the next value only.",
                default="normal",
                choices=("normal", "adjacent"),
            ),
        ),
        learns=True,
    ),
)
