"""A search by morphisms with two objectives, on digits, carried out in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from search import hypervolume, pareto_front
from search.replay import Verified, verify
from service.database import Database
from service.models import DEFAULT_PROJECT_ID, Run
from service.record import stored_record
from service.repositories.studies import Studies
from service.states import StudyState
from service.tracking import tracked
from spaces.errors import InvalidInput
from workers.pools.local import LocalPool

RUNS = 12
STUDY: dict[str, Any] = {
    "space": {
        "parameters": [
            {"name": "cell", "type": "cell", "preset": "chain", "stages": 2, "blocks": 2, "widths": [4, 8, 16]},
            {"name": "lr", "type": "float", "low": 0.003, "high": 0.03, "log": True},
            {"name": "dropout", "type": "constant", "value": 0},
        ]
    },
    "objective": {"type": "train", "family": "chain_net", "dataset": "digits", "epochs": 2},
    "metrics": [
        {"name": "val_accuracy", "direction": "maximize"},
        {"name": "parameters", "direction": "minimize"},
    ],
    "algorithm": {"name": "morphism", "founders": 3},
    "budget": {"max_runs": RUNS},
    "parallelism": 1,
    "checks": False,
}


@pytest.fixture
def pool() -> Iterator[LocalPool]:
    pool = LocalPool(1)
    yield pool
    pool.shutdown()


@pytest.mark.slow
@pytest.mark.computes
def test_it_grows_a_front_of_small_and_large_networks(
    create: Callable[..., int], turn: Callable[[], None], sqlite_database: Database
) -> None:
    study_id = create(**STUDY)
    until = time.monotonic() + 300
    while time.monotonic() < until:
        turn()
        time.sleep(0.01)
        with sqlite_database.session(write=False) as session:
            study = Studies(session, DEFAULT_PROJECT_ID).get("s")
        if study.state in (StudyState.COMPLETED, StudyState.FAILED):
            break
    assert study.state == StudyState.COMPLETED, study.reason
    with sqlite_database.session(write=False) as session:
        study = Studies(session, DEFAULT_PROJECT_ID).get("s")
        runs = list(session.query(Run).filter_by(study_id=study_id).order_by(Run.number))
        known, record = tracked(session, study), stored_record(session, study)
    assert verify(record) == Verified(runs=RUNS, stops=0)
    assert [run.state for run in runs] == ["succeeded"] * RUNS
    results = [run.metrics or {} for run in runs]
    front = pareto_front(known.spec, known.history)
    sizes = [results[run]["parameters"] for run in front]
    assert len(front) >= 3
    assert sizes == sorted(sizes, reverse=True)
    assert hypervolume(known.spec, known.history) > 0
    children = [run for run in runs if "inherits" in run.origin]
    assert len(children) >= RUNS - 5
    for child in children:
        assert results[child.number]["parameters"] > results[child.origin["inherits"]]["parameters"]
    gained = [
        results[child.number]["val_accuracy"] - results[child.origin["inherits"]]["val_accuracy"] for child in children
    ]
    assert sum(gain > -0.03 for gain in gained) >= 0.7 * len(gained), "what was learned is not lost"
    founders = [results[run.number]["val_accuracy"] for run in runs if run.origin["rule"] == "founder"]
    assert max(results[run]["val_accuracy"] for run in front) > max(founders)


def test_a_family_without_such_an_architecture_is_refused(create: Callable[..., int]) -> None:
    with pytest.raises(InvalidInput) as refused:
        create(**{**STUDY, "objective": {**STUDY["objective"], "family": "lenet"}})
    assert {problem.path[:3] for problem in refused.value.problems} == {("space", "parameters", 0)}
