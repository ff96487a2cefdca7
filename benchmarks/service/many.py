"""Hundreds of studies at once on one pool: runs per second, and whether each study gets its share.

    python -m benchmarks.service.many [--runs 8000] [--no-ray]

Runs that do nothing, two workers, everything stored in SQLite: one study, then 200 with the priorities -1, 0 and 1 in
turn. A study's fair share is by its weight, 2 to the power of its priority; the error is by how much the runs that a
study was given miss its share, at most over all studies, in per cent of the share. One run more or less is what cannot
be shared out, so it is shown, too. Prints a table and writes benchmarks/results/service-many.json. The bars: 100 runs
per second over Ray, and an error of 10 %.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa

from benchmarks.report import table
from benchmarks.service.studies import NOOP, study
from service.checkpoints import Checkpoints
from service.database import Database, sqlite_url
from service.dispatcher import Dispatcher
from service.lifecycle import create_study
from service.models import Attempt, Study
from workers.pools.local import LocalPool
from workers.protocol import Pool

WORKERS = 2
PRIORITIES = (-1, 0, 1)
MANY = 200
RUNS = 8000
WARM_UP = 2  # runs per study before anything counts
RUNS_BAR, ERROR_BAR = 100.0, 10.0


@dataclass(frozen=True)
class Measured:
    """`error` and `one_run` in per cent: of the study that is furthest from its share, and what one run is of the
    smallest share. `cpu` is that of this process, in cores; `turns` of the dispatcher are per second."""

    studies: int
    runs: int
    runs_per_second: float
    error: float
    one_run: float
    starved: int
    cpu: float
    turns: float


def local() -> Pool:
    return LocalPool(WORKERS)


def ray() -> Pool:
    from workers.pools.ray_pool import RayPool

    return RayPool(WORKERS)


POOLS: Mapping[str, Callable[[], Pool]] = {"threads": local, "Ray": ray}


def measure(make_pool: Callable[[], Pool], studies: int, runs: int) -> Measured:
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        database = Database(sqlite_url(folder / "assay.db"))
        database.migrate()
        with database.session() as session:
            for number in range(studies):
                priority = PRIORITIES[number % len(PRIORITIES)]
                create_study(session, study(f"s{number}", NOOP, "random", priority=priority, parallelism=WORKERS))
        pool = make_pool()
        dispatcher = Dispatcher(database, pool, Checkpoints(folder / "checkpoints"), exclusive=True)
        try:
            return _measure(dispatcher, database, studies, runs)
        finally:
            dispatcher.hand_over()
            pool.shutdown()
            database.dispose()


def _measure(dispatcher: Dispatcher, database: Database, studies: int, runs: int) -> Measured:
    warm = max(WARM_UP * studies, 50)
    while sum(_given(database).values()) < warm:
        _turn(dispatcher, 20)
    before, begin = _given(database), time.perf_counter()
    process = psutil.Process()
    used, turns = process.cpu_times(), 0
    done = 0
    while done < runs:
        turns += _turn(dispatcher, 50)
        done = sum(_given(database).values()) - sum(before.values())
    seconds, now = time.perf_counter() - begin, process.cpu_times()
    after = _given(database)
    weights = _weights(database)
    given = {study_id: after.get(study_id, 0) - before.get(study_id, 0) for study_id in weights}
    total = sum(weights.values())
    shares = {study_id: done * weight / total for study_id, weight in weights.items()}
    return Measured(
        studies=studies,
        runs=done,
        runs_per_second=done / seconds,
        error=100 * max(abs(given[study_id] - share) / share for study_id, share in shares.items()),
        one_run=100 / min(shares.values()),
        starved=sum(count == 0 for count in given.values()),
        cpu=(now.user + now.system - used.user - used.system) / seconds,
        turns=turns / seconds,
    )


def _turn(dispatcher: Dispatcher, count: int) -> int:
    for _ in range(count):
        dispatcher.step(0.2)
    return count


def _given(database: Database) -> dict[int, int]:
    """How many runs each study has been given."""
    with database.session(write=False) as session:
        rows = session.execute(sa.select(Attempt.study_id, sa.func.count()).group_by(Attempt.study_id))
        return {row[0]: row[1] for row in rows}


def _weights(database: Database) -> dict[int, float]:
    with database.session(write=False) as session:
        return {row[0]: 2.0 ** row[1] for row in session.execute(sa.select(Study.id, Study.priority))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS, help="Of the 200 studies; one study alone has a quarter.")
    parser.add_argument("--no-ray", action="store_true", help="Threads of this process alone.")
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    lines = []
    for pool, make in POOLS.items():
        if arguments.no_ray and pool == "Ray":
            continue
        for studies, runs in ((1, arguments.runs // 4), (MANY, arguments.runs)):
            name = f"{pool}, {studies} {'studies' if studies > 1 else 'study'}"
            found = measure(make, studies, runs)
            results[name] = asdict(found)
            shares = [f"{found.error:.1f}", f"{found.one_run:.1f}", f"{found.starved}"] if studies > 1 else [""] * 3
            lines.append([name, f"{found.runs_per_second:.0f}", *shares, f"{found.cpu:.2f}", f"{found.turns:.0f}"])
    print(f"runs that do nothing, {WORKERS} workers, stored in SQLite\n")
    head = ["", "runs/s", "share missed by, %", "one run is, %", "starved", "CPU", "turns/s"]
    print(table(head, lines))
    print(f"bars: {RUNS_BAR:g} runs/s over Ray; {ERROR_BAR:g} % of the share")
    target = Path(__file__).resolve().parents[1] / "results" / "service-many.json"
    target.parent.mkdir(exist_ok=True)
    content = {"workers": WORKERS, "bars": {"runs_per_second": RUNS_BAR, "error": ERROR_BAR}, "results": results}
    target.write_text(json.dumps(content, indent=2) + "\n")
    sys.exit(any(row["starved"] for row in results.values()))


if __name__ == "__main__":
    main()
