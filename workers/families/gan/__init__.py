"""The generative adversarial network: a generator against a discriminator."""

from workers.rows import Family
from workers.training.hyperparameters import Choice, Flag, Integer, Real

FAMILY = Family(
    name="gan",
    title="Generative adversarial network",
    tasks=("generation",),
    inputs=("table", "image"),
    source="I. Goodfellow et al., Generative adversarial nets, 2014; Wasserstein: M. Arjovsky et al. 2017, "
    "I. Gulrajani et al. 2017; conditional: M. Mirza and S. Osindero 2014; smoothing, virtual batch norm, minibatch "
    "discrimination: T. Salimans et al. 2016",
    builder="workers.families.gan.network:build",
    own=(
        Choice(
            name="loss",
            default="wgan_gp",
            choices=("minimax", "non_saturating", "wgan_clip", "wgan_gp"),
            help="what the two play for",
        ),
        Real(
            name="gradient_penalty",
            default=1,
            low=0.01,
            high=20,
            log=True,
            limits=(0, 1e4),
            when={"parameter": "loss", "equals": "wgan_gp"},
            help="weight of the penalty on slopes of the critic other than 1",
        ),
        Real(
            name="weight_limit",
            default=0.01,
            low=1e-3,
            high=0.3,
            log=True,
            limits=(1e-6, 100),
            when={"parameter": "loss", "equals": "wgan_clip"},
            help="largest absolute value of the critic's weights",
        ),
        Real(
            name="smoothing",
            default=0.1,
            low=0,
            high=0.3,
            limits=(0, 0.49),
            when={"parameter": "loss", "in": ["minimax", "non_saturating"]},
            help="how far the discriminator's target for an example is below 1",
        ),
        Integer(
            name="n_critic",
            default=1,
            low=1,
            high=8,
            limits=(1, 100),
            help="discriminator's steps per step of the generator",
        ),
        Real(
            name="lr_g", default=1e-3, low=1e-5, high=3e-3, log=True, limits=(1e-9, 1), help="generator's learning rate"
        ),
        Real(
            name="lr_ratio",
            default=4,
            low=0.25,
            high=8,
            log=True,
            limits=(1e-3, 1e3),
            help="the discriminator's learning rate over the generator's",
        ),
        Real(name="beta1", default=0.5, low=0, high=0.9, limits=(0, 0.9999), help="memory of the gradient's mean"),
        Integer(name="latent", default=8, low=1, high=64, log=True, limits=(1, 2048), help="numbers behind a sample"),
        Flag(name="conditional", default=False, help="both are told the class"),
        Choice(
            name="d_norm",
            default="none",
            choices=("none", "layer", "virtual_batch"),
            help="normalization of the discriminator's hidden units",
        ),
        Flag(
            name="d_sees_batch",
            default=False,
            when={"parameter": "loss", "in": ["minimax", "non_saturating", "wgan_clip"]},
            help="minibatch discrimination: the discriminator also reads how alike the batch's examples are",
        ),
        Integer(name="width", default=128, low=32, high=256, log=True, limits=(1, 4096), help="units per hidden layer"),
    ),
    recipe=("schedule", "batch", "early_stopping"),
    defaults={"schedule": "linear", "warmup": 0, "batch_size": 128},
    axes=("epochs", "fraction", "width_fraction", "resolution", "folds"),
    widths=("width",),
    epochs=120,
)
