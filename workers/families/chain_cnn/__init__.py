"""Convolutional networks that are a chain: AlexNet, ZFNet, VGG and NiN, scaled down to small images."""

from collections.abc import Mapping
from typing import Any

from workers.families.halvings import Halvings
from workers.rows import Family
from workers.training.hyperparameters import Choice, Flag, Integer
from workers.training.recipe import EVERYTHING

EARLY = ["alex", "zf"]


def halvings(settings: Mapping[str, Any]) -> int:
    """How often the network halves the image."""
    style, blocks = settings["style"], settings["blocks"]
    pools: int = {"alex": min(blocks, 3), "zf": min(blocks, 3), "vgg": blocks, "nin": blocks - 1}[style]
    return pools + int(style != "vgg" and settings["stem_stride"] == 2)


FAMILY = Family(
    name="chain_cnn",
    title="Chain of convolutions (AlexNet, ZFNet, VGG, NiN)",
    tasks=("classification",),
    inputs=("image",),
    source="A. Krizhevsky, I. Sutskever and G. Hinton, ImageNet classification with deep convolutional neural "
    "networks, 2012; M. Zeiler and R. Fergus, Visualizing and understanding convolutional networks, 2014; "
    "K. Simonyan and A. Zisserman, Very deep convolutional networks for large-scale image recognition, 2015; "
    "M. Lin, Q. Chen and S. Yan, Network in network, 2014",
    builder="workers.families.chain_cnn.network:build",
    own=(
        Choice(name="style", default="vgg", choices=("alex", "zf", "vgg", "nin"), help="whose chain it is"),
        Integer(
            name="blocks",
            default=3,
            low=1,
            high=5,
            limits=(1, 8),
            help="convolutions of alex and zf (theirs have 5), groups of vgg that end in a pooling (5), blocks of nin "
            "(3 and 4); an image of 8×8 pixels takes 3",
        ),
        Integer(
            name="convs",
            default=2,
            low=1,
            high=4,
            limits=(1, 8),
            when={"parameter": "style", "equals": "vgg"},
            help="3×3 convolutions per block",
        ),
        Integer(
            name="mlpconv",
            default=2,
            low=1,
            high=3,
            limits=(1, 8),
            when={"parameter": "style", "equals": "nin"},
            help="1×1 convolutions after each spatial one",
        ),
        Integer(
            name="width", default=16, low=8, high=64, log=True, limits=(1, 1024), help="maps of the first convolution"
        ),
        Choice(name="growth", default=2, choices=(1, 1.5, 2), help="how many times as many maps each next block has"),
        Choice(
            name="stem_kernel",
            default=5,
            choices=(3, 5, 7),
            when={"parameter": "style", "in": [*EARLY, "nin"]},
            help="side of the first convolution",
        ),
        Choice(
            name="stem_stride",
            default=1,
            choices=(1, 2),
            when={"parameter": "style", "in": [*EARLY, "nin"]},
            help="step of the first convolution, in pixels",
        ),
        Flag(
            name="response_norm",
            default=False,
            when={"parameter": "style", "in": EARLY},
            help="local response normalization after the first two convolutions, as in the papers",
        ),
        Choice(
            name="head",
            default="fc",
            choices=("fc", "gap"),
            when={"parameter": "style", "in": [*EARLY, "vgg"]},
            help="two hidden layers that read all positions, or the mean over the positions",
        ),
        Integer(
            name="fc",
            default=128,
            low=32,
            high=512,
            log=True,
            limits=(1, 8192),
            when={"parameter": "head", "equals": "fc"},
            help="units of each hidden layer of the head",
        ),
    ),
    recipe=(*EVERYTHING, "units"),
    axes=("epochs", "fraction", "width_fraction", "resolution", "folds"),
    widths=("width", "fc"),
    halvings=Halvings(times=halvings, reads=("style", "stem_stride", "blocks")),
    epochs=15,
)
