"""LeNet: convolution and subsampling, twice, then three affine layers."""

from workers.rows import Family
from workers.training.hyperparameters import Choice, Flag, Integer
from workers.training.recipe import EVERYTHING

FAMILY = Family(
    name="lenet",
    title="LeNet",
    tasks=("classification",),
    inputs=("image",),
    source="Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Gradient-based learning applied to document "
    "recognition, 1998",
    builder="workers.families.lenet.network:build",
    own=(
        Integer(
            name="width",
            default=32,
            low=16,
            high=256,
            log=True,
            limits=(2, 2048),
            help="maps of the second convolution; the first has 3/8 of them. LeNet-5 has 16 and 6",
        ),
        Choice(name="kernel_size", default=3, choices=(3, 5), help="side of both convolutions"),
        Integer(name="fc1", default=120, low=32, high=256, log=True, limits=(1, 8192), help="units of layer C5"),
        Integer(name="fc2", default=84, low=16, high=128, log=True, limits=(1, 8192), help="units of layer F6"),
        Choice(
            name="pool",
            default="max",
            choices=("avg", "avg_trainable", "max"),
            help="subsampling; LeNet-5 has avg_trainable: a gain and a bias per map",
        ),
        Flag(
            name="c3_table",
            default=False,
            help="connect each map of the second convolution to some maps of the first only, as in LeNet-5",
        ),
    ),
    recipe=(*EVERYTHING, "units"),
    axes=("epochs", "fraction", "width_fraction", "resolution", "folds"),
    widths=("width", "fc1", "fc2"),
)
