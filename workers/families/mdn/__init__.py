"""Networks that answer with a distribution: one Gaussian or a mixture of several."""

from workers.rows import Family
from workers.training.hyperparameters import Choice, Integer, Real

FAMILY = Family(
    name="mdn",
    title="Mixture density network",
    tasks=("uncertainty",),
    inputs=("table",),
    source="C. Bishop, Mixture density networks, 1994; D. Nix and A. Weigend, Estimating the mean and variance of the "
    "target probability distribution, 1994",
    builder="workers.families.mdn.network:build",
    own=(
        Choice(
            name="head",
            default="gauss",
            choices=("shared_var", "gauss", "mixture"),
            help="what is answered: a mean, with one variance for all inputs; a mean and a variance; several, weighted",
        ),
        Integer(
            name="components",
            default=3,
            low=2,
            high=10,
            limits=(1, 100),
            when={"parameter": "head", "equals": "mixture"},
            help="Gaussians of the mixture",
        ),
        Real(
            name="var_floor",
            default=1e-3,
            low=1e-5,
            high=0.1,
            log=True,
            limits=(1e-8, 10),
            when={"parameter": "head", "in": ["gauss", "mixture"]},
            help="smallest variance, in units of the targets' variance",
        ),
        Real(
            name="mean_first",
            default=0.1,
            low=0,
            high=0.5,
            limits=(0, 1),
            when={"parameter": "head", "in": ["gauss", "mixture"]},
            help="fraction of the training with constant variances, that the means may settle first",
        ),
        Integer(name="depth", default=2, low=1, high=4, limits=(1, 32), help="hidden layers"),
        Integer(name="width", default=64, low=16, high=256, log=True, limits=(1, 8192), help="units per layer"),
    ),
    recipe=(
        "optimizer",
        "schedule",
        "batch",
        "clip",
        "decay",
        "init",
        "activation",
        "norm",
        "units",
        "dropout",
        "early_stopping",
    ),
    defaults={"norm": "none"},
    axes=("epochs", "fraction", "width_fraction", "folds"),
    widths=("width",),
)
