"""What keeps a network from learning its training examples by heart: decay, dropout, noise, smooth labels, hard
examples, an early end, and the mean of many weights."""

from __future__ import annotations

from workers.training.hyperparameters import Choice, Flag, Hyperparameter, Integer, Real
from workers.training.recipe.descent import STOCHASTIC

DECAY: tuple[Hyperparameter, ...] = (
    Choice(
        name="decay",
        default="decoupled",
        choices=("none", "l2", "decoupled", "l1", "elastic", "max_norm"),
        off="none",
        preset="everything",
        help="l2, l1, elastic: penalties, by the gradient; decoupled: weights shrink beside the step (the default with "
        "adamw; with others it is l2); max_norm: a bound for the weights of each unit",
    ),
    Real(
        name="weight_decay",
        default=1e-3,
        low=1e-6,
        high=0.1,
        log=True,
        limits=(0, 10),
        off=0.0,
        when={"parameter": "decay", "in": ["l2", "decoupled", "l1", "elastic"]},
        differentiable=True,
        help="strength of the decay of weights; biases, gains and slopes do not decay",
    ),
    Real(
        name="l1_share",
        default=0.5,
        low=0,
        high=1,
        limits=(0, 1),
        when={"parameter": "decay", "equals": "elastic"},
        preset="everything",
        differentiable=True,
        help="part of the elastic penalty that is l1, the rest is l2",
    ),
    Real(
        name="max_norm",
        default=3,
        low=0.5,
        high=8,
        log=True,
        limits=(1e-3, 1e6),
        when={"parameter": "decay", "equals": "max_norm"},
        preset="everything",
        help="largest norm of the weights into a unit",
    ),
    Flag(
        name="decay_biases",
        default=False,
        off=False,
        when={"parameter": "decay", "in": ["l2", "decoupled", "l1", "elastic"]},
        preset="everything",
        help="biases, gains and slopes decay too",
    ),
)

DROPOUT: tuple[Hyperparameter, ...] = (
    Real(
        name="dropout",
        default=0.1,
        low=0,
        high=0.6,
        limits=(0, 0.95),
        off=0.0,
        when=STOCHASTIC,
        help="probability of dropping a hidden unit",
    ),
    Choice(
        name="dropout_kind",
        default="bernoulli",
        choices=("bernoulli", "gaussian"),
        off="bernoulli",
        when=STOCHASTIC,
        preset="everything",
        help="units are dropped, or multiplied by normal noise around 1 of the same variance",
    ),
)

NOISE: tuple[Hyperparameter, ...] = (
    Real(
        name="input_dropout",
        default=0,
        low=0,
        high=0.3,
        limits=(0, 0.95),
        off=0.0,
        when=STOCHASTIC,
        preset="everything",
        help="probability of dropping an input",
    ),
    Real(
        name="input_noise",
        default=0,
        low=0,
        high=0.3,
        limits=(0, 10),
        off=0.0,
        when=STOCHASTIC,
        preset="everything",
        differentiable=True,
        help="deviation of normal noise on standardized inputs",
    ),
    Real(
        name="hidden_noise",
        default=0,
        low=0,
        high=0.3,
        limits=(0, 10),
        off=0.0,
        when=STOCHASTIC,
        preset="everything",
        differentiable=True,
        help="deviation of normal noise on hidden units",
    ),
    Real(
        name="weight_noise",
        default=0,
        low=0,
        high=0.1,
        limits=(0, 10),
        off=0.0,
        when=STOCHASTIC,
        preset="everything",
        help="deviation of normal noise on the weights of a step, relative to the weights of the layer",
    ),
)

LABEL_SMOOTHING: tuple[Hyperparameter, ...] = (
    Real(
        name="label_smoothing",
        default=0,
        low=0,
        high=0.2,
        limits=(0, 0.95),
        off=0.0,
        preset="standard",
        differentiable=True,
        help="probability mass that the targets give to all classes alike",
    ),
)

ADVERSARIAL: tuple[Hyperparameter, ...] = (
    Choice(
        name="adversarial",
        default="none",
        choices=("none", "fgsm", "vat", "double_backprop"),
        off="none",
        preset="everything",
        help="fgsm: learn from the inputs that a small change makes hardest; vat: answer them as the given ones; "
        "double_backprop: keep the loss flat around the inputs",
    ),
    Real(
        name="adversarial_eps",
        default=0.03,
        low=3e-3,
        high=0.3,
        log=True,
        limits=(0, 10),
        when={"parameter": "adversarial", "in": ["fgsm", "vat"]},
        preset="everything",
        help="size of the change of each standardized input",
    ),
    Real(
        name="adversarial_weight",
        default=0.5,
        low=0.05,
        high=5,
        log=True,
        limits=(0, 100),
        when={"parameter": "adversarial", "in": ["fgsm", "vat", "double_backprop"]},
        preset="everything",
        differentiable=True,
        help="weight of what this adds to the loss",
    ),
)

EARLY_STOPPING: tuple[Hyperparameter, ...] = (
    Flag(
        name="early_stopping",
        default=False,
        off=False,
        preset="everything",
        mutable=False,
        help="end when the validation score no longer improves; the best epoch is the result",
    ),
    Real(
        name="patience",
        default=0.15,
        low=0.05,
        high=0.5,
        limits=(0, 1),
        when={"parameter": "early_stopping", "equals": True},
        preset="everything",
        help="fraction of the training without a better score before the end",
    ),
)

AVERAGING: tuple[Hyperparameter, ...] = (
    Choice(
        name="averaging",
        default="none",
        choices=("none", "ema", "swa", "snapshot", "mc_dropout"),
        off="none",
        preset="everything",
        mutable=False,
        help="what answers: the last weights, their moving mean over steps (ema), their mean over the last epochs "
        "(swa), or together the networks at the ends of the cycles of schedule sgdr (snapshot), or of the last network "
        "those that dropout leaves (mc_dropout)",
    ),
    Real(
        name="ema_rate",
        default=1e-3,
        low=1e-4,
        high=0.1,
        log=True,
        limits=(1e-9, 1),
        when={"parameter": "averaging", "equals": "ema"},
        preset="everything",
        help="weight of the newest in the moving mean; larger in the beginning",
    ),
    Real(
        name="swa_from",
        default=0.75,
        low=0.5,
        high=0.95,
        limits=(0, 1),
        when={"parameter": "averaging", "equals": "swa"},
        preset="everything",
        help="fraction of the training after which the mean begins",
    ),
    Integer(
        name="mc_samples",
        default=20,
        low=8,
        high=64,
        log=True,
        limits=(1, 1000),
        when={"parameter": "averaging", "equals": "mc_dropout"},
        preset="everything",
        mutable=False,
        help="networks that dropout leaves, and that answer together",
    ),
)
