"""Which run gives way to a study of higher priority that has none under way, and no room to begin.

The fair shares see to it that whatever ends next is followed by such a study; but a run may take days. Only runs of
studies that allow it (`resources.preemptible`) give way, the youngest of the lowest priority first, and only one that
leaves room enough by itself. One run at a time gives way.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from service.engagement import Engagement
from workers.protocol import Resources


def gives_way(starved: Engagement, others: Sequence[Engagement], asked: Collection[str]) -> str | None:
    """The pool's key of an attempt that is to be preempted for the study; None when there is none, or when one of those
    that were `asked` before is about to make room."""
    candidates = [
        one
        for one in others
        if one.preemptible and one.weight < starved.weight and _holds(one.resources, starved.resources) and one.keys
    ]
    if any(key in asked for one in candidates for key in one.keys):
        return None
    if not candidates:
        return None
    lowest = min(candidates, key=lambda one: (one.weight, -one.under_way, one.study_id))
    return list(lowest.keys)[-1]  # in the order in which they began


def _holds(given: Resources, wanted: Resources) -> bool:
    return given.cpus >= wanted.cpus and given.gpus >= wanted.gpus
