"""The data of the two charts, column by column and bounded: as quick to draw for ten thousand runs as for a hundred."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service import schemas
from service.models import utcnow
from service.repositories.dashboard import DashboardReads
from service.repositories.jobs import Jobs
from service.repositories.standings import Standings

MAX_POINTS = 1500
MAX_CURVES = 40
MAX_RUNNING = 10
POINTS_PER_CURVE = 120

Payload = Mapping[str, Any]


def outcomes(reads: DashboardReads, study: schemas.Study) -> Payload:
    """The runs that succeeded, in the order in which they did, and those of them that became the incumbent.

    `order` counts the runs that had ended, whatever their end; `seconds` since the study was started.
    """
    metric, maximize = _metric(study)
    leaders = Standings(reads.session).numbers(reads.study_id)
    points = reads.points(MAX_POINTS, leaders)
    started = study.started_at or study.created_at
    columns = {
        "order": [point.order for point in points],
        "seconds": [(point.finished_at - started).total_seconds() for point in points],
        "value": [point.value for point in points],
        "fidelity": [point.fidelity for point in points],
        "trial": [point.trial for point in points],
        "run": [point.run for point in points],
        "mark": [point.mark for point in points],
    }
    baseline = Jobs(reads.session).baseline(reads.study_id)
    end = study.finished_at or utcnow()
    counts = study.counts
    return {
        "metric": metric,
        "maximize": maximize,
        "fidelity": _fidelity_name(study),
        "finished": counts.succeeded + counts.failed + counts.stopped + counts.cancelled,
        "seconds": (end - started).total_seconds(),
        "points": columns,
        "baseline": (baseline or {}).get(metric),
        "incumbents": list(leaders),
    }


def curves(reads: DashboardReads, study: schemas.Study) -> Payload:
    """The learning curves of the best trials and of those being trained now; the best one comes last."""
    metric, maximize = _metric(study)
    best = study.best.trial if study.best else None
    running = reads.running_trials(MAX_RUNNING)
    chosen = dict.fromkeys([*reads.leading_trials(MAX_CURVES - MAX_RUNNING, maximize=maximize), *running])
    found = sorted(reads.curves(chosen.keys(), metric, POINTS_PER_CURVE), key=lambda curve: curve.trial == best)
    return {
        "metric": metric,
        "maximize": maximize,
        "step": _fidelity_name(study) or "step",
        "best": best if any(curve.trial == best for curve in found) else None,
        "running": running,
        "trials": study.counts.trials,
        "limit": MAX_CURVES,
        "marks": reads.marks([curve.trial for curve in found]),
        "curves": [{"trial": curve.trial, "steps": curve.steps, "values": curve.values} for curve in found],
    }


def _metric(study: schemas.Study) -> tuple[str, bool]:
    first = study.metrics[0]
    return first["name"], first["direction"] == "maximize"


def _fidelity_name(study: schemas.Study) -> str | None:
    fidelity = study.space.get("fidelity")
    return fidelity["name"] if fidelity else None
