"""From an assignment to all that its training needs to know. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workers.catalogue import DATASETS, FAMILIES, Dataset, Family
from workers.protocol import Assignment
from workers.training.settings import Settings, resolve

SPLIT_SEED = 0  # the same for all studies of a dataset, so that their results compare


@dataclass(frozen=True, slots=True)
class Plan:
    """Train `family` on `dataset` until `epochs` are done; the schedule is laid out over `horizon` epochs."""

    family: Family
    dataset: Dataset
    split_seed: int
    settings: Settings
    epochs: int
    horizon: int

    @classmethod
    def of(cls, assignment: Assignment) -> Plan:
        objective = assignment.objective
        family, dataset = FAMILIES[objective["family"]], DATASETS[objective["dataset"]]
        alone = objective.get("epochs", family.epochs)
        _, epochs, horizon = assignment.fidelity or (family.fidelity, alone, alone)
        return cls(
            family=family,
            dataset=dataset,
            split_seed=objective.get("split_seed", SPLIT_SEED),
            settings=resolve(family.hyperparameters(dataset.inputs), assignment.config),
            epochs=int(epochs),
            horizon=int(horizon),
        )

    def identity(self) -> Mapping[str, Any]:
        """What must be equal for one training to continue another: of the settings those that are not mutable."""
        hyperparameters = self.family.hyperparameters(self.dataset.inputs)
        return {
            "family": self.family.name,
            "dataset": self.dataset.name,
            "split_seed": self.split_seed,
            **{each.name: self.settings[each.name] for each in hyperparameters if not each.mutable},
        }
