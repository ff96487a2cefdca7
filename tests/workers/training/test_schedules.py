from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces import Space
from workers.training.recipe import MODULES
from workers.training.schedules import batch_size, cycles_done, link, lr_factor
from workers.training.settings import resolve

RECIPE = [each for module in MODULES.values() for each in module]


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
        ({"schedule": "inverse", "lr_decay_speed": 6, "lr_decay_power": 0.5}, 0.5, 0.5),
        ({"schedule": "linear", "final_lr": 0.2, "lr_until": 0.5}, 0.25, 0.6),
        ({"schedule": "linear", "final_lr": 0.2, "lr_until": 0.5}, 0.5, 0.2),
        ({"schedule": "linear", "final_lr": 0.2, "lr_until": 0.5}, 0.9, 0.2),
        ({"schedule": "step", "lr_drops": 2, "lr_drop": 0.1}, 0.3, 1),
        ({"schedule": "step", "lr_drops": 2, "lr_drop": 0.1}, 0.34, 0.1),
        ({"schedule": "step", "lr_drops": 2, "lr_drop": 0.1}, 0.99, 0.01),
        ({"schedule": "constant", "warmup": 0.2}, 0.05, 0.25),
        ({"schedule": "constant", "warmup": 0.2}, 0.2, 1),
        ({"schedule": "linear", "final_lr": 0.2, "warmup": 0.2}, 0.6, 0.6),
        ({"schedule": "constant", "warmup": 1}, 0.5, 0.5),
        ({"schedule": "plateau"}, 0.9, 1),
        # cycles of 1/7, 2/7 and 4/7 of the training
        ({"schedule": "sgdr", "cycles": 3, "cycle_growth": 2, "final_lr": 0.2}, 0.5 / 7, 0.6),
        ({"schedule": "sgdr", "cycles": 3, "cycle_growth": 2, "final_lr": 0.2}, 1 / 7, 1),
        ({"schedule": "sgdr", "cycles": 3, "cycle_growth": 2, "final_lr": 0.2}, 2 / 7, 0.6),
        ({"schedule": "sgdr", "cycles": 3, "cycle_growth": 2, "final_lr": 0.2}, 5 / 7, 0.6),
        ({"schedule": "sgdr", "cycles": 1, "final_lr": 0.2}, 0.5, 0.6),
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
    if progress >= settings["warmup"] and settings["schedule"] != "sgdr":
        assert later <= now + 1e-12


def test_cycles_end_one_after_the_other() -> None:
    settings = resolve(RECIPE, {"schedule": "sgdr", "cycles": 2, "cycle_growth": 3, "warmup": 0.2})
    ends = [cycles_done(settings, progress) for progress in (0, 0.1, 0.39, 0.4, 0.99, 1)]
    assert ends == [0, 0, 0, 1, 1, 2]


def test_batches_grow_after_each_third() -> None:
    settings = resolve(RECIPE, {"batch_size": 16, "batch_growth": 4})
    assert [batch_size(settings, progress) for progress in (0, 0.3, 0.34, 0.67, 1)] == [16, 16, 64, 256, 256]
    assert batch_size(resolve(RECIPE, {"batch_size": 16}), 0.9) == 16


@pytest.mark.parametrize(("kind", "factor"), [("none", 1), ("sqrt", 2), ("linear", 4)])
def test_the_learning_rate_may_follow_the_batch(kind: str, factor: float) -> None:
    assert link(resolve(RECIPE, {"lr_link": kind, "batch_size": 256})) == factor
