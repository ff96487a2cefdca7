from __future__ import annotations

from dataclasses import replace

import pytest

from workers.training.recipe import DEFAULT_LR, MODULES
from workers.training.settings import resolve

RECIPE = [each for module in MODULES.values() for each in module]


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


def test_a_familys_own_learning_rate_goes_with_its_own_optimizer() -> None:
    own = [replace(each, default=0.02) if each.name == "lr" else each for each in RECIPE]
    assert resolve(own, {})["lr"] == 0.02
    assert resolve(own, {"optimizer": "adamw"})["lr"] == 0.02
    assert resolve(own, {"optimizer": "sgd"})["lr"] == DEFAULT_LR["sgd"]
