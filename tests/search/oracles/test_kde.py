"""BOHB's densities and candidates against the plain definition."""

import numpy as np
import pytest

from search import ALGORITHMS
from search.density.axes import Axes
from search.density.kde import KDE
from spaces import Space
from spaces.domain import Choices

MIXED = Space.from_json(
    {
        "parameters": [
            {"name": "x", "type": "float", "low": 0, "high": 1},
            {"name": "n", "type": "int", "low": 1, "high": 5, "log": True},
            {"name": "o", "type": "ordinal", "choices": ["s", "m", "l", "xl"]},
            {"name": "c", "type": "categorical", "choices": ["a", "b", "c"]},
        ]
    }
)
AXES = Axes.of(MIXED, range(4), lambda domain: not isinstance(domain, Choices))


def sample(count, seed=0):
    rng = np.random.default_rng(seed)
    return np.array([MIXED.encode(MIXED.sample(rng)) for _ in range(count)])


def levels(points):
    """The indices of the ordinal's and the categorical's values, from unit coordinates: [points, 2]."""
    return np.stack((np.floor(points[:, 2] * 4), np.floor(points[:, 3] * 3)), axis=1).astype(int)


@pytest.mark.parametrize("observed", [5, 17])
def test_the_density_is_the_mean_of_products_of_kernels(observed):
    data, at = sample(observed), sample(30, seed=1)
    columns = np.column_stack((data[:, :2], levels(data)))
    h = 1.06 * columns.std(axis=0) * observed ** (-1 / (4 + 4))
    h[2:] = np.minimum(h[2:], [3 / 4, 2 / 3])
    expected = []
    for point, (ordinal, choice) in zip(at, levels(at), strict=True):
        total = 0.0
        for row, (row_ordinal, row_choice) in zip(data, levels(data), strict=True):
            product = 1.0
            for column in (0, 1):
                z = (point[column] - row[column]) / h[column]
                product *= np.exp(-z * z / 2) / (h[column] * np.sqrt(2 * np.pi))
            wang = [1 - h[2] if level == row_ordinal else 0.5 * (1 - h[2]) * h[2] ** abs(level - row_ordinal)
                    for level in range(4)]  # fmt: skip
            product *= wang[ordinal] / sum(wang)
            product *= 1 - h[3] if choice == row_choice else h[3] / 2
            total += product
        expected.append(total / observed)
    assert np.exp(KDE(AXES, AXES.read(data), 1e-3).log_density(AXES.read(at))) == pytest.approx(expected, rel=1e-9)


def test_the_width_of_a_choice_is_at_most_that_of_a_uniform_kernel():
    space = Space.from_json({"parameters": [{"name": "c", "type": "categorical", "choices": list("abcdefghij")}]})
    axes = Axes.of(space, range(1), lambda domain: False)
    data = axes.read(np.array([space.encode({"c": c}) for c in "aajj"]))
    density = KDE(axes, data, 1e-3)  # the indices 0 and 9 have a standard deviation of 4.5
    assert density.width.tolist() == [0.9]
    every = axes.read(np.array([space.encode({"c": c}) for c in "abcdefghij"]))
    assert np.exp(density.log_density(every)) == pytest.approx([0.1] * 10)


def test_candidates_keep_a_choice_or_draw_any_of_all():
    """P(stay) = 1 - h + h / K, and numbers come from normals three times as wide as the kernels, truncated."""
    space = Space.from_json({"parameters": [MIXED.to_json()["parameters"][i] for i in (0, 3)]})
    axes = Axes.of(space, range(2), lambda domain: domain.numeric)
    data = np.array([[0.5, 0.0], [0.5, 0.0], [0.5, 0.0], [0.52, 1.0]])
    density = KDE(axes, data, 1e-3)
    drawn = density.draw_around(np.random.default_rng(0), 40_000, 3.0)
    h = density.width[1]
    mixture = [0.75 * (1 - h) + h / 3, 0.25 * (1 - h) + h / 3, h / 3]
    assert np.bincount(drawn[:, 1].astype(int)) / 40_000 == pytest.approx(mixture, abs=0.01)
    assert drawn[:, 0].std() == pytest.approx(np.hypot(3 * density.width[0], data[:, 0].std()), rel=0.02)


def test_the_defaults_are_those_of_the_paper_and_its_code():
    options = {option.name: option.default for option in ALGORITHMS["bohb"].options}
    assert options["eta"] == 3
    assert (options["top_fraction"], options["candidates"], options["min_bandwidth"]) == (0.15, 64, 1e-3)
    assert (options["random_fraction"], options["bandwidth_factor"]) == (pytest.approx(1 / 3), 3)
