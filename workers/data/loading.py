"""From a dataset to tensors. A warm worker trains its next trial without reading again (`workers.data.sharing`).

Training code calls `training_data`, which holds no test examples; only the final evaluation calls `held_out_data`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from workers.data.part import Part
from workers.data.sharing import shelf
from workers.data.source import Source
from workers.data.splits import Indices, Split, few, in_time, shuffled, stratified
from workers.rows import Dataset


@dataclass(frozen=True, slots=True)
class Examples:
    """`inputs` [n, *shape] and `targets` [n, ...] (None where the inputs are their own), as `workers.data.source` has
    them. Shared between runs: never changed in place."""

    inputs: Tensor
    targets: Tensor | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, which: slice | Tensor) -> Examples:
        return Examples(self.inputs[which], None if self.targets is None else self.targets[which])

    def to(self, device: torch.device) -> Examples:
        """On the device; the same object where they are there already."""
        if self.inputs.device == device:
            return self
        targets = None if self.targets is None else self.targets.to(device, non_blocking=True)
        return Examples(self.inputs.to(device, non_blocking=True), targets)


@dataclass(frozen=True, slots=True)
class Data:
    """What a training may see. `context` is what all examples share."""

    train: Examples
    validation: Examples
    context: Mapping[str, Tensor] = field(default_factory=dict)


def training_data(dataset: Dataset, part: Part, device: torch.device) -> Data:
    source = source_of(dataset)
    split = _split(dataset, source, part)
    train = np.sort(np.concatenate([split.train, split.validation])) if part.whole else split.train
    if part.fraction < 1:
        order = np.random.default_rng([part.seed, 2]).permutation(len(train))
        train = np.sort(train[order[: max(1, round(part.fraction * len(train)))]])
    context = {name: torch.from_numpy(array.copy()).to(device) for name, array in source.context.items()}
    return Data(
        _examples(source, train, part.resolution, device),
        _examples(source, split.validation, part.resolution, device),
        context,
    )


def held_out_data(dataset: Dataset, part: Part, device: torch.device) -> Examples:
    source = source_of(dataset)
    return _examples(source, _split(dataset, source, part).test, part.resolution, device)


def source_of(dataset: Dataset) -> Source:
    """Raises AssertionError when the data is not what its row in the catalogue says."""
    source = shelf().get(dataset.loader, dataset.place)
    assert source.inputs.shape == (dataset.examples, *dataset.shape), f"{dataset.name}: inputs {source.inputs.shape}"
    return source


def _split(dataset: Dataset, source: Source, part: Part) -> Split:
    match dataset.splitting:
        case "stratified":
            assert source.targets is not None
            split = stratified(source.targets, part.seed)
        case "random":
            split = shuffled(dataset.examples, part.seed)
        case "time":
            split = in_time(dataset.examples)
        case "few":
            assert source.targets is not None
            split = few(source.targets, dataset.labels, part.seed, source.known)
        case "drawn":
            assert source.split is not None, f"{dataset.name} has no split of its own"
            split = source.split
    if part.folds:
        return split.fold(source.targets, part.seed, part.fold, part.folds)
    return split


def _examples(source: Source, indices: Indices, resolution: float, device: torch.device) -> Examples:
    """On the device where they fit in half of what is free there; else they stay and travel batch by batch."""
    inputs = torch.from_numpy(source.inputs[indices])
    targets = None if source.targets is None else torch.from_numpy(source.targets[indices])
    if resolution < 1:
        sides = tuple(max(1, round(resolution * side)) for side in inputs.shape[2:])
        inputs = torch.nn.functional.interpolate(inputs, size=sides, mode="area")
        if targets is not None and targets.ndim == 3:
            targets = torch.nn.functional.interpolate(targets[:, None].float(), size=sides)[:, 0].long()
    examples = Examples(inputs, targets)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if inputs.numel() * inputs.element_size() > free / 2:
            return Examples(inputs.pin_memory(), None if targets is None else targets.pin_memory())
    return examples.to(device)
