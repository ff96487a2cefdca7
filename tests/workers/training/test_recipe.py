"""The table of the recipe: presets, what is off, what does not go together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spaces import Space
from workers.families import mlp
from workers.training.hyperparameters import PRESETS, Choice, Complement, Preset, Real
from workers.training.presets import changed, settled
from workers.training.recipe import EVERYTHING, MODULES, OFF, hyperparameters_of
from workers.training.recipe.combinations import COMBINATIONS, constraints, objection
from workers.training.settings import resolve

RECIPE = [each for module in MODULES.values() for each in module]
KNOWN = {each.name: each for each in RECIPE}


def test_presets_contain_each_other_and_everything_is_all() -> None:
    def names(preset: Preset) -> set[str]:
        return {parameter["name"] for parameter in mlp.FAMILY.parameters("image", preset)}

    assert names("minimal") < names("standard") < names("everything")
    known = mlp.FAMILY.hyperparameters("image")
    assert names("everything") == {each.name for each in known if not isinstance(each, Complement)}
    rare = {each.name: set(each.rare) for each in RECIPE if isinstance(each, Choice)}
    for parameter in mlp.FAMILY.parameters("image", "standard"):
        assert not set(parameter.get("choices", ())) & rare.get(parameter["name"], set())


def test_what_a_condition_rules_out_is_off() -> None:
    given = {"optimizer": "lbfgs", "dropout": 0.3, "input_noise": 0.1}
    settings = resolve(RECIPE, given)
    assert (settings["dropout"], settings["input_noise"]) == (0, 0)
    assert resolve(RECIPE, {**given, "optimizer": "sgd"})["dropout"] == 0.3


def test_what_a_family_does_not_follow_is_off() -> None:
    settings = resolve(MODULES["optimizer"], {})
    assert settings["norm"] == "none"
    assert settings["clip"] == "none"
    assert settings["weight_decay"] == 0
    for name, value in OFF.items():
        assert KNOWN[name].objection(value) is None


@pytest.mark.parametrize(("optimizer", "decay"), [("adamw", "decoupled"), ("adam", "l2"), ("sgd", "l2")])
def test_the_decay_goes_with_the_optimizer(optimizer: str, decay: str) -> None:
    assert resolve(RECIPE, {"optimizer": optimizer})["decay"] == decay
    assert resolve(RECIPE, {"optimizer": optimizer, "decay": "l1"})["decay"] == "l1"


def test_a_family_without_the_parent_has_no_condition_on_it() -> None:
    dropout, *_ = hyperparameters_of(["dropout"], inputs="table", defaults={})
    assert dropout.when is None
    with_parent = {each.name: each for each in hyperparameters_of(EVERYTHING, inputs="table", defaults={})}
    assert with_parent["dropout"].when is not None
    assert "maxout" not in with_parent["activation"].to_json()["choices"]


def test_what_only_some_inputs_have() -> None:
    def choices(inputs: str) -> tuple[Any, ...]:
        return next(each.choices for each in of(inputs) if isinstance(each, Choice) and each.name == "preprocessing")

    def of(inputs: str) -> Any:
        return hyperparameters_of(EVERYTHING, inputs=inputs, defaults={})

    assert choices("image") == ("none", "standard", "minmax", "whiten", "gcn", "lcn")
    assert choices("table") == ("none", "standard", "minmax", "whiten")
    names = {inputs: {each.name for each in of(inputs)} for inputs in ("table", "image", "sequence")}
    assert names["image"] - names["table"] == {each.name for each in MODULES["augmentation"]}
    assert names["sequence"] - names["table"] == {each.name for each in MODULES["sequence_augmentation"]}


@pytest.mark.parametrize("short", [each for each in RECIPE if isinstance(each, Complement)], ids=lambda each: each.name)
def test_a_value_or_what_is_missing_to_one(short: Complement) -> None:
    of = KNOWN[short.of]
    assert isinstance(of, Real)
    assert of.log
    assert short.default == 1 - of.default
    assert short.when == of.when
    assert not any(short.within(preset) for preset in PRESETS)
    assert resolve(RECIPE, {})[short.name] == short.default
    assert resolve(RECIPE, {short.of: 0.25})[short.name] == 0.75
    assert resolve(RECIPE, {short.name: 0.6})[short.name] == 0.6
    for end in of.limits:  # what the one may be, the other may
        assert short.objection(1 - end) is None


def test_combinations_name_what_there_is() -> None:
    for combination in COMBINATIONS:
        for condition in combination.conditions:
            for value in condition.get("in", ()):
                assert KNOWN[condition["parameter"]].objection(value) is None


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"averaging": "snapshot"}, "sgdr"),
        ({"averaging": "snapshot", "schedule": "sgdr"}, None),
        ({"optimizer": "lbfgs", "augmentation": "trivialaugment"}, "augmentation none"),
        ({"optimizer": "lbfgs", "clip": "norm"}, "clip none"),
        ({"optimizer": "lbfgs", "decay": "max_norm"}, "decay"),
        ({"optimizer": "lbfgs", "adversarial": "vat"}, "vat"),
        ({"optimizer": "lbfgs"}, None),
        ({"averaging": "mc_dropout", "dropout": 0}, "the same network"),
        ({"averaging": "mc_dropout", "dropout": 0.1}, None),
        ({"averaging": "mc_dropout", "optimizer": "lbfgs", "decay": "none"}, "dropout"),
        ({"activation": "selu", "norm": "batch"}, None),  # possible, but no preset has it
        ({}, None),
    ],
)
def test_what_cannot_be_trained_is_said(config: dict[str, Any], words: str | None) -> None:
    found = objection(resolve(RECIPE, config))
    assert (found is None) if words is None else (found is not None and words in found)


def test_no_config_of_a_preset_is_one_that_cannot_be_trained() -> None:
    space = Space.from_json(mlp.FAMILY.space("image", "everything"))
    for seed in range(60):
        config = space.sample(np.random.default_rng(seed))
        assert objection(resolve(mlp.FAMILY.hyperparameters("image"), config)) is None
        assert not (config["activation"] == "selu" and config["norm"] != "none")
        assert not (config["optimizer"] == "adamw" and config["decay"] == "l2")


@pytest.mark.parametrize(
    ("parameters", "forbidden"),
    [
        ([{"name": "optimizer", "type": "categorical", "choices": ["sgd", "lbfgs"]}], []),
        (
            [{"name": "averaging", "type": "categorical", "choices": ["none", "snapshot"]}],
            [{"parameter": "averaging", "equals": "snapshot"}],  # the default schedule is no sgdr
        ),
        (
            [
                {"name": "norm", "type": "categorical", "choices": ["batch", "layer"]},
                {"name": "batch_size", "type": "int", "low": 4, "high": 64},
            ],
            [{"all": [{"parameter": "norm", "equals": "batch"}, {"parameter": "batch_size", "lt": 8}]}],
        ),
        (
            [
                {"name": "norm", "type": "categorical", "choices": ["batch", "layer"]},
                {"name": "batch_size", "type": "int", "low": 16, "high": 64},
            ],
            [],
        ),
    ],
)
def test_constraints_are_those_that_a_space_can_break(parameters: list[Any], forbidden: list[Any]) -> None:
    defaults = {each.name: each.default for each in RECIPE}
    found = list(constraints(parameters, defaults))
    assert found == [{"forbid": condition} for condition in forbidden]
    Space.from_json({"parameters": parameters, "constraints": found})


def test_conditions_follow_the_parents_that_are_left() -> None:
    child = {"name": "b", "type": "int", "low": 1, "high": 2, "when": {"parameter": "a", "in": ["x", "y"]}}

    def when(*choices: str) -> Any:
        kept = settled([{"name": "a", "type": "categorical", "choices": [*choices]}, child], {})
        return kept[1].get("when") if len(kept) > 1 else "gone"

    assert when("x", "y", "z") == {"parameter": "a", "in": ["x", "y"]}
    assert when("x", "z") == {"parameter": "a", "equals": "x"}
    assert when("x", "y") is None
    assert when("z") == "gone"
    assert settled([child], {"a": "x"}) == [{name: value for name, value in child.items() if name != "when"}]
    assert settled([child], {"a": "z"}) == []
    assert settled([child], {"a": "z"}, own=["b"]) == [child]


def test_new_bounds_move_the_default() -> None:
    width = {"name": "w", "type": "int", "low": 1, "high": 9, "default": 5}
    assert changed(width, {"name": "w", "high": 3})["default"] == 3
    assert changed(width, {"name": "w", "high": 8})["default"] == 5
    assert changed(width, {"name": "w", "high": 3, "default": 2})["default"] == 2
    choice = {"name": "c", "type": "categorical", "choices": ["x", "y"], "default": "y"}
    assert "default" not in changed(choice, {"name": "c", "choices": ["x"]})
