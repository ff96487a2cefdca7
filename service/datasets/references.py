"""How studies name an uploaded dataset, and how workers find it.

    objective: {type: command, command: [...], dataset: iris}       as it is submitted
    dataset: {name: iris, sha256: ..., format: csv, target: species, key: datasets/1/....csv}      as it is stored
    dataset: {..., url: /data/artifacts/datasets/1/....csv}         as a worker gets it (`workers.storage.dataset_path`)

What is stored says which contents were meant. While the study is unfinished, they are neither deleted nor replaced.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from service.database import Session
from service.models import Json
from service.repositories.datasets import Datasets
from service.repositories.errors import NotFound
from service.store import Store
from spaces.errors import InvalidInput
from spaces.values import kind
from workers.catalogue import DATASETS as BUILTIN

PATH = ("objective", "dataset")


def resolved_dataset(session: Session, project_id: int, given: object, *, hold: bool = False) -> Json:
    """What is stored for a dataset that a study names: by its name, or as a study answers it (the `sha256` must then
    still be right). Raises InvalidInput.

    `hold` keeps others from deleting it until the transaction ends: give it where the study is stored.
    """
    reference = given if isinstance(given, Mapping) else {"name": given}
    name, sha256 = reference.get("name"), reference.get("sha256")
    if not isinstance(name, str):
        raise InvalidInput.at(PATH, f"must be the name of an uploaded dataset, got {kind(name)}")
    try:
        dataset = Datasets(session, project_id).get(name, lock=hold)  # one that is older than a built-in of that name
    except NotFound as error:
        if name in BUILTIN:
            message = f"{name!r} comes with the service and has no file; upload one of your own"
            raise InvalidInput.at(PATH, message) from error
        near = difflib.get_close_matches(name, BUILTIN, 3)
        hint = f"; did you mean {' or '.join(near)}, which comes with the service?" if near else ""
        raise InvalidInput.at(PATH, f"{error}; upload it first (POST /datasets){hint}") from error
    if sha256 is not None and sha256 != dataset.sha256:
        raise InvalidInput.at((*PATH, "sha256"), f"dataset {name!r} now has other contents: {dataset.sha256}")
    return {
        "name": dataset.name,
        "sha256": dataset.sha256,
        "format": dataset.format,
        "target": dataset.target,
        "key": dataset.path,
        "rows": dataset.rows,
        "columns": dataset.columns,
    }


def objective_for_worker(objective: Mapping[str, Any], store: Store) -> Json:
    """The objective with the place of its dataset, if it names an uploaded one."""
    dataset = objective.get("dataset")
    if not isinstance(dataset, Mapping):
        return dict(objective)
    return {**objective, "dataset": {**dataset, "url": store.location(dataset["key"])}}
