from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from workers.data.splits import stratified

labels = st.lists(st.integers(0, 6), min_size=1, max_size=300).map(lambda values: np.array(values, dtype=np.int64))


@given(labels, st.integers(0, 2**31 - 1))
def test_parts_are_disjoint_and_cover_all(labels: np.ndarray, seed: int) -> None:
    split = stratified(labels, seed)
    together = np.concatenate([split.train, split.validation, split.test])
    assert sorted(together.tolist()) == list(range(len(labels)))


@given(labels, st.integers(0, 2**31 - 1))
def test_every_class_and_the_whole_have_their_shares(labels: np.ndarray, seed: int) -> None:
    split = stratified(labels, seed)
    for part in (split.validation, split.test):
        assert abs(len(part) - len(labels) / 5) < 1
        for label in np.unique(labels):
            assert abs(np.sum(labels[part] == label) - np.sum(labels == label) / 5) < 1


def test_the_split_follows_from_the_seed() -> None:
    labels = np.arange(100) % 4
    assert np.array_equal(stratified(labels, 1).test, stratified(labels, 1).test)
    assert not np.array_equal(stratified(labels, 1).test, stratified(labels, 2).test)
