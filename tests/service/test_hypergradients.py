"""A study that tunes by gradients, from its creation to its end, with every run carried out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from search.history import RunState
from service.database import Database
from service.models import DEFAULT_PROJECT_ID, Report, Run, Trial
from service.repositories.studies import Studies
from service.states import StudyState
from workers.objectives.train import TrainObjective
from workers.protocol import Assignment, Finished, Reported, Result, to_the_end

STUDY: dict[str, Any] = {
    "space": {
        "parameters": [
            {"name": "weight_decay", "type": "float", "low": 1e-6, "high": 0.1, "log": True, "default": 1e-3},
            {"name": "label_smoothing", "type": "float", "low": 0, "high": 0.3},
            {"name": "width", "type": "constant", "value": 8},
        ]
    },
    "objective": {"type": "train", "family": "mlp", "dataset": "wine", "epochs": 2},
    "metrics": [{"name": "val_accuracy", "direction": "maximize"}],
    "algorithm": {"name": "hypergradient", "epochs": 4, "hyper_lr": 0.1},
    "budget": {},
    "checks": False,
}
START = {"weight_decay": 1e-3, "label_smoothing": 0.15}


def carry_out(pool: Any, work: Assignment) -> None:
    """As a worker would."""
    del pool.open[work.key]
    if work.task == "test":
        pool.events.append(Finished(work.key, Result(TrainObjective().test(work))))
        return
    reports, result = to_the_end(TrainObjective().train(work))
    pool.events += [Reported(work.key, replace(report, seconds=0.0)) for report in reports]
    pool.events.append(Finished(work.key, result))


def test_a_path_is_found_and_its_places_are_trained(
    create: Callable[..., int], pool: Any, turn: Callable[[], None], sqlite_database: Database
) -> None:
    study_id = create(**STUDY)
    for _ in range(12):
        turn()
        for work in list(pool.open.values()):
            carry_out(pool, work)
    with sqlite_database.session(write=False) as session:
        study = Studies(session, DEFAULT_PROJECT_ID).get("s")
        assert study.state == StudyState.COMPLETED
        first, *others = session.query(Run).filter_by(study_id=study_id).order_by(Run.number)
        assert [(run.kind, run.state) for run in (first, *others)] == [
            ("supernet", RunState.SUCCEEDED),
            *[("train", RunState.SUCCEEDED)] * 3,
        ]
        assert first.details is not None
        path = first.details["path"]
        assert path[0] == START
        trials = session.query(Trial).filter_by(study_id=study_id).order_by(Trial.number)
        configs = [trial.config for trial in trials if trial.number != first.trial]
        assert configs == [{**path[place], "width": 8} for place in (4, 2, 0)]
        assert study.standing is not None
        assert study.standing["run"] in (1, 2, 3)
        told = session.query(Report).filter_by(study_id=study_id, run=first.number).order_by(Report.step)
        assert [report.metrics["hyper.weight_decay"] for report in told] == [p["weight_decay"] for p in path[1:]]
