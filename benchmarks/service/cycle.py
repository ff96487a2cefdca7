"""What people's own workers pay for a run: claim, report once, complete, over HTTP.

    python -m benchmarks.service.cycle [--no-peers]

A study that `tpe` searches and that has 1,000 trials already. One worker on SQLite and on PostgreSQL, then 32 at once
on PostgreSQL with two processes that serve the API; beside OSS Vizier's service and Optuna's storage proxy, where they
are installed (`python -m benchmarks.service.peers --install`). Afterwards everything is counted: no run may have been
given to two workers, none may be missing. Prints a table and writes benchmarks/results/service-cycle.json. The bars:
for one worker 8 ms at the median on SQLite and 12 ms on PostgreSQL; for 32 workers 250 cycles per second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks.report import table
from benchmarks.service.fill import large_study
from benchmarks.service.load import Load, summary, work
from benchmarks.service.peers.rows import measure_all
from benchmarks.service.servers import Databases, Kind, apis, databases
from benchmarks.service.studies import EXTERNAL
from search.history import RunState
from service.database import Database
from service.models import Attempt, Event, Report, Run, Study

TRIALS = 1000
WARM_UP = 30
STUDY = "cycle"


@dataclass(frozen=True)
class Setting:
    """`bar`: milliseconds at the median for one worker, cycles per second for many."""

    kind: Kind
    workers: int
    processes: int
    cycles: int
    bar: float

    @property
    def name(self) -> str:
        database = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[self.kind]
        workers = f"{self.workers} workers" if self.workers > 1 else "one worker"
        return f"Assay, {database}, {workers}" + (f", {self.processes} processes" if self.processes > 1 else "")


SETTINGS = (
    Setting("sqlite", 1, 1, 400, 8),
    Setting("postgresql", 1, 1, 400, 12),
    Setting("postgresql", 32, 2, 2000, 250),
)


def measure(setting: Setting, made: Databases) -> dict[str, Any]:
    url = made.new(setting.kind)
    database = Database(url)
    large_study(database, STUDY, TRIALS, EXTERNAL)
    with apis(url, setting.processes) as started:
        ports = [api.port for api in started]
        warm = asyncio.run(work(ports, STUDY, setting.workers, WARM_UP * setting.processes))
        before = sum(api.cpu_seconds for api in started)
        load = asyncio.run(work(ports, STUDY, setting.workers, setting.cycles))
        used = sum(api.cpu_seconds for api in started) - before
        memory = max(api.megabytes for api in started)
    wrong = check(database, warm, load)
    database.dispose()
    for line in [*warm.errors[:5], *load.errors[:5], *wrong]:
        print(f"{setting.name}: {line}", file=sys.stderr)
    return {**summary(load), "server_cpu": used / load.seconds, "memory_mb": memory, "wrong": wrong, "bar": setting.bar}


def check(database: Database, *loads: Load) -> list[str]:
    """What is wrong in the end: with the rows, or between them and what the workers were given."""
    given = Counter(run for load in loads for run in load.runs)
    done = sum(len(load.cycles) for load in loads)
    wrong = [f"run {run} was given to workers {count} times" for run, count in given.items() if count > 1]
    with database.session(write=False) as session:
        study = session.scalars(sa.select(Study).where(Study.name == STUDY)).one()

        def count(model: type[Any], *where: Any) -> int:
            query = sa.select(sa.func.count()).select_from(model).where(model.study_id == study.id, *where)
            return session.scalar(query) or 0

        new = Run.number >= TRIALS
        expected = {
            "runs": (count(Run, new), len(given)),
            "runs that succeeded": (count(Run, new, Run.state == RunState.SUCCEEDED), done),
            "runs by the study's own count": (sum(study.counts.values()), TRIALS + len(given)),
            "trials by the study's own count": (study.trials, TRIALS + len(given)),
            "attempts": (count(Attempt, Attempt.run >= TRIALS), len(given)),
            "reports": (count(Report, Report.run >= TRIALS), done),
            "ends of runs": (count(Event, Event.run >= TRIALS, Event.type == "run.succeeded"), done),
            "events, numbered without a gap": (count(Event) + 1, study.last_event + 1),
        }
    return wrong + [f"{name}: {found}, not {wanted}" for name, (found, wanted) in expected.items() if found != wanted]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-peers", action="store_true", help="Assay alone.")
    with_peers = not parser.parse_args().no_peers
    results: dict[str, Mapping[str, Any]] = {}
    with databases() as made:
        for setting in SETTINGS:
            results[setting.name] = measure(setting, made)
        if with_peers:
            results |= measure_all(made, TRIALS)
    print(f"claim, report, complete, in a study of {TRIALS:,} trials\n")
    head = ["", "ms, median", "p99", "cycles/s", "bar", "errors", "twice", "CPU of server", "CPU of workers"]
    lines = []
    for name, row in results.items():
        if "missing" in row:
            lines.append([name, row["missing"], *[""] * (len(head) - 2)])
            continue
        bar = row.get("bar")
        shown = "" if bar is None else f"{bar:g} ms" if "one worker" in name else f"{bar:g}/s"
        lines.append(
            [
                name,
                *(f"{row['median_ms']:.1f}", f"{row['p99_ms']:.1f}", f"{row['per_second']:.0f}", shown),
                *(f"{row['errors']}", f"{row['twice']}", f"{row['server_cpu']:.2f}", f"{row['client_cpu']:.2f}"),
            ]
        )
    print(table(head, lines))
    target = Path(__file__).resolve().parents[1] / "results" / "service-cycle.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps({"trials": TRIALS, "results": results}, indent=2) + "\n")
    sys.exit(any(row.get("errors") or row.get("wrong") for row in results.values()))


if __name__ == "__main__":
    main()
