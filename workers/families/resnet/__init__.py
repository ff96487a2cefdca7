"""Residual networks: basic, bottleneck and grouped blocks, highway gates, squeeze and excitation, stochastic depth."""

from collections.abc import Mapping
from typing import Any

from workers.families.halvings import Halvings
from workers.rows import Family
from workers.training.hyperparameters import Choice, Flag, Integer, Real
from workers.training.recipe import EVERYTHING


def halvings(settings: Mapping[str, Any]) -> int:
    """How often the network halves the image."""
    times: int = settings["stages"] - 1
    return times


FAMILY = Family(
    name="resnet",
    title="Residual network (wide, ResNeXt, squeeze-and-excitation, highway)",
    tasks=("classification",),
    inputs=("image",),
    source="K. He, X. Zhang, S. Ren and J. Sun, Identity mappings in deep residual networks, 2016; S. Zagoruyko and "
    "N. Komodakis, Wide residual networks, 2016; S. Xie et al., Aggregated residual transformations (ResNeXt), 2017; "
    "R. Srivastava et al., Training very deep networks (highway), 2015; J. Hu et al., Squeeze-and-excitation "
    "networks, 2018; G. Huang et al., Deep networks with stochastic depth, 2016",
    builder="workers.families.resnet.network:build",
    own=(
        Integer(
            name="stages",
            default=3,
            low=1,
            high=4,
            limits=(1, 8),
            help="parts of the network, each but the first on half the image's side and with twice the maps",
        ),
        Integer(name="blocks", default=1, low=1, high=4, limits=(1, 64), help="blocks per stage"),
        Integer(
            name="width",
            default=16,
            low=8,
            high=64,
            log=True,
            limits=(1, 1024),
            help="maps of the first stage's 3×3 convolutions (twice as many with resnext)",
        ),
        Choice(
            name="block",
            default="basic",
            choices=("basic", "bottleneck", "resnext", "highway"),
            help="two 3×3 convolutions; one between two of 1×1; the same with groups; two with a gate",
        ),
        Choice(
            name="cardinality",
            default=4,
            choices=(2, 4, 8),
            when={"parameter": "block", "equals": "resnext"},
            help="groups of a 3×3 convolution, whose maps are rounded to a multiple of it",
        ),
        Real(
            name="gate_bias",
            default=-2,
            low=-4,
            high=0,
            limits=(-20, 20),
            when={"parameter": "block", "equals": "highway"},
            help="where gates start: the lower, the more a block only carries its input on",
        ),
        Choice(
            name="shortcut",
            default="projection",
            choices=("identity", "projection"),
            when={"parameter": "block", "in": ["basic", "bottleneck", "resnext"]},
            help="how a block's input goes around it where its shape changes: every other pixel and zeros, or learnt",
        ),
        Flag(name="se", default=False, help="squeeze and excitation: scale each map by what all maps show"),
        Choice(
            name="se_reduction",
            default=4,
            choices=(2, 4, 8),
            when={"parameter": "se", "equals": True},
            help="how many times fewer units than maps the scales are computed with",
        ),
        Real(
            name="path_drop",
            default=0,
            low=0,
            high=0.4,
            limits=(0, 0.95),
            help="stochastic depth: probability of dropping the last block, the earlier ones less",
        ),
    ),
    recipe=EVERYTHING,  # without "units": norm and activation come before each convolution
    defaults={"lr": 0.01, "dropout": 0},
    axes=("epochs", "fraction", "width_fraction", "resolution", "folds"),
    widths=("width",),
    halvings=Halvings(times=halvings, reads=("stages",)),
    epochs=20,
)
