"""Evolution in its forms."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from search.algorithms.row import Algorithm, Options
from search.algorithms.shared import (
    HYPERBAND_OPTIONS,
    full,
    one_rung,
    uniform,
)
from search.history import History
from search.options import Option
from search.samplers import Sampler
from search.samplers.de import DifferentialEvolution
from search.samplers.evolution import ElitistEvolution, RegularizedEvolution
from search.samplers.reinforce import Reinforce
from search.schedulers import Scheduler
from search.schedulers.dehb import Dehb
from search.schedulers.morphism import Morphism
from search.schedulers.pbt import Pbt, segment_ends
from spaces import Problem, Space

POPULATION = Option(
    "population", "int", "Trials that parents are chosen among.", default=20, at_least=2, at_most=100_000
)


TOURNAMENT = Option(
    "tournament",
    "int",
    "Members of which the best is the parent; a fifth of the population if not given.",
    at_least=1,
    at_most=10_000,
)


def _de(space: Space, options: Options) -> Sampler:
    return DifferentialEvolution(space, options["mutation_factor"], options["crossover"])


def _dehb(space: Space, options: Options) -> Scheduler:
    fidelity = space.fidelity
    assert fidelity is not None, "refused before"
    brackets = {option.name: options[option.name] for option in HYPERBAND_OPTIONS}
    return Dehb(fidelity.low, fidelity.high, fidelity.type == "int", **brackets)


def _evolution(space: Space, options: Options) -> Sampler:
    return RegularizedEvolution(space, **options)


def _neuroevolution(space: Space, options: Options) -> Sampler:
    return ElitistEvolution(space, **options)


def _parents(space: Space, options: Options, history: History) -> Collection[int]:
    return ElitistEvolution(space, **options).possible_parents(history)


def _reinforce(space: Space, options: Options) -> Sampler:
    return Reinforce(space, **options)


def _morphism(space: Space, options: Options) -> Scheduler:
    return Morphism(space, **options)


def _front(space: Space, options: Options, history: History) -> Collection[int]:
    return Morphism(space, **options).possible_parents(history)


def _pbt(space: Space, options: Options) -> Scheduler:
    return Pbt(space, **options)


def _no_decisions(space: Space, options: Options) -> Iterable[Problem]:
    fidelity, interval = space.fidelity, options["interval"]
    assert fidelity is not None, "refused before"
    if len(segment_ends(fidelity, interval)) == 1:
        yield Problem(
            ("algorithm", "interval") if interval is not None else ("space", "fidelity"),
            f"a segment is as long as the whole training ({fidelity.high:g}), so no member can learn from another",
        )
    elif interval is not None and interval < fidelity.low:
        message = f"is below the lowest fidelity, so segments have a length of {fidelity.low:g}"
        yield Problem(("algorithm", "interval"), message)
    if not any(each.mutable and each.domain.count != 1 for each in space):
        yield Problem(("space", "parameters"), "none of them is mutable, so a clone goes on with the config it has")


ROWS = (
    Algorithm(
        name="dehb",
        summary="Hyperband first, then differential evolution on each rung, fed by the rung below.",
        paper="Awad et al. 2021, DEHB: evolutionary Hyperband for scalable, robust and efficient optimization",
        sampler=_de,
        scheduler=_dehb,
        options=(
            *(replace(o, default="floor") if o.name == "rounding" else o for o in HYPERBAND_OPTIONS),
            Option("mutation_factor", "float", "Length of a mutant's step, F.", default=0.5, above=0, at_most=2),
            Option("crossover", "float", "Chance of a gene to be the mutant's.", default=0.5, at_least=0, at_most=1),
        ),
        needs_fidelity=True,
        synchronous=False,
        learns=True,
        advise=one_rung,
    ),
    Algorithm(
        name="evolution",
        summary="Children of the best of a few recent trials, one parameter changed; the oldest make room.",
        paper="Real et al. 2019, Regularized evolution for image classifier architecture search",
        sampler=_evolution,
        scheduler=full,
        options=(
            POPULATION,
            TOURNAMENT,
            Option("removes", "text", "Who makes room.", default="oldest", choices=("oldest", "worst")),
        ),
        learns=True,
    ),
    Algorithm(
        name="neuroevolution",
        summary="Generations of children of good trials, by crossover and mutation; the best few live on.",
        paper="Real et al. 2017, Large-scale evolution of image classifiers; Angeline et al. 1994",
        sampler=_neuroevolution,
        scheduler=full,
        options=(
            POPULATION,
            Option("elites", "float", "Share of a generation that lives on.", default=0.1, at_least=0, at_most=0.9),
            Option("selection", "text", "How parents are chosen.", "tournament", choices=("rank", "tournament")),
            TOURNAMENT,
            Option("crossover", "float", "Share of children of two parents.", default=0.3, at_least=0, at_most=1),
            Option("inherit", "bool", "Children begin with the weights of their parent that fit.", default=False),
        ),
        inherits=_parents,
        learns=True,
    ),
    Algorithm(
        name="reinforce",
        summary="A policy draws configs and is rewarded for good ones: for choices, and hundreds of cheap runs.",
        paper="Zoph and Le 2017, Neural architecture search with reinforcement learning; Williams 1992",
        sampler=_reinforce,
        scheduler=full,
        options=(
            Option("lr", "float", "Learning rate of the policy (Adam).", default=0.1, above=0, at_most=10),
            Option("entropy", "float", "Reward for staying undecided.", default=1e-3, at_least=0, at_most=10),
            Option(
                "baseline_decay", "float", "Of the mean of earlier rewards.", default=0.9, at_least=0, at_most=0.9999
            ),
            Option("bins", "int", "Parts of the range of a number.", default=8, at_least=2, at_most=1000),
        ),
        learns=True,
    ),
    Algorithm(
        name="morphism",
        summary="Trained networks grow and keep what they compute: a front of small and large ones.",
        paper="Elsken et al. 2019, Efficient multi-objective neural architecture search via Lamarckian evolution",
        sampler=uniform,
        scheduler=_morphism,
        options=(
            Option("founders", "int", "Networks that begin with nothing.", default=4, at_least=1, at_most=10_000),
            Option(
                "spread", "int", "Morphisms by which they are larger than the smallest.", 4, at_least=0, at_most=100
            ),
            Option("steps", "int", "Morphisms of a child, at most.", default=3, at_least=1, at_most=100),
            Option("children", "int", "Of so many that are drawn one is trained.", 32, at_least=1, at_most=10_000),
            Option("recipe", "float", "Share of children with a change of recipe.", 0.5, at_least=0, at_most=1),
        ),
        needs_architecture=True,
        presets=("chain",),
        inherits=_front,
        several_metrics=True,
        synchronous=False,
        learns=True,
    ),
    Algorithm(
        name="pbt",
        summary="A population trains side by side; the worst copy the best and change: the result is a schedule.",
        paper="Jaderberg et al. 2017, Population based training of neural networks",
        sampler=uniform,
        scheduler=_pbt,
        options=(
            Option("population", "int", "Members that train side by side.", default=8, at_least=2, at_most=10_000),
            Option(
                "interval",
                "float",
                "Fidelity between two looks at the others; a tenth of the highest if not given.",
                above=0,
            ),
            Option(
                "quantile",
                "float",
                "Share of the worst that copy, and of the best that are copied.",
                default=0.25,
                above=0,
                at_most=0.5,
            ),
            Option(
                "resample",
                "float",
                "Chance of a parameter to be drawn anew when a copy changes.",
                default=0.25,
                at_least=0,
                at_most=1,
            ),
        ),
        needs_fidelity=True,
        synchronous=False,
        learns=True,
        forks=True,
        advise=_no_decisions,
    ),
)
