"""The catalogues name what a study may name."""

from __future__ import annotations

import httpx

from search import ALGORITHMS
from spaces import Space
from workers.catalogue import DATASETS, FAMILIES


def test_families(api: httpx.Client) -> None:
    items = api.get("families").json()["items"]

    assert [item["name"] for item in items] == list(FAMILIES)
    lenet = next(item for item in items if item["name"] == "lenet")
    assert lenet["datasets"] == ["digits"]
    Space.from_json({"parameters": lenet["parameters"]["image"]})


def test_datasets(api: httpx.Client) -> None:
    items = api.get("datasets").json()["items"]

    assert [item["name"] for item in items] == list(DATASETS)
    assert items[0]["metrics"][0] == "val_accuracy"


def test_algorithms(api: httpx.Client) -> None:
    items = api.get("algorithms").json()["items"]

    assert items == [row.to_json() for row in ALGORITHMS.values()]
