"""The metrics that a study names, against those that its objective reports; all else about them the search checks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from spaces.checks import unknown
from spaces.errors import Problem


def metric_problems(study: Mapping[str, Any], reported: Collection[str], by: str) -> Iterator[Problem]:
    """A problem for each objective or constraint of the study whose metric is not reported `by` what it runs."""
    metrics = study.get("metrics")
    for index, metric in enumerate(metrics if isinstance(metrics, list | tuple) else ()):
        name = metric.get("name") if isinstance(metric, Mapping) else None
        if isinstance(name, str) and name not in reported:
            yield Problem(("metrics", index, "name"), unknown(f"metric of {by}", name, reported))
