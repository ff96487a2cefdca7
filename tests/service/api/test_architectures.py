"""Architectures of trials, and whether the supernet that ranked them can be trusted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from service.architecture_schemas import Architecture
from spaces.architectures.nas_bench_201 import NasBench201

OPS = ("nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3", "skip_connect")
EDGES = ("0-1", "0-2", "1-2", "0-3", "1-3", "2-3")
CELL = {"name": "cell", "type": "cell", "preset": "nas-bench-201"}
SPACE: dict[str, Any] = {"parameters": [CELL]}
TRAIN: dict[str, Any] = {
    "space": SPACE,
    "objective": {"type": "train", "family": "cell", "dataset": "digits", "epochs": 1},
    "metrics": [{"name": "val_accuracy", "direction": "maximize"}],
    "budget": {},
    "checks": False,
}
DARTS = {**TRAIN, "algorithm": {"name": "darts", "epochs": 2, "retrain": 6, "trusted": 0}}


@pytest.fixture
def ranked(create: Callable[..., int], pool: Any, turn: Callable[[], None]) -> Callable[..., None]:
    """A one-shot study whose supernet has ranked six configs, which reach these accuracies."""

    def make(*accuracies: float) -> None:
        create(**DARTS)
        turn()
        ranking = [
            {"config": {f"cell.{edge}": OPS[(place + k) % 4] for k, edge in enumerate(EDGES)}, "score": 1 - place / 10}
            for place in range(6)
        ]
        pool.finish(pool.first, details={"ranking": ranking, "genotypes": []}, val_accuracy=0.5)
        left = list(accuracies)
        turn()
        turn()
        while left:
            for one in list(pool.open.values()):
                pool.finish(one, val_accuracy=left.pop(0))
            turn()
            turn()

    return make


def test_a_trial_has_an_architecture(api: httpx.Client, ranked: Callable[..., None]) -> None:
    ranked(0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
    answer = api.get("studies/s/trials/2/architecture")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    config = api.get("studies/s/trials/2").json()["config"]
    assert NasBench201("cell").config_of(found["genotype"]) == config
    assert (found["trial"], found["name"], found["preset"], found["objection"]) == (2, "cell", "nas-bench-201", None)
    assert found["canonical"] == NasBench201("cell").canonical(config)
    (cell,) = found["drawing"]["cells"]
    assert {(edge["from"], edge["to"], edge["op"]) for edge in cell["edges"]} == {
        (*edge.split("-"), config[f"cell.{edge}"]) for edge in EDGES
    }


def test_the_example_is_true() -> None:
    (example,) = Architecture.model_config["json_schema_extra"]["examples"]
    cell = NasBench201("cell")
    config = cell.config_of(example["genotype"])
    assert (cell.canonical(config), cell.drawing(config)) == (example["canonical"], example["drawing"])


@pytest.mark.parametrize(
    ("accuracies", "verdict"),
    [((0.9, 0.8, 0.7, 0.6, 0.5, 0.4), "trusted"), ((0.4, 0.5, 0.6, 0.7, 0.8, 0.9), "withheld")],
)
def test_a_ranking_is_compared_with_trainings(
    api: httpx.Client, ranked: Callable[..., None], accuracies: tuple[float, ...], verdict: str
) -> None:
    ranked(*accuracies)
    told = api.get("studies/s/trust").json()
    assert (told["verdict"], told["metric"]) == (verdict, "val_accuracy")
    assert told["kendall"]["value"] == pytest.approx(1.0 if verdict == "trusted" else -1.0)
    hit = told["top_hit"]
    assert (hit["value"], hit["top"]) == (1.0 if verdict == "trusted" else 0.0, 1)
    assert hit["low"] <= hit["value"] <= hit["high"]
    assert [(pair["rank"], pair["value"]) for pair in told["pairs"]] == list(enumerate(accuracies, 1))


def test_before_anything_was_trained_it_is_unknown(
    api: httpx.Client, create: Callable[..., int], turn: Callable[[], None]
) -> None:
    create(**DARTS)
    assert api.get("studies/s/trust").status_code == 404
    turn()
    told = api.get("studies/s/trust").json()
    assert (told["verdict"], told["kendall"], told["top_hit"], told["pairs"]) == ("unknown", None, None, [])


def test_what_has_no_architecture_says_so(
    api: httpx.Client, study: dict[str, Any], create: Callable[..., int], turn: Callable[[], None]
) -> None:
    create(**{**DARTS, "name": "shot"})
    turn()
    for path, message in (
        ("s/trials/0/architecture", "has no architecture"),
        ("s/trust", "has ranked nothing"),
        ("shot/trials/0/architecture", "that of the supernet"),
        ("shot/trials/7/architecture", "trial 7"),
        ("absent/trust", "absent"),
    ):
        answer = api.get(f"studies/{path}")
        assert answer.status_code == 404
        assert message in answer.json()["detail"]


def test_an_architecture_that_cannot_be_trained_says_why(
    api: httpx.Client, create: Callable[..., int], turn: Callable[[], None]
) -> None:
    only = {**CELL, "choices": {edge: ["none"] for edge in ("0-1", "0-2", "0-3")}}
    create(**{**TRAIN, "space": {"parameters": [only]}, "algorithm": {"name": "random"}, "budget": {"max_runs": 1}})
    turn()
    found = api.get("studies/s/trials/0/architecture").json()
    assert "nothing leads from the input" in found["objection"]
