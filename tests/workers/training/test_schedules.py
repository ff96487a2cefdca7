from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces import Space
from workers.training.recipe import RECIPE
from workers.training.schedules import lr_factor
from workers.training.settings import resolve


def factor(progress: float, **config: Any) -> float:
    return lr_factor(resolve(RECIPE, {"warmup": 0, **config}), progress)


@pytest.mark.parametrize(
    ("config", "progress", "expected"),
    [
        ({"schedule": "constant"}, 0.7, 1),
        ({"schedule": "linear", "final_lr": 0.2}, 0.5, 0.6),
        ({"schedule": "cosine", "final_lr": 0.2}, 0, 1),
        ({"schedule": "cosine", "final_lr": 0.2}, 0.5, 0.6),
        ({"schedule": "exponential", "final_lr": 0.01}, 0.5, 0.1),
        ({"schedule": "polynomial", "final_lr": 0.2, "lr_power": 2}, 0.5, 0.4),
        ({"schedule": "inverse", "lr_decay_speed": 2}, 0.5, 0.5),
        ({"schedule": "step", "lr_drops": 2, "lr_drop": 0.1}, 0.3, 1),
        ({"schedule": "step", "lr_drops": 2, "lr_drop": 0.1}, 0.34, 0.1),
        ({"schedule": "step", "lr_drops": 2, "lr_drop": 0.1}, 0.99, 0.01),
        ({"schedule": "constant", "warmup": 0.2}, 0.05, 0.25),
        ({"schedule": "constant", "warmup": 0.2}, 0.2, 1),
        ({"schedule": "linear", "final_lr": 0.2, "warmup": 0.2}, 0.6, 0.6),
        ({"schedule": "constant", "warmup": 1}, 0.5, 0.5),
    ],
)
def test_known_values(config: dict[str, Any], progress: float, expected: float) -> None:
    assert factor(progress, **config) == pytest.approx(expected)


SPACE = Space.from_json({"parameters": [each.to_json() for each in RECIPE]})


@given(st.integers(0, 2**32), st.floats(0, 1, exclude_max=True))
def test_it_is_a_fraction_and_never_rises_after_the_warmup(seed: int, progress: float) -> None:
    import numpy as np

    settings = resolve(RECIPE, SPACE.sample(np.random.default_rng(seed)))
    now, later = lr_factor(settings, progress), lr_factor(settings, min(progress + 0.01, math.nextafter(1, 0)))
    assert 0 <= now <= 1
    if progress >= settings["warmup"]:
        assert later <= now + 1e-12
