"""What the service knows of where a result comes from, beside what the worker tells of itself (`workers.provenance`).

    {"dataset": {"name": "digits", "sha256": "8b3b..."}, "space": {"revision": 0, "sha256": "51f0..."}, "seed": 16086}

What is the same for all runs of a study is found out when it is stored, and not again with every run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from search import History
from search.revision import CARRIED
from service.models import Json
from spaces import Space
from workers.catalogue import DATASETS


def provenance_of_study(objective: Mapping[str, Any], space: Space) -> Json:
    """What all its runs have in common: the `dataset` (null without one) and the SHA-256 of the `space`."""
    return {"dataset": _dataset(objective.get("dataset")), "space": digest_of_space(space)}


def digest_of_space(space: Space) -> str:
    """The SHA-256 of its canonical JSON (`Space.to_json`, keys sorted, no blanks): equal for equal spaces."""
    text = json.dumps(space.to_json(), sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


def provenance_of_run(spec: Json, space: Space, history: History, seed: int) -> Json:
    """`spec` is the study's as it is stored. The space has the revision 1 where the study began with trials that were
    carried over from an earlier space (`search.revision`), and else 0."""
    derived: Mapping[str, Any] = spec.get("derived", {})
    common = derived.get("provenance") or provenance_of_study(spec["objective"], space)
    revision = int(bool(history.runs) and history.runs[0].origin.get("rule") == CARRIED)
    return {
        "dataset": common["dataset"],
        "space": {"revision": revision, "sha256": common["space"]},
        "seed": seed,
    }


def _dataset(named: object) -> Json | None:
    if isinstance(named, Mapping):  # uploaded, see `service.datasets.references`
        return {"name": named.get("name"), "sha256": named.get("sha256")}
    if isinstance(named, str) and named in DATASETS:
        return {"name": named, "sha256": DATASETS[named].sha256}
    return None
