"""The split into train, validation and test: seeded, the same for all trials of a study.

The test part is the same whatever the folds are, so that a fold never trains on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]

HELD_OUT = 5  # one example in five is for validation and one in five for the test


@dataclass(frozen=True, slots=True)
class Split:
    """Disjoint, ascending indices that cover all examples."""

    train: Indices
    validation: Indices
    test: Indices

    def fold(self, targets: npt.NDArray[Any] | None, seed: int, number: int, folds: int) -> Split:
        """Cross-validation: what is not for the test is dealt over `folds` hands, and hand `number` (from 0) is for
        validation. Classes are dealt in proportion."""
        rest = np.concatenate([self.train, self.validation])
        hand = _dealt(None if targets is None else targets[rest], len(rest), np.random.default_rng([seed, 1]), folds)
        return Split(np.sort(rest[hand != number]), np.sort(rest[hand == number]), self.test)


def stratified(labels: Indices, seed: int) -> Split:
    """Deals each class, shuffled, over five hands: one is validation, one is the test, three are for training.

    The dealing goes on from class to class where it stopped, so all hands are equally large, up to one example.
    """
    hand = _dealt(labels, len(labels), np.random.default_rng(seed), HELD_OUT)
    return _split(hand > 1, hand == 0, hand == 1)


def shuffled(examples: int, seed: int) -> Split:
    """As `stratified`, with all examples in one class."""
    hand = _dealt(None, examples, np.random.default_rng(seed), HELD_OUT)
    return _split(hand > 1, hand == 0, hand == 1)


def in_time(examples: int) -> Split:
    """The first three fifths for training, then validation, then the test; there is no other such split."""
    part = np.arange(examples) * HELD_OUT // max(1, examples)
    return _split(part < HELD_OUT - 2, part == HELD_OUT - 2, part == HELD_OUT - 1)


def few(labels: Indices, per_class: int, seed: int, known: Indices | None = None) -> Split:
    """For training those that are `known`, else `per_class` examples of each class; the others are shared between
    validation and test."""
    rng = np.random.default_rng(seed)
    chosen = [rng.permutation(np.flatnonzero(labels == label))[:per_class] for label in np.unique(labels)]
    train = np.sort(np.concatenate(chosen) if known is None else known)
    rest = np.setdiff1d(np.arange(len(labels)), train)
    hand = _dealt(labels[rest], len(rest), rng, 2)
    return Split(train, np.sort(rest[hand == 0]), np.sort(rest[hand == 1]))


def _dealt(labels: npt.NDArray[Any] | None, examples: int, rng: np.random.Generator, hands: int) -> Indices:
    """[examples]: which hand each example is dealt to. Labels that are not one class per example are not looked at."""
    if labels is None or labels.ndim > 1 or not np.issubdtype(labels.dtype, np.integer):
        labels = np.zeros(examples, dtype=np.int64)
    dealt = np.concatenate([rng.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)])
    hand = np.empty(examples, dtype=np.int64)
    hand[dealt] = np.arange(examples) % hands
    return hand


def _split(train: npt.NDArray[np.bool_], validation: npt.NDArray[np.bool_], test: npt.NDArray[np.bool_]) -> Split:
    return Split(np.flatnonzero(train), np.flatnonzero(validation), np.flatnonzero(test))
