"""Networks of convolutions that are taken apart, for answers that cost few multiplications."""

from collections.abc import Mapping
from typing import Any

from workers.families.halvings import Halvings
from workers.rows import Family
from workers.training.hyperparameters import Choice, Integer, Real
from workers.training.recipe import EVERYTHING

HALVING = (1, 3, 5)  # blocks, from 0


def halvings(settings: Mapping[str, Any]) -> int:
    """How often the network halves the image."""
    times: int = sum(block < settings["blocks"] for block in HALVING)
    return times


FAMILY = Family(
    name="mobilenet",
    title="MobileNet (depthwise, grouped and spatially separable convolutions)",
    tasks=("classification",),
    inputs=("image",),
    source="A. Howard et al., MobileNets: efficient convolutional neural networks for mobile vision applications, "
    "2017; spatially separable: C. Szegedy et al., Rethinking the Inception architecture, 2016; dilation: F. Yu and "
    "V. Koltun, Multi-scale context aggregation by dilated convolutions, 2016",
    builder="workers.families.mobilenet.network:build",
    own=(
        Choice(
            name="separation",
            default="depthwise",
            choices=("depthwise", "spatial", "grouped"),
            help="how a convolution is taken apart: map by map, along the image's axes, in groups of maps",
        ),
        Choice(
            name="groups",
            default=4,
            choices=(2, 4, 8),
            when={"parameter": "separation", "equals": "grouped"},
            help="groups of maps; the number of maps is rounded to a multiple of it",
        ),
        Real(
            name="alpha",
            default=1,
            low=0.25,
            high=2,
            log=True,
            limits=(0.01, 64),
            help="maps, times 16 in the first block, times 2 each time that the image is halved",
        ),
        Integer(name="blocks", default=5, low=3, high=10, limits=(1, 32), help="separable convolutions"),
        Choice(name="kernel_size", default=3, choices=(3, 5), help="side of the convolutions, in pixels"),
        Choice(
            name="dilation",
            default=1,
            choices=(1, 2),
            help="distance of the pixels that a convolution reads, where it does not halve the image",
        ),
    ),
    recipe=(*EVERYTHING, "units"),
    defaults={"lr": 0.01, "batch_size": 32},
    axes=("epochs", "fraction", "width_fraction", "resolution", "folds"),
    widths=("alpha",),
    halvings=Halvings(times=halvings, reads=("blocks",)),
    epochs=20,
)
