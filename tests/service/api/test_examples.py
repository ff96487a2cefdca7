"""The studies under examples/ are ones that the service takes."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
import yaml

from workers.catalogue import FAMILIES

STUDIES = Path(__file__).parents[3] / "examples" / "studies"
OF_FAMILIES = sorted((STUDIES / "families").glob("*.yaml"))
OF_ARCHITECTURES = sorted((STUDIES / "nas").glob("*.yaml"))


def families(paths: list[Path]) -> set[str]:
    return {yaml.safe_load(path.read_text())["objective"]["family"] for path in paths}


def test_every_family_has_one() -> None:
    assert families(OF_FAMILIES) | families(OF_ARCHITECTURES) == set(FAMILIES)
    assert {path.stem for path in OF_FAMILIES} == families(OF_FAMILIES)


@pytest.mark.parametrize("path", OF_FAMILIES, ids=lambda path: path.stem)
def test_it_is_taken(path: Path, api: httpx.Client) -> None:
    study = yaml.safe_load(path.read_text())
    assert study["algorithm"]["name"] in ("bohb", "priorband")
    answer = api.post("studies", json=study)
    assert answer.status_code == 201, answer.text
    assert len(answer.json()["space"]["parameters"]) >= 2


@pytest.mark.parametrize("path", OF_ARCHITECTURES, ids=lambda path: path.stem)
def test_an_architecture_search_is_taken(path: Path, api: httpx.Client) -> None:
    study = yaml.safe_load(path.read_text())
    assert study["name"] == f"nas-{path.stem}"
    assert study["algorithm"]["name"] == path.stem
    answer = api.post("studies", json=study)
    assert answer.status_code == 201, answer.text
    assert any(parameter["name"].startswith("cell.") for parameter in answer.json()["space"]["parameters"])


@pytest.mark.parametrize("number", range(3))
def test_a_study_of_the_page_on_architecture_search_is_taken(number: int, api: httpx.Client) -> None:
    """What the page leaves out is as in the examples."""
    example = yaml.safe_load((STUDIES / "nas" / "evolution.yaml").read_text())
    text = re.findall(r"```yaml\n(.*?)```", (STUDIES.parents[1] / "docs" / "nas.md").read_text(), re.DOTALL)[number]
    study = {**example, **yaml.safe_load(text)}
    if "architecture_from" in study["space"]:
        study["space"]["architecture_from"] = {"study": example["name"], "trial": 0}
        assert api.post("studies", json=example).status_code == 201
        cell = {f"cell.{edge}": "nor_conv_3x3" for edge in ("0-1", "0-2", "1-2", "0-3", "1-3", "2-3")}
        config = {"cell": "nas-bench-201", **cell, "channels": 8, "layers": 1}
        added = api.post(f"studies/{example['name']}/trials", json={"config": config, "metrics": {"val_accuracy": 0.9}})
        assert added.status_code == 201, added.text
        study["name"] = "recipe"
    answer = api.post("studies", json={**study, "budget": {"max_runs": 2}})
    assert answer.status_code == 201, answer.text
