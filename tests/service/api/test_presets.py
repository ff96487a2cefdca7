"""A space may be a family's preset with changes; the stored study has every parameter."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from spaces import Space
from workers.catalogue import FAMILIES

LENET = {"type": "train", "family": "lenet", "dataset": "digits"}
EPOCHS = {"name": "epochs", "low": 1, "high": 9}


def study(space: dict[str, Any], **changes: Any) -> dict[str, Any]:
    metrics = [{"name": "val_accuracy", "direction": "maximize"}]
    return {"name": "p", "space": space, "objective": LENET, "metrics": metrics, **changes}


def parameters(api: httpx.Client, space: dict[str, Any]) -> dict[str, dict[str, Any]]:
    answer = api.post("studies", json=study(space))
    assert answer.status_code == 201, answer.text
    stored = api.get("studies/p").json()["space"]
    Space.from_json(stored)
    return {each["name"]: each for each in stored["parameters"]}


@pytest.mark.parametrize("preset", ["minimal", "standard", "everything"])
def test_the_stored_study_has_the_full_space(preset: Any, api: httpx.Client) -> None:
    stored = parameters(api, {"preset": preset, "fidelity": EPOCHS})

    assert list(stored.values()) == FAMILIES["lenet"].parameters("image", preset)
    space = api.get("studies/p").json()["space"]
    assert space.get("constraints", []) == FAMILIES["lenet"].space("image", preset)["constraints"]
    assert space["fidelity"]["high"] == 9
    assert "preset" not in space


def test_single_parameters_are_changed_replaced_added_and_removed(api: httpx.Client) -> None:
    changes = [
        {"name": "lr", "low": 1e-3, "high": 0.1},
        {"name": "optimizer", "type": "categorical", "choices": ["adam", "adamw"]},
        {"name": "early_stopping", "type": "bool"},
        {"name": "width", "high": 24},
        {"name": "batch_size", "remove": True},
    ]
    stored = parameters(api, {"preset": "standard", "parameters": changes})

    assert (stored["lr"]["low"], stored["lr"]["high"], stored["lr"]["log"]) == (1e-3, 0.1, True)
    assert stored["optimizer"]["choices"] == ["adam", "adamw"]
    assert "one_minus_momentum" not in stored, "neither optimizer has one"
    assert "when" not in stored["one_minus_beta1"], "both have it"
    assert stored["early_stopping"]["type"] == "bool"
    assert stored["width"]["default"] == 24, "the nearest value to the preset's default"
    assert "batch_size" not in stored


def test_what_is_short_for_another_stands_in_its_place(api: httpx.Client) -> None:
    stored = parameters(api, {"preset": "standard", "parameters": [{"name": "beta1", "low": 0.8}]})
    assert (stored["beta1"]["low"], stored["beta1"]["high"]) == (0.8, 0.98)
    assert "one_minus_beta1" not in stored
    assert stored["one_minus_beta2"]["log"] is True


def test_what_cannot_go_together_is_a_constraint(api: httpx.Client) -> None:
    change = {"name": "averaging", "type": "categorical", "choices": ["none", "snapshot"]}
    schedule = {"name": "schedule", "type": "categorical", "choices": ["cosine", "sgdr"]}
    own = {"forbid": {"all": [{"parameter": "lr", "gt": 0.1}, {"parameter": "dropout", "gt": 0.3}]}}
    parameters(api, {"preset": "minimal", "parameters": [change, schedule], "constraints": [own]})

    first, second = api.get("studies/p").json()["space"]["constraints"]
    assert first == own
    both = [{"parameter": "averaging", "equals": "snapshot"}, {"parameter": "schedule", "equals": "cosine"}]
    assert second == {"forbid": {"all": both}}


@pytest.mark.parametrize(
    ("space", "path", "words"),
    [
        ({"preset": "standart"}, "space.preset", ["standard", "everything"]),
        ({"preset": "minimal", "parametres": []}, "space.parametres", ["parameters"]),
        ({"preset": "minimal", "parameters": 3}, "space.parameters", ["list"]),
        ({"preset": "minimal", "parameters": None}, "space.parameters", ["list"]),
        ({"preset": "minimal", "parameters": [3]}, "space.parameters[0]", ["name"]),
        ({"preset": "minimal", "parameters": [{"name": "lrr", "low": 1}]}, "space.parameters[0].name", ["lr"]),
        (
            {"preset": "minimal", "parameters": [{"name": "lr", "low": 0.1}, {"name": "lr", "high": 0.1}]},
            "space.parameters[1].name",
            ["twice"],
        ),
        (
            {"preset": "minimal", "parameters": [{"name": "momentum", "remove": True}]},
            "space.parameters[0].name",
            ["the preset"],
        ),
        (
            {"preset": "standard", "parameters": [{"name": "one_minus_rho", "high": 0.2}, {"name": "rho", "low": 0.8}]},
            "space.parameters[1].name",
            ["1 - one_minus_rho", "leave one"],
        ),
        (
            {"preset": "minimal", "parameters": [{"name": "width", "high": 10**6}]},
            "space.parameters[0].high",
            ["2048"],
        ),
        (
            {"preset": "standard", "parameters": [{"name": "lr", "high": 1}, {"name": "width", "low": "x"}]},
            "space.parameters[1].low",
            [],
        ),
        ({"preset": "minimal", "fidelity": {"name": "epoch", "low": 1, "high": 2}}, "space.fidelity.name", ["epochs"]),
        ({"preset": "minimal", "constraints": [{"forbid": {"parameter": "x", "gt": 1}}]}, "space.constraints[0]", []),
    ],
)
def test_what_is_wrong_stands_where_it_was_written(
    space: dict[str, Any], path: str, words: list[str], api: httpx.Client
) -> None:
    answer = api.post("studies", json=study(space))

    assert answer.status_code == 422
    found = {error["path"]: error["message"] for error in answer.json()["errors"]}
    assert any(where.startswith(path) for where in found), found
    assert all(where.startswith(path) for where in found), found
    assert all(word in str(found) for word in words)
    assert api.get("studies/p").status_code == 404


def test_a_preset_needs_a_family(api: httpx.Client) -> None:
    def found(**objective: Any) -> dict[str, str]:
        answer = api.post("studies", json=study({"preset": "minimal"}, objective=objective))
        assert answer.status_code == 422
        return {error["path"]: error["message"] for error in answer.json()["errors"]}

    assert "train" in found(type="external")["space.preset"]
    assert "lenet" in found(type="train", family="lennet", dataset="digits")["objective.family"]
