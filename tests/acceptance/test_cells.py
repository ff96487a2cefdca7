"""Cells of every preset that a network is built for, through the service: searched, drawn, and taken elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from spaces.architectures import of_entry
from workers.families.cell.architecture import PRESETS

pytestmark = pytest.mark.slow

CELLS: Mapping[str, Mapping[str, Any]] = {
    "nas-bench-201": {"nodes": 3, "ops": ["skip_connect", "nor_conv_1x1", "avg_pool_3x3"]},
    "darts": {"nodes": 2, "ops": ["skip_connect", "sep_conv_3x3", "max_pool_3x3"]},
    "nasnet": {"nodes": 2, "ops": ["skip_connect", "conv_1x1", "conv_1x3_3x1", "sep_conv_3x3", "max_pool_3x3"]},
    "hierarchical": {
        "nodes": 3,
        "motifs": 2,
        "ops": ["skip_connect", "conv_1x1", "max_pool_3x3"],
        "choices": {"2.1.0-2": ["conv_1x1"], "3.0-3": ["motif-1"]},  # so that something leads through
    },
}
SIZES = [
    {"name": "channels", "type": "constant", "value": 4},
    {"name": "layers", "type": "constant", "value": 3},
]
EPOCHS = {"name": "epochs", "low": 1, "high": 3}
ALGORITHMS: Mapping[str, Mapping[str, Any]] = {
    "random": {},
    "evolution": {"population": 4, "tournament": 2},
    "neuroevolution": {"population": 4, "tournament": 2, "inherit": True},
    "tpe": {"startup": 3},
    "bohb": {"eta": 3},
}


def study(preset: str, algorithm: str, runs: int = 6, **options: Any) -> dict[str, Any]:
    cell = {"name": "cell", "type": "cell", "preset": preset, **CELLS.get(preset, {})}
    fidelity, length = ({"fidelity": EPOCHS}, {}) if algorithm == "bohb" else ({}, {"epochs": 1})
    return {
        "name": f"{preset}-{algorithm}",
        "space": {"parameters": [cell, *SIZES], **fidelity},
        "objective": {"type": "train", "family": "cell", "dataset": "digits", **length},
        "checks": False,
        "metrics": [{"name": "val_accuracy", "direction": "maximize"}],
        "algorithm": {"name": algorithm, **options},
        "budget": {"max_runs": runs},
        "parallelism": 2,
        "seed": 2,
    }


# the algorithms meet nothing but parameters: one preset for all of them, and one algorithm for all presets
STUDIES = {
    given["name"]: given
    for given in (
        *(study(preset, "random", runs=2) for preset in PRESETS),
        *(study("nasnet", name, **options) for name, options in ALGORITHMS.items()),
    )
}


@pytest.fixture(scope="module")
def service(ray_service: Any) -> Any:
    for given in STUDIES.values():
        ray_service.create(given)
    return ray_service


@pytest.mark.parametrize("name", STUDIES)
def test_architectures_are_searched(service: Any, name: str) -> None:
    finished = service.wait_until_finished(name, 400)
    assert finished["state"] == "completed", finished["reason"]
    assert finished["counts"]["succeeded"] == finished["spent"]["runs"] == STUDIES[name]["budget"]["max_runs"]
    cell = of_entry(STUDIES[name]["space"]["parameters"][0])
    best = service.http.get(f"/studies/{name}/trials/{finished['best']['trial']}/architecture").json()
    config = service.http.get(f"/studies/{name}/trials/{finished['best']['trial']}").json()["config"]
    assert best["genotype"] == cell.genotype(config)
    page = service.http.get(f"{service.url}/studies/{name}/trials/{finished['best']['trial']}").text
    assert page.count('<figure class="cell">') == len(cell.graphs(config)), "each is drawn"


def test_children_begin_with_the_weights_of_their_parents(service: Any) -> None:
    service.wait_until_finished("nasnet-neuroevolution", 400)
    children = [run for run in service.items("/studies/nasnet-neuroevolution/runs") if "inherits" in run["origin"]]
    assert children
    assert all(run["state"] == "succeeded" for run in children)


def test_the_best_cell_of_nasnet_is_trained_elsewhere(service: Any) -> None:
    best = service.wait_until_finished("nasnet-random", 400)["best"]
    given = study("nasnet", "random")
    given |= {"name": "recipe", "budget": {"max_runs": 2}, "objective": {**given["objective"], "split_seed": 1}}
    lr = {"name": "lr", "type": "float", "low": 0.01, "high": 0.2, "log": True}
    given["space"] = {"parameters": [*SIZES, lr], "architecture_from": {"study": "nasnet-random"}}
    service.create(given)
    finished = service.wait_until_finished("recipe", 200)
    assert finished["counts"]["succeeded"] == 2
    there, here = (
        service.http.get(f"/studies/{name}/trials/{trial}/architecture").json()["genotype"]
        for name, trial in (("nasnet-random", best["trial"]), ("recipe", 0))
    )
    assert there == here


def test_a_supernet_of_nasnet_is_refused_when_the_study_is_created(service: Any) -> None:
    answer = service.http.post("/studies", json={**study("nasnet", "darts"), "name": "shot"})
    assert answer.status_code == 422
    (problem,) = answer.json()["errors"]
    assert problem["path"] == "space.parameters"
    assert "not of preset nasnet" in problem["message"]
