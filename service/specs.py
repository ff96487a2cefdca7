"""What is stored of a study: complete, so that neither a later version of the code nor another study changes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search import Source, StudySpec
from search.spec import FIELDS
from service.explain import MOST_PROBLEMS
from service.models import Json, Study
from service.provenance import provenance_of_study

DEFAULTS: Json = {"budget": {}, "resources": {"cpus": 1, "gpus": 0}}
"""Of what the search does not know, or stores as it is."""


def read_spec(study: Mapping[str, Any], *, stored: bool = False) -> StudySpec:
    """The part of a study that the search knows; `stored` as for `StudySpec.from_json`. Raises InvalidInput."""
    return StudySpec.from_json({key: study[key] for key in FIELDS if key in study}, stored=stored)


def search_spec(study: Study) -> StudySpec:
    """The part of a stored study that the search knows. Raises InvalidInput."""
    return read_spec({**study.spec, "warm_start": study.sources}, stored=True)


def completed(study: Mapping[str, Any], spec: StudySpec) -> Json:
    """A checked study with what was left out or chosen: algorithm, options, directions; without its sources.

    `derived` holds what answers show of it and what takes long to find out: they are read much more often than written.
    """
    stored: Json = {
        **{key: value for key, value in study.items() if key != "warm_start"},
        "algorithm": spec.algorithm.to_json(),
        "metrics": [metric.to_json() for metric in spec.metrics],
        "parallelism": spec.parallelism,
        "seed": spec.seed,
    }
    if spec.replicates is not None:
        stored["replicates"] = spec.replicates.to_json()
    stored["derived"] = {
        "advice": [
            {"path": advice.location, "pointer": advice.pointer, "message": advice.message}
            for advice in spec.advice[:MOST_PROBLEMS]
        ],
        "warm_start": [_summary(source) for source in spec.warm_start],
        "provenance": provenance_of_study(study["objective"], spec.space),
    }
    return stored


def _summary(source: Source) -> Json:
    return {"study": source.study, "configs": len(source.configs), "left_out": source.left_out}
