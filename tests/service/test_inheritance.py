"""Runs that begin with the weights of others: where these come from, and how long they are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from service.database import Database
from service.models import Run
from spaces.errors import InvalidInput

Create = Callable[..., int]
STUDY: dict[str, Any] = {
    "space": {"parameters": [{"name": "width", "type": "int", "low": 8, "high": 64}]},
    "objective": {"type": "train", "family": "mlp", "dataset": "digits", "epochs": 1},
    "metrics": [{"name": "val_accuracy", "direction": "maximize"}],
    "algorithm": {"name": "neuroevolution", "population": 3, "inherit": True, "crossover": 0},
    "budget": {"max_runs": 40},
    "parallelism": 1,
    "checks": False,
}


def test_a_child_is_given_its_parents_checkpoint_which_is_kept_until_then(
    create: Create, pool: Any, turn: Callable[[], None], sqlite_database: Database
) -> None:
    study_id = create(**STUDY)
    inherited = 0
    for number in range(20):
        turn()
        (assignment,) = pool.open.values()
        if assignment.inherit_from is not None:
            inherited += 1
            assert assignment.inherit_from.read_text() == "saved"
            assert assignment.inherit_from != assignment.checkpoint
            assert assignment.resume_from is None
        pool.finish(assignment, val_accuracy=0.5 + (number * 7 % 20) / 50)
        turn()
    assert inherited > 12
    with sqlite_database.session(write=False) as session:
        runs = session.query(Run).filter_by(study_id=study_id).order_by(Run.number).all()
    assert sum(run.checkpoint is not None for run in runs) < 18, "those of former generations are given up"
    assert all("inherits" in run.origin for run in runs if run.origin["rule"] == "mutation" and "parents" in run.origin)


def test_a_checkpoint_that_is_gone_is_named_so_that_the_run_fails(
    create: Create, pool: Any, turn: Callable[[], None], sqlite_database: Database
) -> None:
    study_id = create(**STUDY)
    for _ in range(3):
        turn()
        pool.finish(pool.first, val_accuracy=0.5)
    with sqlite_database.session() as session:
        session.query(Run).filter_by(study_id=study_id).update({Run.checkpoint: None})
    turn()
    (child,) = pool.open.values()
    assert child.inherit_from is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"objective": {"type": "external"}, "metrics": [{"name": "loss", "direction": "minimize"}]},
            "keeps to itself",
        ),
        (
            {
                "space": {**STUDY["space"], "fidelity": {"name": "folds", "low": 2, "high": 4, "type": "int"}},
                "objective": {"type": "train", "family": "mlp", "dataset": "digits"},
            },
            "have seen their validation examples",
        ),
    ],
)
def test_where_there_are_no_weights_to_inherit_it_is_refused(
    create: Create, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        create(**{**STUDY, **change})
    (problem,) = [problem for problem in refused.value.problems if problem.path == ("algorithm", "inherit")]
    assert message in problem.message
