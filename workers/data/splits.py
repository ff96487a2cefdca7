"""The split into train, validation and test: seeded, stratified, the same for all trials of a study."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]

HELD_OUT = 5  # of each class, one example in five is for validation and one in five for the test


@dataclass(frozen=True, slots=True)
class Split:
    """Disjoint, ascending indices that cover all examples."""

    train: Indices
    validation: Indices
    test: Indices


def stratified(labels: Indices, seed: int) -> Split:
    """Deals each class, shuffled, over five hands: one is validation, one is the test, three are for training.

    The dealing goes on from class to class where it stopped, so all hands are equally large, up to one example.
    """
    rng = np.random.default_rng(seed)
    classes = [rng.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    dealt = np.concatenate(classes)
    hand = np.arange(len(dealt)) % HELD_OUT
    return Split(train=np.sort(dealt[hand > 1]), validation=np.sort(dealt[hand == 0]), test=np.sort(dealt[hand == 1]))
