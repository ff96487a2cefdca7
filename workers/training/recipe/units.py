"""What hidden units are: first weights, activation, normalization, and how layers are put together from them."""

from __future__ import annotations

from workers.training.hyperparameters import Choice, Flag, Hyperparameter, Integer, Real

INIT: tuple[Hyperparameter, ...] = (
    Choice(
        name="init",
        default="he",
        choices=("he", "xavier_normal", "xavier_uniform", "inverse_sqrt", "orthogonal", "sparse", "data_scaled"),
        rare=("sparse", "data_scaled"),
        off="inverse_sqrt",
        preset="standard",
        mutable=False,
        help="distribution of the first weights; data_scaled: every layer answers training examples with variance 1",
    ),
    Real(
        name="init_gain",
        default=1,
        low=0.3,
        high=3,
        log=True,
        limits=(1e-3, 1e3),
        off=1.0,
        preset="everything",
        mutable=False,
        help="factor of the first weights",
    ),
    Integer(
        name="sparse_inputs",
        default=15,
        low=5,
        high=30,
        limits=(1, 10_000),
        when={"parameter": "init", "equals": "sparse"},
        preset="everything",
        mutable=False,
        help="first weights of a unit that are not 0",
    ),
    Real(
        name="first_bias",
        default=0,
        low=0,
        high=0.2,
        limits=(-10, 10),
        off=0.0,
        preset="everything",
        mutable=False,
        help="first biases of hidden layers; above 0, rectifiers begin alive",
    ),
)

HEAD: tuple[Hyperparameter, ...] = (
    Flag(
        name="prior_bias",
        default=True,
        off=False,
        preset="everything",
        mutable=False,
        help="the first answer leans to the classes that occur often; numbers are learnt around their mean anyway",
    ),
)

ACTIVATION: tuple[Hyperparameter, ...] = (
    Choice(
        name="activation",
        default="relu",
        choices=(
            "relu",
            "leaky_relu",
            "prelu",
            "elu",
            "selu",
            "gelu",
            "silu",
            "swish",
            "softplus",
            "tanh",
            "hardtanh",
            "sigmoid",
            "abs",
            "maxout",
            "rbf",
        ),
        rare=("swish", "maxout", "rbf"),
        preset="standard",
        mutable=False,
        help="the nonlinearity of hidden units",
    ),
    Real(
        name="leaky_slope",
        default=0.01,
        low=3e-3,
        high=0.3,
        log=True,
        limits=(0, 1),
        when={"parameter": "activation", "equals": "leaky_relu"},
        preset="everything",
        mutable=False,
        help="slope of leaky_relu below 0",
    ),
    Real(
        name="elu_alpha",
        default=1,
        low=0.3,
        high=3,
        log=True,
        limits=(0, 100),
        when={"parameter": "activation", "equals": "elu"},
        preset="everything",
        mutable=False,
        help="-alpha is the least value of elu",
    ),
    Real(
        name="swish_beta",
        default=1,
        low=0.3,
        high=3,
        log=True,
        limits=(0, 100),
        when={"parameter": "activation", "equals": "swish"},
        preset="everything",
        mutable=False,
        help="x sigmoid(beta x); 1 is silu",
    ),
)

# of families whose hidden layers are made by `blocks.dense` and `blocks.unit`
UNITS: tuple[Hyperparameter, ...] = (
    Choice(
        name="norm_place",
        default="before",
        choices=("before", "after"),
        off="before",
        when={"parameter": "norm", "in": ["batch", "layer", "instance", "group"]},
        preset="everything",
        mutable=False,
        help="normalization before or after the activation",
    ),
    Integer(
        name="maxout_pieces",
        default=3,
        low=2,
        high=6,
        limits=(1, 64),
        when={"parameter": "activation", "equals": "maxout"},
        preset="everything",
        mutable=False,
        help="affine functions of which a unit is the largest",
    ),
)

# of families whose hidden layers are all made by `blocks.dense`
RBF: tuple[Hyperparameter, ...] = (
    Real(
        name="rbf_width",
        default=1,
        low=0.3,
        high=3,
        log=True,
        limits=(0.01, 100),
        when={"parameter": "activation", "equals": "rbf"},
        preset="everything",
        mutable=False,
        help="first width of radial units, where 1 is the usual distance between an input and a centre",
    ),
)

NORM: tuple[Hyperparameter, ...] = (
    Choice(
        name="norm",
        default="batch",
        choices=("none", "batch", "layer", "instance", "group", "weight"),
        rare=("instance", "weight"),
        off="none",
        preset="standard",
        mutable=False,
        help="normalization of hidden units; weight: of the length of their weights instead",
    ),
    Integer(
        name="norm_groups",
        default=4,
        low=2,
        high=8,
        limits=(1, 1024),
        when={"parameter": "norm", "equals": "group"},
        preset="standard",
        mutable=False,
        help="groups of channels; lowered to a divisor of the channel count",
    ),
    Real(
        name="norm_momentum",
        default=0.1,
        low=0.01,
        high=0.3,
        log=True,
        limits=(1e-6, 1),
        when={"parameter": "norm", "equals": "batch"},
        preset="everything",
        help="how fast the mean and variance that evaluation uses follow the batches",
    ),
)
