"""Linear models: least squares and logistic regression, with penalties, on polynomials of the inputs."""

from dataclasses import replace

from workers.rows import Family
from workers.training.hyperparameters import Choice, Hyperparameter, Integer, Real
from workers.training.recipe import DEFAULT_LR, MODULES


def where_sgd(each: Hyperparameter) -> Hyperparameter:
    """A part of the recipe that only one of the solvers reads. Where it has a condition already, that refers to a
    parameter which has this one."""
    default = {"optimizer": "sgd", "lr": DEFAULT_LR["sgd"]}.get(each.name, each.default)
    return replace(each, default=default, when=each.when or {"parameter": "solver", "equals": "sgd"})


FAMILY = Family(
    name="linear",
    title="Linear model",
    tasks=("classification", "regression", "forecasting"),
    inputs=("table", "image", "sequence"),
    source="D. Cox, The regression analysis of binary sequences, 1958; A. Hoerl and R. Kennard, Ridge regression, "
    "1970; R. Tibshirani 1996 (l1); H. Zou and T. Hastie 2005 (elastic)",
    builder="workers.families.linear.network:build",
    own=(
        Choice(
            name="penalty",
            default="l2",
            choices=("none", "l1", "l2", "elastic"),
            help="what large weights cost: their squares, their absolute values (many become 0), or both",
        ),
        Real(
            name="lam",
            default=3e-3,
            low=1e-6,
            high=10,
            log=True,
            limits=(0, 1e6),
            when={"parameter": "penalty", "in": ["l1", "l2", "elastic"]},
            help="weight of the penalty against the mean loss",
        ),
        Real(
            name="l1_ratio",
            default=0.5,
            low=0,
            high=1,
            limits=(0, 1),
            when={"parameter": "penalty", "equals": "elastic"},
            help="part of the absolute values in the penalty",
        ),
        Integer(
            name="poly",
            default=1,
            low=1,
            high=3,
            limits=(1, 5),
            help="degree of the polynomials of the inputs, with all products",
        ),
        Choice(
            name="solver",
            default="lbfgs",
            choices=("lbfgs", "sgd"),
            help="lbfgs finds the minimum in the first epoch; sgd descends batch by batch, as the recipe says",
        ),
        *(where_sgd(each) for module in ("optimizer", "schedule", "batch", "clip") for each in MODULES[module]),
    ),
    recipe=("preprocessing",),
    axes=("fraction", "folds", "epochs"),
)
