"""What it costs to have a run carried out: from the decision to start it until its end is known.

    python -m benchmarks.dispatch [runs]

One no-op run after another on one warm worker, beside Ray Tune with reused actors in the same run. Prints a table and
writes benchmarks/results/dispatch.json. The bar: at most 15 ms at the median, the storing of the result included.

To measure another way, write a function that carries out `count` runs and answers their seconds, and name it in ROWS.
"""

from __future__ import annotations

import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import ray
from ray import tune

from service.checkpoints import Checkpoints
from service.database import Database, sqlite_url
from service.dispatcher import Dispatcher
from service.lifecycle import create_study
from service.models import DEFAULT_PROJECT_ID
from service.repositories.runs import Runs
from service.repositories.studies import Studies
from service.states import StudyState
from workers.pools.local import LocalPool
from workers.pools.ray_pool import OBJECT_STORE_BYTES, RayPool
from workers.protocol import Assignment, Finished, Pool

RUNS = 200
WARM_UP = 20  # runs before the clock counts
NOOP: dict[str, Any] = {
    "name": "noop",
    "space": {"parameters": [{"name": "x0", "type": "float", "low": 0, "high": 1}]},
    "objective": {"type": "function", "function": "noop"},
    "metrics": [{"name": "loss", "direction": "minimize"}],
    "algorithm": {"name": "random"},
}
BAR_MS = 15.0


def ray_pool(count: int) -> list[float]:
    return _through(RayPool(workers=1), count)


def local_pool(count: int) -> list[float]:
    return _through(LocalPool(workers=1), count)


def ray_tune(count: int) -> list[float]:
    """From the end of one trial to the end of the next, with one actor that Tune reuses for all of them."""
    with tempfile.TemporaryDirectory() as directory:
        ray.init(
            address="local",
            num_cpus=1,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=OBJECT_STORE_BYTES,
        )
        clock = _Clock()
        tuner = tune.Tuner(
            _Noop,
            param_space={"x": tune.uniform(0, 1)},
            tune_config=tune.TuneConfig(num_samples=WARM_UP + count + 1, max_concurrent_trials=1, reuse_actors=True),
            run_config=tune.RunConfig(storage_path=directory, verbose=0, callbacks=[clock]),
        )
        try:
            tuner.fit()
        finally:
            ray.shutdown()
    ends = clock.ends[WARM_UP:]
    return [after - before for before, after in pairwise(ends)]


def stored(count: int) -> list[float]:
    """From the stored end of one run to that of the next: asked for, stored, carried out on Ray, stored in SQLite."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        database = Database(sqlite_url(folder / "assay.db"))
        database.migrate()
        with database.session() as session:
            create_study(session, {**NOOP, "budget": {"max_runs": WARM_UP + count + 1}})
        pool = RayPool(workers=1)
        dispatcher = Dispatcher(database, pool, Checkpoints(folder / "checkpoints"), exclusive=True)
        try:
            while True:
                dispatcher.step(0.2)
                with database.session(write=False) as session:
                    study = Studies(session, DEFAULT_PROJECT_ID).get("noop")
                    if StudyState(study.state).finished:
                        ends = [row.run.finished_at for row in Runs(session).page(study.id, 10_000)]
                        break
        finally:
            dispatcher.hand_over()
            pool.shutdown()
            database.dispose()
    assert all(ends), "every run has ended"
    return [(after - before).total_seconds() for before, after in pairwise(ends[WARM_UP:]) if before and after]


# in the order of the table; the last one changes the process most
ROWS: Mapping[str, Callable[[int], list[float]]] = {
    "thread of the process": local_pool,
    "warm Ray worker": ray_pool,
    "the same, stored (SQLite)": stored,
    "Ray Tune, reuse_actors": ray_tune,
}


class _Noop(tune.Trainable):
    def setup(self, config: dict[str, Any]) -> None: ...

    def step(self) -> dict[str, Any]:
        return {"loss": 0.0, "done": True}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        return True

    def save_checkpoint(self, checkpoint_dir: str) -> None: ...

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None: ...


class _Clock(tune.Callback):
    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_trial_complete(self, *_: Any, **__: Any) -> None:
        self.ends.append(time.perf_counter())


def _through(pool: Pool, count: int) -> list[float]:
    """Submits one run after another and waits for the end of each."""
    objective = {"type": "function", "function": "noop"}
    seconds = []
    try:
        for number in range(WARM_UP + count):
            start = time.perf_counter()
            pool.submit(Assignment(f"run-{number}", objective, {}, seed=0))
            while not any(isinstance(event, Finished) for event in pool.poll(10.0)):
                pass
            seconds.append(time.perf_counter() - start)
    finally:
        pool.shutdown()
    return seconds[WARM_UP:]


def summary(seconds: list[float]) -> dict[str, float]:
    """Milliseconds per run."""
    milliseconds = [1000 * second for second in seconds]
    cuts = quantiles(milliseconds, n=100)
    return {"runs": len(seconds), "median": median(milliseconds), "p90": cuts[89], "p99": cuts[98]}


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    results = {name: summary(row(count)) for name, row in ROWS.items()}
    print(f"one no-op run after another, milliseconds per run ({platform.machine()}, Ray {ray.__version__})")
    print(f"{'':<26}{'runs':>6}{'median':>10}{'p90':>10}{'p99':>10}")
    for name, row in results.items():
        print(f"{name:<26}{row['runs']:>6}{row['median']:>10.2f}{row['p90']:>10.2f}{row['p99']:>10.2f}")
    print(f"bar: {BAR_MS:.0f} ms at the median, with the result stored")
    target = Path(__file__).parent / "results" / "dispatch.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps({"unit": "ms", "bar": BAR_MS, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
