"""Many cheap runs, of which the best go on: uniform draws and the multi-fidelity schedulers."""

from __future__ import annotations

from search.algorithms.row import Algorithm, Options
from search.algorithms.shared import (
    ETA,
    HYPERBAND_OPTIONS,
    hyperband,
    one_rung,
    uniform,
)
from search.options import Option
from search.schedulers import Scheduler
from search.schedulers.asha import Asha
from search.schedulers.hyperband import Hyperband
from search.schedulers.mo_asha import MoAsha
from spaces import Space


def _successive_halving(space: Space, options: Options) -> Scheduler:
    fidelity = space.fidelity
    assert fidelity is not None, "refused before"
    return Hyperband(fidelity.low, fidelity.high, fidelity.type == "int", cycle=False, **options)


def _asha(space: Space, options: Options) -> Scheduler:
    fidelity = space.fidelity
    assert fidelity is not None, "refused before"
    return Asha(fidelity.low, fidelity.high, fidelity.type == "int", **options)


def _mo_asha(space: Space, options: Options) -> Scheduler:
    fidelity = space.fidelity
    assert fidelity is not None, "refused before"
    return MoAsha(fidelity.low, fidelity.high, fidelity.type == "int", **options)


ROWS = (
    Algorithm(
        name="hyperband",
        summary="Many cheap runs, of which the best are trained on: random search that stops early.",
        paper="Li et al. 2018, Hyperband: a novel bandit-based approach to hyperparameter optimization",
        sampler=uniform,
        scheduler=hyperband,
        options=HYPERBAND_OPTIONS,
        needs_fidelity=True,
        advise=one_rung,
    ),
    Algorithm(
        name="successive-halving",
        summary="Many cheap runs, of which the best are trained on, in one round after another.",
        paper="Jamieson and Talwalkar 2016, Non-stochastic best arm identification and hyperparameter optimization",
        sampler=uniform,
        scheduler=_successive_halving,
        options=(
            *HYPERBAND_OPTIONS,
            Option("halvings", "int", "Rungs below the top where trials begin; all if not given.", at_least=0),
        ),
        needs_fidelity=True,
        advise=one_rung,
    ),
    Algorithm(
        name="asha",
        summary="Successive halving that never waits: a trial goes on as soon as it is among the best of its rung.",
        paper="Li et al. 2020, A system for massively parallel hyperparameter tuning",
        sampler=uniform,
        scheduler=_asha,
        options=(ETA,),
        needs_fidelity=True,
        synchronous=False,
        advise=one_rung,
    ),
    Algorithm(
        name="async-hyperband",
        summary="ASHA on several ladders, of which some begin at higher fidelities.",
        paper="Klein et al. 2020, Model-based asynchronous hyperparameter and neural architecture search",
        sampler=uniform,
        scheduler=_asha,
        options=(ETA, Option("brackets", "int", "Ladders; one per rung if not given.", at_least=1)),
        needs_fidelity=True,
        synchronous=False,
        advise=one_rung,
    ),
    Algorithm(
        name="mo-asha",
        summary="ASHA for several metrics: what goes up is on the first fronts of its rung, spread along them.",
        paper="Schmucker et al. 2021, Multi-objective asynchronous successive halving",
        sampler=uniform,
        scheduler=_mo_asha,
        options=(
            ETA,
            Option(
                "spread",
                "text",
                "What makes the trials of one front differ: the farthest from those that go up, or crowding.",
                default="epsilon-net",
                choices=("epsilon-net", "crowding"),
            ),
        ),
        needs_fidelity=True,
        several_metrics=True,
        synchronous=False,
        advise=one_rung,
    ),
)
