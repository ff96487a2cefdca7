"""The rows of the catalogue. Torch-free: they name their code by `module:function`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal

from workers.families.halvings import Halvings
from workers.tasks import TASKS, Task
from workers.training.hyperparameters import Hyperparameter, Preset
from workers.training.presets import of_preset
from workers.training.recipe import Module, hyperparameters_of
from workers.training.recipe.combinations import constraints

# What one example is: the features of a table's row; an image [channels, height, width], pixels from 0 to 1; a sequence
# [steps, features]; a stretch of text; a node of a graph; a user and an item; a state of an environment.
Inputs = Literal["table", "image", "sequence", "text", "graph", "ratings", "environment"]

# How examples are dealt to training, validation and test. stratified: at random, every class in proportion; random;
# time: the first ones for training, the last ones for the test; few: as many of each class as `labels` says for
# training, drawn or as the source says, the others for validation and test; drawn: as the source says.
Splitting = Literal["stratified", "random", "time", "few", "drawn"]

# What a run's fidelity may be: epochs go on from a checkpoint, and folds from the mean of the earlier ones; the others,
# from 0 to 1, are parts of the examples, of the width, of the image's sides, and are trained anew.
Axis = Literal["epochs", "fraction", "width_fraction", "resolution", "folds"]
CONTINUED: tuple[Axis, ...] = ("epochs", "folds")


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """`shape` is that of one example without the batch, `outputs` how many classes, numbers or symbols there are to
    predict. `sizes` is what else the size of a network follows from. `sha256` is of the bytes of all arrays as they are
    loaded: which data it was, wherever they were shipped from; empty where they are drawn anew by every run.
    `needs` is the Python package, or the Debian package, that has the data, where that is not a dependency. `place` is
    the file, of an uploaded dataset.
    """

    name: str
    title: str
    tasks: tuple[str, ...]
    inputs: Inputs
    shape: tuple[int, ...]
    outputs: int
    examples: int
    licence: str
    source: str
    loader: str
    sha256: str
    splitting: Splitting = "stratified"
    labels: int = 0
    sizes: Mapping[str, int] = field(default_factory=dict)
    needs: str = ""
    place: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": self.title,
            "tasks": list(self.tasks),
            "inputs": self.inputs,
            "shape": list(self.shape),
            "outputs": self.outputs,
            "examples": self.examples,
            "licence": self.licence,
            "source": self.source,
            "needs": self.needs,
        }


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a network is built for: all that can be known before any data is loaded."""

    task: str
    inputs: Inputs
    shape: tuple[int, ...]
    outputs: int
    sizes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Family:
    """`own` are the hyperparameters of the architecture, none mutable; the modules of the training recipe come on top.

    `builder` names `build(settings, facts) -> Learner`. `defaults` are those of recipe hyperparameters that differ from
    the recipe's. `widths` are the own hyperparameters that the fidelity `width_fraction` scales. `halvings` says how
    often the network halves an image, where hyperparameters tell. `epochs` is how long it trains where the study has no
    fidelity in epochs; `source` is the paper that it follows.
    """

    name: str
    title: str
    tasks: tuple[str, ...]
    inputs: tuple[Inputs, ...]
    source: str
    builder: str
    own: tuple[Hyperparameter, ...]
    recipe: tuple[Module, ...]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    axes: tuple[Axis, ...] = ("epochs", "fraction", "folds")
    widths: tuple[str, ...] = ()
    halvings: Halvings | None = None
    epochs: int = 30

    def hyperparameters(self, inputs: Inputs) -> tuple[Hyperparameter, ...]:
        """All that a study may search or fix, when it trains on inputs of this kind."""
        own = tuple(each.fixed() for each in self.own)
        return own + hyperparameters_of(self.recipe, inputs, self.defaults)

    def parameters(self, inputs: Inputs, preset: Preset = "standard") -> list[dict[str, Any]]:
        """The preset's parameters as a space writes them, with ranges, defaults and conditions."""
        return of_preset(self.hyperparameters(inputs), preset)

    def space(self, inputs: Inputs, preset: Preset = "standard") -> dict[str, Any]:
        """The preset as a space: its parameters, and what of the recipe does not go together."""
        return self.constrained(inputs, self.parameters(inputs, preset))

    def constrained(
        self, inputs: Inputs, parameters: list[dict[str, Any]], shape: tuple[int, ...] | None = None
    ) -> dict[str, Any]:
        """The space with these parameters, what of the recipe does not go together in it, and, where the `shape` of an
        example is known, which networks it is too small for."""
        known = {each.name: each for each in self.hyperparameters(inputs)}
        found = list(constraints(parameters, {name: each.default for name, each in known.items()}))
        if shape is not None and inputs == "image" and self.halvings is not None:
            found += self.halvings.constraints(shape, parameters, known)
        return {"parameters": parameters, "constraints": found}

    def task_on(self, dataset: Dataset) -> Task | None:
        """The first of its tasks that the dataset serves, None where they do not fit each other."""
        if dataset.inputs not in self.inputs:
            return None
        return next((TASKS[name] for name in self.tasks if name in dataset.tasks), None)

    def fits(self, dataset: Dataset) -> bool:
        return self.task_on(dataset) is not None


def load(path: str) -> Callable[..., Any]:
    """The function that a row names as `module:function`."""
    module, _, name = path.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function
