"""Which examples a training sees. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """Which examples to see: a split by its seed, of the training ones the first `fraction` of a random order, the
    images made smaller by `resolution`, one `fold` of `folds` (0: the split itself). `whole`: the
    examples for validation are for training as well."""

    seed: int = 0
    fraction: float = 1.0
    resolution: float = 1.0
    fold: int = 0
    folds: int = 0
    whole: bool = False
