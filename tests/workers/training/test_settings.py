from __future__ import annotations

import pytest

from workers.training.recipe import DEFAULT_LR, RECIPE
from workers.training.settings import resolve


def test_every_hyperparameter_has_a_value() -> None:
    settings = resolve(RECIPE, {"batch_size": 32.0, "dropout": 0})
    assert settings.keys() == {each.name for each in RECIPE}
    assert settings["batch_size"] == 32
    assert isinstance(settings["batch_size"], int)
    assert isinstance(settings["dropout"], float)
    assert settings["optimizer"] == "adamw"


@pytest.mark.parametrize("optimizer", DEFAULT_LR)
def test_the_default_learning_rate_goes_with_the_optimizer(optimizer: str) -> None:
    assert resolve(RECIPE, {"optimizer": optimizer})["lr"] == DEFAULT_LR[optimizer]
    assert resolve(RECIPE, {"optimizer": optimizer, "lr": 0.5})["lr"] == 0.5
