"""The data of the chart of a study with several objectives: its results against each other, and their front."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search import hypervolume, metrics_of, pareto_front
from search.results import leaderboard
from service.histories import Seen
from service.repositories.dashboard import mark_of

MAX_POINTS = 1500


def front(seen: Seen) -> Mapping[str, Any]:
    """About `MAX_POINTS` of the results at the highest fidelity that has any, and all that no other one dominates.

    Columns, best first by the first objective. Metrics are means where a trial has replicates.
    """
    spec, history = seen.tracked.spec, seen.tracked.history
    candidates = leaderboard(spec, history).candidates
    best = set(pareto_front(spec, history))
    stride = max(1, -(-len(candidates) // MAX_POINTS))
    shown = [one for place, one in enumerate(candidates) if place % stride == 0 or one.run in best]
    metrics = [metrics_of(spec, one.outcome) for one in shown]
    return {
        "objectives": [{"name": each.name, "maximize": each.direction == "maximize"} for each in spec.objectives],
        "values": {each.name: [values[each.name] for values in metrics] for each in spec.objectives},
        "trial": [one.trial for one in shown],
        "run": [one.run for one in shown],
        "mark": [mark_of(history.runs[one.run].origin, invalidated=False) for one in shown],
        "front": [one.run in best for one in shown],
        "feasible": [not one.outcome.violation for one in shown],
        "results": len(candidates),
        "hypervolume": hypervolume(spec, history),
    }
