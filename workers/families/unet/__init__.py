"""The U-Net: down to a small image of many maps and up again, with bridges."""

from collections.abc import Mapping
from typing import Any

from workers.families.halvings import Halvings
from workers.rows import Family
from workers.training.hyperparameters import Choice, Flag, Integer, Real
from workers.training.recipe import EVERYTHING


def halvings(settings: Mapping[str, Any]) -> int:
    """How often the network halves the image."""
    times: int = settings["depth"]
    return times


FAMILY = Family(
    name="unet",
    title="U-Net",
    tasks=("segmentation",),
    inputs=("image",),
    source="O. Ronneberger, P. Fischer and T. Brox, U-Net: convolutional networks for biomedical image segmentation, "
    "2015; nearest: A. Odena et al., Deconvolution and checkerboard artifacts, 2016; add: A. Chaurasia and "
    "E. Culurciello, LinkNet, 2017; dice: F. Milletari et al., V-Net, 2016",
    builder="workers.families.unet.network:build",
    own=(
        Integer(name="depth", default=2, low=1, high=4, limits=(1, 8), help="how often the image is halved"),
        Integer(
            name="base",
            default=8,
            low=4,
            high=32,
            log=True,
            limits=(1, 512),
            help="maps at the image's size; twice as many at each smaller one",
        ),
        Choice(
            name="up",
            default="transposed",
            choices=("transposed", "nearest"),
            help="how maps grow: a learnt 2×2 patch for each pixel, or copies of the pixel and a convolution",
        ),
        Choice(
            name="merge",
            default="concat",
            choices=("concat", "add", "none"),
            help="how maps on the way up meet those of their size on the way down",
        ),
        Choice(
            name="loss",
            default="ce_dice",
            choices=("ce", "dice", "ce_dice"),
            help="cross-entropy per pixel, one minus the overlap of regions, or both",
        ),
        Real(
            name="dice_weight",
            default=0.5,
            low=0.1,
            high=0.9,
            limits=(0, 1),
            when={"parameter": "loss", "equals": "ce_dice"},
            help="share of the dice loss",
        ),
        Flag(name="dilate", default=False, help="convolutions at the smallest size read pixels 2 and 4 apart"),
    ),
    # augmentation would move the image and leave its mask where it is
    recipe=(*EVERYTHING, "units"),
    defaults={"lr": 0.01, "batch_size": 32},
    axes=("epochs", "fraction", "width_fraction", "resolution", "folds"),
    widths=("base",),
    halvings=Halvings(times=halvings, reads=("depth",)),
    epochs=20,
)
