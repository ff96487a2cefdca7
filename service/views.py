"""From rows to the JSON of the API. What is derived (the best run, a trial's state) is derived here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from search import hypervolume, pareto_front, reference_point
from search.history import RunState
from service import models, schemas
from service.histories import Seen
from service.models import utcnow
from service.repositories.runs import RunRow, Runs
from service.repositories.standings import Leader, Standings
from service.states import StudyState
from service.study_parts import Limits, Number, Resources, Retry, plain_number
from service.tracking import kind_of


def study(runs: Runs, row: models.Study) -> schemas.Study:
    """A study with its counts and its best run."""
    return studies(runs, [row])[0]


def studies(runs: Runs, rows: Sequence[models.Study]) -> list[schemas.Study]:
    leaders, tests = Standings(runs.session).leader_of_each(rows), runs.evaluations([row.id for row in rows])
    return [_study(row, leaders.get(row.id), tests.get(row.id)) for row in rows]


def _study(row: models.Study, leader: Leader | None, test: models.Evaluation | None) -> schemas.Study:
    derived = row.spec.get("derived", {})  # studies of the first version have none
    return schemas.Study(
        id=str(row.id),
        name=row.name,
        state=StudyState(row.state),
        reason=row.reason,
        space=row.spec["space"],
        objective=row.spec["objective"],
        metrics=row.spec["metrics"],
        algorithm=row.spec["algorithm"],
        budget=row.spec["budget"],
        replicates=row.spec.get("replicates"),
        warm_start=derived.get("warm_start", []),
        parallelism=row.spec["parallelism"],
        resources=Resources(**row.spec["resources"]),
        limits=Limits(**row.spec.get("limits") or {}),
        retry=Retry(**row.spec.get("retry") or {}),
        priority=row.priority,
        seed=row.spec["seed"],
        advice=derived.get("advice", []),
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        counts=schemas.Counts(trials=row.trials, **row.counts),
        spent=schemas.Spent(
            runs=sum(row.counts.values()),
            trials=row.trials,
            fidelity=plain_number(row.fidelity),
            seconds=row.elapsed(utcnow()),
        ),
        waiting=row.waiting,
        best=_leader(leader) if leader else None,
        test=_test(test),
        last_event=row.last_event,
    )


def best(runs: Runs, row: models.Study) -> schemas.Best | None:
    """The best run of a study with the evaluation on the test split; None while no run has succeeded."""
    leader = Standings(runs.session).leader(row)
    return (
        schemas.Best(**_leader(leader).model_dump(), study=row.name, test=_test(runs.evaluation(row.id)))
        if leader
        else None
    )


def incumbents(runs: Runs, row: models.Study) -> list[schemas.Incumbent]:
    """The runs that took the lead, oldest first."""
    started = row.started_at or row.created_at
    return [
        schemas.Incumbent(
            **_result(leader), finished_at=taken.created_at, seconds=(taken.created_at - started).total_seconds()
        )
        for taken, leader in Standings(runs.session).trace(row.id)
    ]


def front(seen: Seen, limit: int) -> schemas.Front:
    """The results that no other one dominates, at the highest fidelity that has any; at most `limit` of them."""
    spec, history = seen.tracked.spec, seen.tracked.history
    beyond, numbers = reference_point(spec, history), pareto_front(spec, history)
    return schemas.Front(
        objectives=[metric.name for metric in spec.objectives],
        size=len(numbers),
        items=[_leader(one) for one in Standings(seen.session).leaders(seen.study, spec, history, numbers[:limit])],
        reference=beyond
        and {metric.name: metric.sign * loss for metric, loss in zip(spec.objectives, beyond, strict=True)},
        hypervolume=hypervolume(spec, history),
    )


def trial(row: models.Trial, runs: Sequence[models.Run]) -> schemas.Trial:
    """A trial, from its runs by number."""
    first, latest = runs[0], runs[-1]
    success = next((run for run in reversed(runs) if run.state == RunState.SUCCEEDED), None)
    return schemas.Trial(
        number=row.number,
        state=RunState(latest.state),
        config=row.config,
        fidelity=_number(success.fidelity) if success else None,
        metrics=success.metrics if success else None,
        runs=[run.number for run in runs],
        failure=schemas.Failure.model_validate(_failure(latest)) if latest.failure_class else None,
        stopped_by=latest.stopped_by,
        origin=first.origin,
        invalidated=schemas.Invalidated(**row.invalidated) if row.invalidated else None,
        created_at=row.created_at,
        finished_at=latest.finished_at,
    )


def run(row: RunRow) -> schemas.Run:
    it = row.run
    return schemas.Run(
        number=it.number,
        trial=it.trial,
        state=RunState(it.state),
        kind=kind_of(it.kind),
        bracket=it.bracket,
        rung=it.rung,
        replicate=it.replicate,
        fidelity=_number(it.fidelity),
        config=row.trial.config,
        origin=it.origin,
        resume_from=it.resume_from,
        metrics=it.metrics,
        failure=schemas.RunFailure.model_validate({**_failure(it), "traceback": it.failure_traceback})
        if it.failure_class
        else None,
        stopped_by=it.stopped_by,
        attempts=it.attempts,
        created_at=it.created_at,
        started_at=it.started_at,
        finished_at=it.finished_at,
        seconds=(it.finished_at - it.started_at).total_seconds() if it.started_at and it.finished_at else None,
    )


def report(row: models.Report, trial: int) -> schemas.Report:
    return schemas.Report(
        id=row.id,
        trial=trial,
        run=row.run,
        step=plain_number(row.step),
        metrics=row.metrics,
        seconds=row.seconds,
        created_at=row.created_at,
    )


def event(row: models.Event) -> schemas.Event:
    return schemas.Event(
        seq=row.seq, type=row.type, run=row.run, trial=row.trial, data=row.data, created_at=row.created_at
    )


def _result(row: RunRow) -> dict[str, Any]:
    return {
        "trial": row.run.trial,
        "run": row.run.number,
        "fidelity": _number(row.run.fidelity),
        "config": row.trial.config,
        "metrics": row.run.metrics,
    }


def _leader(found: Leader) -> schemas.Leader:
    standing = found.standing
    return schemas.Leader(
        **_result(found.row) | {"metrics": found.metrics},
        results=standing.results,
        confirmed=standing.confirmed,
        feasible=standing.feasible,
        schedule=[schemas.Segment(**segment) for segment in found.schedule],
    )


def _test(found: models.Evaluation | None) -> schemas.Test | None:
    return schemas.Test(run=found.run, trial=found.trial, metrics=found.metrics) if found else None


def _failure(run: models.Run) -> dict[str, Any]:
    return {"class": run.failure_class, "message": run.failure_message or ""}


def _number(stored: float | None) -> Number | None:
    return None if stored is None else plain_number(stored)
