"""The studies under examples/ are ones that the service takes."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import yaml

from workers.catalogue import FAMILIES

STUDIES = Path(__file__).parents[3] / "examples" / "studies"
OF_FAMILIES = sorted((STUDIES / "families").glob("*.yaml"))


def test_every_family_has_one() -> None:
    named = {yaml.safe_load(path.read_text())["objective"]["family"] for path in OF_FAMILIES}
    assert named == set(FAMILIES)
    assert {path.stem for path in OF_FAMILIES} == named


@pytest.mark.parametrize("path", OF_FAMILIES, ids=lambda path: path.stem)
def test_it_is_taken(path: Path, api: httpx.Client) -> None:
    study = yaml.safe_load(path.read_text())
    assert study["algorithm"]["name"] in ("bohb", "priorband")
    answer = api.post("studies", json=study)
    assert answer.status_code == 201, answer.text
    assert len(answer.json()["space"]["parameters"]) >= 2
