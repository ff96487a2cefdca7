"""The multilayer perceptron, with optional connections around its hidden layers."""

from workers.rows import Family
from workers.training.hyperparameters import Choice, Integer, Real
from workers.training.recipe import EVERYTHING

FAMILY = Family(
    name="mlp",
    title="Multilayer perceptron",
    tasks=("classification", "regression"),
    inputs=("table", "image"),
    source="D. Rumelhart, G. Hinton, R. Williams, Learning representations by back-propagating errors, 1986; "
    "skips: K. He et al. 2016 (residual), G. Huang et al. 2017 (dense), R. Srivastava et al. 2015 (highway)",
    builder="workers.families.mlp.network:build",
    own=(
        Integer(name="depth", default=2, low=1, high=6, limits=(1, 64), help="hidden layers"),
        Integer(name="width", default=128, low=16, high=1024, log=True, limits=(1, 8192), help="units per layer"),
        Choice(
            name="shape",
            default="constant",
            choices=("constant", "funnel", "diamond"),
            help="how the layers' widths follow each other; width is the widest",
        ),
        Choice(
            name="skip",
            default="none",
            choices=("none", "residual", "dense", "highway"),
            when={"parameter": "depth", "gt": 1},
            help="connections around each layer but the first",
        ),
        Real(
            name="highway_bias",
            default=-1,
            low=-4,
            high=0,
            limits=(-20, 20),
            when={"parameter": "skip", "equals": "highway"},
            help="first bias of the gates; below 0 they begin by carrying their input on",
        ),
    ),
    recipe=(*EVERYTHING, "units", "rbf"),
    axes=("epochs", "fraction", "width_fraction", "resolution", "folds"),
    widths=("width",),
)
