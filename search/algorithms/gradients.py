"""Descent on the hyperparameters themselves, in the middle of one training.

The first run trains a network on one half of the examples, while its continuous hyperparameters descend on the loss of
the other half; places of their path, the end first, are then trained alone. The workers carry it out
(`workers.hypergradients`), and know which hyperparameters a loss can be differentiated by.
"""

from __future__ import annotations

from collections.abc import Iterable

from search.algorithms.row import Algorithm, Options
from search.algorithms.shared import uniform
from search.options import Option
from search.schedulers import Scheduler
from search.schedulers.one_shot import OneShot
from spaces import Problem, Space

OPTIONS = (
    Option(
        "method",
        "text",
        "How weights answer to a hyperparameter: in their next step alone (t1t2), or where they come to rest.",
        default="t1t2",
        choices=("t1t2", "implicit"),
    ),
    Option(
        "solver",
        "text",
        "How implicit solves for them: by steps of descent (neumann), or conjugate gradients (cg).",
        default="neumann",
        choices=("neumann", "cg"),
    ),
    Option("terms", "int", "Its products with the Hessian, each two passes.", default=10, at_least=1, at_most=1000),
    Option("damping", "float", "Added to the Hessian for cg.", default=1e-3, at_least=0, at_most=1000),
    Option("epochs", "int", "How long that network is trained.", default=30, at_least=1, at_most=10_000),
    Option("every", "int", "Steps of the weights per step of the hyperparameters.", 1, at_least=1, at_most=10_000),
    Option("warmup", "float", "Share of the epochs that only train weights.", 0.1, at_least=0, at_most=0.9),
    Option(
        "hyper_lr",
        "float",
        "Learning rate of the hyperparameters (Adam), as a part of their ranges.",
        default=0.01,
        above=0,
        at_most=1,
    ),
    Option(
        "points", "int", "Places of the path that are trained alone, evenly from its end to its start.", 3, at_least=1
    ),
)


def _scheduler(space: Space, options: Options) -> Scheduler:
    highest = space.fidelity.high if space.fidelity else None
    return OneShot(space.default(), highest, retrain=options["points"], trusted=0)


def _advice(space: Space, options: Options) -> Iterable[Problem]:
    if options["method"] == "t1t2":
        for name in ("solver", "terms", "damping"):
            if options[name] != next(each.default for each in OPTIONS if each.name == name):
                yield Problem(("algorithm", name), "is read by method implicit alone")


ROWS = (
    Algorithm(
        name="hypergradient",
        summary="Descends on continuous hyperparameters while one network is trained; then trains with what it found.",
        paper="Luketina et al. 2016, Scalable gradient-based tuning of continuous regularization hyperparameters;"
        " Lorraine et al. 2020, Optimizing millions of hyperparameters by implicit differentiation",
        sampler=uniform,
        scheduler=_scheduler,
        options=OPTIONS,
        one_shot=True,
        continuous=True,
        conditions=False,
        several_metrics=True,
        learns=True,
        ends=True,
        advise=_advice,
    ),
)
