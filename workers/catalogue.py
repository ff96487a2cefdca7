"""What can be trained, and on what: two explicit tables of plain data.

To add a network family, write `workers/families/<name>.py` with a function `build` (see `workers.families.blocks`) and
its row in FAMILIES. To add a dataset, write `workers/data/<name>.py` with a function `load` (see `workers.data.source`)
and its row in DATASETS. Rows name their code by `module:function`, so that this module loads no torch.

    python -m workers.catalogue > docs/families.md
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, Literal

from workers.training.hyperparameters import Choice, Flag, Hyperparameter, Integer, Preset, Real
from workers.training.recipe import IMAGE_RECIPE, RECIPE

Task = Literal["classification"]
Inputs = Literal["image", "table"]

# What a study of each task may judge its trainings by; the first one, which is maximized, is the usual choice.
TASK_METRICS: Mapping[Task, tuple[str, ...]] = {
    "classification": ("val_accuracy", "val_loss", "train_loss", "parameters"),
}


@dataclass(frozen=True)
class Dataset:
    """`shape` is that of one example without the batch: (channels, height, width) or (features,). `sha256` is of the
    bytes of inputs and labels as they are loaded: which data it was, wherever they were shipped from."""

    name: str
    title: str
    task: Task
    inputs: Inputs
    shape: tuple[int, ...]
    classes: int
    examples: int
    licence: str
    source: str
    loader: str
    sha256: str

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": self.title,
            "task": self.task,
            "inputs": self.inputs,
            "shape": list(self.shape),
            "classes": self.classes,
            "examples": self.examples,
            "metrics": list(TASK_METRICS[self.task]),
            "licence": self.licence,
            "source": self.source,
        }


@dataclass(frozen=True)
class Family:
    """`own` are the hyperparameters of the architecture, none mutable; the training recipe comes on top of them.

    `epochs` is how long it trains where the study has no fidelity; `source` is the paper that it follows.
    """

    name: str
    title: str
    tasks: tuple[Task, ...]
    inputs: tuple[Inputs, ...]
    source: str
    builder: str
    own: tuple[Hyperparameter, ...]
    epochs: int = 30
    fidelity: str = "epochs"

    def hyperparameters(self, inputs: Inputs) -> tuple[Hyperparameter, ...]:
        """All that a study may search or fix, when it trains on inputs of this kind."""
        own = tuple(replace(each, mutable=False) for each in self.own)
        return own + RECIPE + (IMAGE_RECIPE if inputs == "image" else ())

    def parameters(self, inputs: Inputs, preset: Preset = "standard") -> list[dict[str, Any]]:
        """The preset's parameters as a space writes them, with ranges, defaults and conditions."""
        return [each.to_json() for each in self.hyperparameters(inputs) if preset in ("standard", each.preset)]

    def fits(self, dataset: Dataset) -> bool:
        return dataset.task in self.tasks and dataset.inputs in self.inputs

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": self.title,
            "tasks": list(self.tasks),
            "inputs": list(self.inputs),
            "metric": {"name": TASK_METRICS[self.tasks[0]][0], "direction": "maximize"},
            "fidelity": self.fidelity,
            "epochs": self.epochs,
            "datasets": [dataset.name for dataset in DATASETS.values() if self.fits(dataset)],
            "parameters": {inputs: self.parameters(inputs) for inputs in self.inputs},
            "source": self.source,
        }


def load(path: str) -> Callable[..., Any]:
    """The function that a row names as `module:function`."""
    module, _, name = path.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function


DATASETS: Mapping[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            name="digits",
            title="Handwritten digits, 8×8 pixels",
            task="classification",
            inputs="image",
            shape=(1, 8, 8),
            classes=10,
            examples=1797,
            licence="CC BY 4.0",
            source="E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning "
            "Repository, 1998 (its test part, as scikit-learn ships it)",
            loader="workers.data.digits:load",
            sha256="8b3b6ae90863430bdef06a3f7d1ec2f6a905a53d3375655b18cf63780ad98772",
        ),
    )
}

FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family(
            name="mlp",
            title="Multilayer perceptron",
            tasks=("classification",),
            inputs=("table", "image"),
            source="D. Rumelhart, G. Hinton, R. Williams, Learning representations by back-propagating errors, 1986; "
            "skips: K. He et al. 2016 (residual), G. Huang et al. 2017 (dense), R. Srivastava et al. 2015 (highway)",
            builder="workers.families.mlp:build",
            own=(
                Integer(name="depth", default=2, low=1, high=6, limits=(1, 64), help="hidden layers"),
                Integer(
                    name="width", default=128, low=16, high=1024, log=True, limits=(1, 8192), help="units per layer"
                ),
                Choice(
                    name="shape",
                    default="constant",
                    choices=("constant", "funnel", "diamond"),
                    help="how the layers' widths follow each other; width is the widest",
                ),
                Choice(
                    name="skip",
                    default="none",
                    choices=("none", "residual", "dense", "highway"),
                    when={"parameter": "depth", "gt": 1},
                    help="connections around each layer but the first",
                ),
                Real(
                    name="highway_bias",
                    default=-1,
                    low=-4,
                    high=0,
                    limits=(-20, 20),
                    when={"parameter": "skip", "equals": "highway"},
                    help="first bias of the gates; below 0 they begin by carrying their input on",
                ),
            ),
        ),
        Family(
            name="lenet",
            title="LeNet",
            tasks=("classification",),
            inputs=("image",),
            source="Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Gradient-based learning applied to document "
            "recognition, 1998",
            builder="workers.families.lenet:build",
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
                Integer(
                    name="fc1", default=120, low=32, high=256, log=True, limits=(1, 8192), help="units of layer C5"
                ),
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
        ),
    )
}

if __name__ == "__main__":
    from workers.catalogue_page import page

    sys.stdout.write(page())
