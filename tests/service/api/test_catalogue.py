"""The catalogues name what a study may name."""

from __future__ import annotations

import httpx

from search import ALGORITHMS, STOPPING_RULES
from spaces import Space
from workers.catalogue import DATASETS, FAMILIES


def test_families(api: httpx.Client) -> None:
    items = api.get("families").json()["items"]

    assert [item["name"] for item in items] == list(FAMILIES)
    lenet = next(item for item in items if item["name"] == "lenet")
    assert "digits" in lenet["datasets"]
    Space.from_json({"parameters": lenet["parameters"]["image"]})


def test_datasets(api: httpx.Client) -> None:
    items = api.get("datasets").json()["items"]

    assert [item["name"] for item in items] == list(DATASETS)
    assert items[0]["tasks"][0] == "classification"


def test_algorithms(api: httpx.Client) -> None:
    items = api.get("algorithms").json()["items"]

    assert items[1:] == [row.to_json() for row in ALGORITHMS.values()]
    assert items[0]["name"] == "auto"
    assert {line["algorithm"] for line in items[0]["chooses"]} <= set(ALGORITHMS)
    assert next(item for item in items if item["name"] == "priorband")["needs"] == {
        "fidelity": True,
        "prior": True,
        "architecture": False,
    }


def test_stopping_rules(api: httpx.Client) -> None:
    items = api.get("stopping-rules").json()["items"]

    assert items == [row.to_json() for row in STOPPING_RULES.values()]
    curve = next(item for item in items if item["name"] == "curve")
    assert next(option for option in curve["options"] if option["name"] == "probability")["at_most"] == 1
