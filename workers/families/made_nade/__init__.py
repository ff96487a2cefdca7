"""MADE and NADE: the probability of binary inputs as a product of conditionals, computed by a network."""

from workers.rows import Family
from workers.training.hyperparameters import Choice, Flag, Integer

FAMILY = Family(
    name="made_nade",
    title="MADE and NADE",
    tasks=("density",),
    inputs=("image",),
    source="M. Germain, K. Gregor, I. Murray and H. Larochelle, MADE: masked autoencoder for distribution estimation, "
    "2015; H. Larochelle and I. Murray, The neural autoregressive distribution estimator, 2011",
    builder="workers.families.made_nade.network:build",
    own=(
        Choice(
            name="model",
            default="made",
            choices=("made", "nade"),
            help="made: a masked autoencoder; nade: one hidden layer per input, that share their weights",
        ),
        Integer(name="hidden", default=200, low=32, high=1024, log=True, limits=(1, 8192), help="units per layer"),
        Integer(
            name="layers",
            default=1,
            low=1,
            high=3,
            limits=(1, 16),
            when={"parameter": "model", "equals": "made"},
            help="hidden layers",
        ),
        Integer(
            name="masks",
            default=1,
            low=1,
            high=16,
            log=True,
            limits=(1, 128),
            when={"parameter": "model", "equals": "made"},
            help="sets of masks that share the weights; the probability is the mean of theirs",
        ),
        Choice(
            name="order",
            default="raster",
            choices=("raster", "random"),
            help="of the conditionals: row by row, or shuffled, for each set of masks anew",
        ),
        Flag(
            name="direct",
            default=True,
            when={"parameter": "model", "equals": "made"},
            help="connections from the inputs straight to the outputs",
        ),
    ),
    recipe=("optimizer", "schedule", "batch", "clip", "decay", "init", "activation", "dropout", "early_stopping"),
    axes=("epochs", "fraction", "width_fraction", "resolution", "folds"),
    widths=("hidden",),
    epochs=120,
)
