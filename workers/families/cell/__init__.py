"""Networks of repeated cells, whose architecture is searched: NASNet, DARTS, NAS-Bench-201, and hierarchical ones."""

from collections.abc import Mapping
from typing import Any

from workers.families.cell.architecture import NAME, choices
from workers.families.cell.sizes import REDUCING, halved
from workers.families.halvings import Halvings
from workers.rows import Family
from workers.training.hyperparameters import Choice, Integer, Real
from workers.training.recipe import EVERYTHING


def halvings(settings: Mapping[str, Any]) -> int:
    """How often the network halves the image."""
    return halved(settings, reducing=settings[NAME] in REDUCING)


FAMILY = Family(
    name="cell",
    title="Cells of a searched architecture (NAS-Bench-201, DARTS, NASNet, hierarchical)",
    tasks=("classification",),
    inputs=("image",),
    source="X. Dong and Y. Yang, NAS-Bench-201: extending the scope of reproducible neural architecture search, 2020; "
    "H. Liu, K. Simonyan and Y. Yang, DARTS: differentiable architecture search, 2019; H. Liu et al., "
    "Hierarchical representations for efficient architecture search, 2018; B. Zoph et al., Learning transferable "
    "architectures for scalable image recognition, 2018",
    builder="workers.families.cell.network:build",
    own=(
        *choices(),
        Integer(
            name="channels",
            default=8,
            low=4,
            high=36,
            log=True,
            limits=(2, 1024),
            help="maps of the first cells' nodes; darts and nas-bench-201 search with 16, darts trains with 36",
        ),
        Integer(
            name="layers",
            default=3,
            low=1,
            high=8,
            limits=(1, 100),
            help="cells of each of the three stages (nas-bench-201 has 5); of darts and nasnet "
            "all cells (8 to search, 20 to train), with fewer than 3 none that keeps the size",
        ),
        Choice(
            name="stem",
            default=1,
            choices=(1, 2, 4),
            help="how many times smaller the image is before the first cell reads it",
        ),
        Real(
            name="drop_path",
            default=0,
            low=0,
            high=0.4,
            limits=(0, 0.9),
            help="probability that an operation is dropped at the end of the training; it grows from 0",
        ),
        Real(
            name="auxiliary",
            default=0,
            low=0,
            high=0.4,
            limits=(0, 1),
            when={"parameter": "cell", "in": ["darts", "nasnet"]},
            off=0.0,
            help="weight of a second classifier's loss, at two thirds of the depth; in training only",
        ),
    ),
    recipe=EVERYTHING,
    defaults={
        "optimizer": "sgd",
        "lr": 0.025,
        "decay": "l2",
        "weight_decay": 3e-4,
        "clip": "norm",
        "clip_norm": 5,
        "warmup": 0,
        "dropout": 0,
    },
    axes=("epochs", "fraction", "width_fraction", "resolution", "folds"),
    widths=("channels",),
    halvings=Halvings(times=halvings, reads=(NAME, "stem", "layers")),
    epochs=20,
)
