"""Studies that choose by how long the trained network takes to answer, carried out in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from search import pareto_front
from search.replay import Verified, verify
from service.database import Database
from service.models import DEFAULT_PROJECT_ID, Run
from service.record import stored_record
from service.repositories.studies import Studies
from service.states import StudyState
from service.tracking import tracked
from workers.pools.local import LocalPool

RUNS = 5
ACCURACY, LATENCY = "val_accuracy", "latency_ms"
TWO = [{"name": ACCURACY, "direction": "maximize"}, {"name": LATENCY, "direction": "minimize"}]
DIGITS = {"type": "train", "dataset": "digits", "epochs": 1}
WIDTH = {"name": "width", "type": "int", "low": 8, "high": 64}
CHAIN = {"name": "cell", "type": "cell", "preset": "chain", "stages": 2, "blocks": 2, "widths": [4, 8]}


@pytest.fixture
def pool() -> Iterator[LocalPool]:
    pool = LocalPool(1)
    yield pool
    pool.shutdown()


@pytest.fixture
def finish(
    create: Callable[..., int], turn: Callable[[], None], sqlite_database: Database
) -> Callable[..., tuple[list[dict[str, Any]], list[int]]]:
    """Carries a study out: the metrics of its runs, and its Pareto front."""

    def carry_out(**study: Any) -> tuple[list[dict[str, Any]], list[int]]:
        study_id = create(**{"budget": {"max_runs": RUNS}, "parallelism": 1, "checks": False, **study})
        until = time.monotonic() + 120
        while time.monotonic() < until:
            turn()
            time.sleep(0.01)
            with sqlite_database.session(write=False) as session:
                stored = Studies(session, DEFAULT_PROJECT_ID).get("s")
            if stored.state in (StudyState.COMPLETED, StudyState.FAILED):
                break
        assert stored.state == StudyState.COMPLETED, stored.reason
        with sqlite_database.session(write=False) as session:
            stored = Studies(session, DEFAULT_PROJECT_ID).get("s")
            runs = list(session.query(Run).filter_by(study_id=study_id).order_by(Run.number))
            known, record = tracked(session, stored), stored_record(session, stored)
        assert [run.state for run in runs] == ["succeeded"] * RUNS, [run.failure for run in runs]
        assert verify(record) == Verified(runs=RUNS, stops=0), "what was measured is read, and not measured again"
        return [run.metrics or {} for run in runs], pareto_front(known.spec, known.history)

    return carry_out


@pytest.mark.parametrize(
    ("algorithm", "family", "parameter"),
    [("random", "mlp", WIDTH), ("nsga2", "mlp", WIDTH), ("morphism", "chain_net", CHAIN)],
)
def test_it_is_the_second_objective_of_a_front(
    algorithm: str, family: str, parameter: dict[str, Any], finish: Callable[..., Any]
) -> None:
    results, front = finish(
        space={"parameters": [parameter]},
        objective={**DIGITS, "family": family},
        metrics=TWO,
        algorithm={"name": algorithm},
    )
    points = [(-found[ACCURACY], found[LATENCY]) for found in results]
    assert all(latency > 0 for _, latency in points)

    def beaten(point: tuple[float, float]) -> bool:
        return any(all(a <= b for a, b in zip(other, point, strict=True)) and other != point for other in points)

    assert set(front) == {number for number, point in enumerate(points) if not beaten(point)}


def test_it_is_a_bound_that_no_network_keeps(finish: Callable[..., Any], sqlite_database: Database) -> None:
    results, _ = finish(
        space={"parameters": [WIDTH]},
        objective={**DIGITS, "family": "mlp"},
        metrics=[TWO[0], {"name": LATENCY, "at_most": 1e-6}],
        algorithm={"name": "random"},
    )
    with sqlite_database.session(write=False) as session:
        broken = [run.violation for run in session.query(Run).order_by(Run.number)]
    assert broken == [pytest.approx(found[LATENCY] / 1e-6 - 1) for found in results]


def test_it_is_not_measured_for_who_does_not_ask(finish: Callable[..., Any]) -> None:
    results, _ = finish(
        space={"parameters": [WIDTH]},
        objective={**DIGITS, "family": "mlp"},
        metrics=[TWO[0], {"name": "multiply_adds", "direction": "minimize"}],
        algorithm={"name": "random"},
    )
    assert all(LATENCY not in found for found in results)
