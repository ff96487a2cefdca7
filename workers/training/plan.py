"""From an assignment to all that its training needs to know. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from workers.catalogue import FAMILIES, Dataset, Facts, Family, dataset_of
from workers.data.part import Part
from workers.protocol import Assignment
from workers.rows import CONTINUED
from workers.tasks import Task
from workers.training.settings import Settings, resolve

SPLIT_SEED = 0  # the same for all studies of a dataset, so that their results compare


@dataclass(frozen=True, slots=True)
class Plan:
    """Train `family` on `dataset` until `epochs` are done; the schedule is laid out over `horizon` epochs.

    `axis` is what the run's fidelity is, and `level` its value. `part` says which examples to see. `anew`: it does not
    go on from a smaller run, for its schedule is its own.
    """

    family: Family
    dataset: Dataset
    task: Task
    facts: Facts
    settings: Settings
    part: Part
    epochs: int
    horizon: int
    axis: str
    level: float
    anew: bool
    options: Mapping[str, Any]

    @classmethod
    def of(cls, assignment: Assignment) -> Plan:
        objective = assignment.objective
        family, dataset = FAMILIES[objective["family"]], dataset_of(objective["dataset"])
        task = family.task_on(dataset)
        assert task is not None, "the study was checked"
        alone = objective.get("epochs", family.epochs)
        axis, level, top = assignment.fidelity or ("epochs", alone, alone)
        epochs, horizon = (int(level), int(top)) if axis == "epochs" else (alone, alone)
        own = objective.get("schedule_horizon") == "rung"
        horizon = epochs if own else horizon
        settings = resolve(family.hyperparameters(dataset.inputs), assignment.config)
        part, shape = Part(seed=objective.get("split_seed", SPLIT_SEED)), dataset.shape
        match axis:
            case "fraction":
                part = replace(part, fraction=float(level))
            case "resolution":
                part = replace(part, resolution=float(level))
                shape = (shape[0], *(max(1, round(level * side)) for side in shape[1:]))
            case "width_fraction":
                whole = {name: level * settings[name] for name in family.widths}
                # a multiplier of widths stays a fraction; a number of units is 1 at least
                scaled = {n: w if isinstance(settings[n], float) else max(1, round(w)) for n, w in whole.items()}
                settings = {**settings, **scaled}
            case "folds":
                part = replace(part, folds=int(top))
        return cls(
            family=family,
            dataset=dataset,
            task=task,
            facts=Facts(
                task=task.name, inputs=dataset.inputs, shape=shape, outputs=dataset.outputs, sizes=dataset.sizes
            ),
            settings=settings,
            part=part,
            epochs=epochs,
            horizon=horizon,
            axis=axis,
            level=level,
            anew=own and axis == "epochs",
            options={name: objective[name] for name in ("deterministic", "compile") if name in objective},
        )

    @property
    def continues(self) -> bool:
        """Whether a run goes on from the checkpoint of a smaller one, rather than train anew."""
        return self.axis in CONTINUED and not self.anew

    def identity(self) -> Mapping[str, Any]:
        """What must be equal for one training to continue another: of the settings those that are not mutable."""
        hyperparameters = self.family.hyperparameters(self.dataset.inputs)
        return {
            "family": self.family.name,
            "dataset": self.dataset.name,
            "split_seed": self.part.seed,
            **{
                each.name: self.settings[each.name]
                for each in hyperparameters
                if not each.mutable and (each.name in self.settings or not each.optional)
            },
        }
