"""Points in the plane that are drawn here."""

from __future__ import annotations

import numpy as np
import pytest

from workers.catalogue import DATASETS
from workers.data.loading import source_of


@pytest.mark.parametrize("name", ["ring", "two_moons"])
def test_points_are_what_their_row_says(name: str) -> None:
    row = DATASETS[name]
    source = source_of(row)
    assert source.digest() == row.sha256
    assert source.targets is not None
    counts = np.bincount(source.targets)
    assert len(counts) == row.outputs
    assert counts.min() == counts.max()


def test_the_ring_has_its_modes_where_it_says() -> None:
    source = source_of(DATASETS["ring"])
    modes, deviation = source.context["modes"], float(source.context["deviation"])
    np.testing.assert_allclose(np.linalg.norm(modes, axis=1), 2, rtol=1e-6)
    assert source.targets is not None
    around = source.inputs - modes[source.targets]
    np.testing.assert_allclose(around.std(axis=0), deviation, rtol=0.05)


def test_the_moons_are_no_line_apart() -> None:
    source = source_of(DATASETS["two_moons"])
    x, y = source.inputs, source.targets
    design = np.column_stack([x, np.ones(len(x))])
    weights, *_ = np.linalg.lstsq(design, 2 * y - 1, rcond=None)
    assert 0.8 < ((design @ weights > 0) == y).mean() < 0.95
