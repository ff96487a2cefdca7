from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from workers.catalogue import FAMILIES
from workers.training.settings import Settings, resolve


@pytest.fixture
def settings() -> Callable[..., Settings]:
    """The settings of a family with some values changed."""

    def make(family: str, **config: Any) -> Settings:
        return resolve(FAMILIES[family].hyperparameters("image"), config)

    return make
