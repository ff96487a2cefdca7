"""From a dataset's name to tensors. Loaded once per process: a warm worker trains its next trial without reading again.

Training code calls `training_data`, which holds no test examples; only the final evaluation calls `held_out_data`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from workers.catalogue import DATASETS, load
from workers.data.source import Source
from workers.data.splits import Indices, stratified


@dataclass(frozen=True, slots=True)
class Examples:
    """`inputs` [n, *shape] float32, `labels` [n] int64, on one device. Shared between runs: never changed in place."""

    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class TrainingData:
    train: Examples
    validation: Examples


@lru_cache(maxsize=4)
def training_data(dataset: str, split_seed: int, device: torch.device) -> TrainingData:
    source = _source(dataset)
    split = stratified(source.labels, split_seed)
    return TrainingData(_examples(source, split.train, device), _examples(source, split.validation, device))


def held_out_data(dataset: str, split_seed: int, device: torch.device) -> Examples:
    source = _source(dataset)
    return _examples(source, stratified(source.labels, split_seed).test, device)


@lru_cache(maxsize=4)
def _source(dataset: str) -> Source:
    """Raises AssertionError when the data is not what its row in the catalogue says."""
    row = DATASETS[dataset]
    source: Source = load(row.loader)()
    assert source.inputs.shape == (row.examples, *row.shape), f"{dataset}: inputs {source.inputs.shape}"
    assert np.array_equal(np.unique(source.labels), np.arange(row.classes)), f"{dataset}: labels"
    return source


def _examples(source: Source, indices: Indices, device: torch.device) -> Examples:
    inputs, labels = torch.from_numpy(source.inputs[indices]), torch.from_numpy(source.labels[indices])
    return Examples(inputs.to(device), labels.to(device))
