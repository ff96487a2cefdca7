"""Reading a study of a hundred thousand trials over HTTP, and the memory of the process that serves it.

    python -m benchmarks.service.large [trials]

On SQLite and on PostgreSQL. Prints a table and writes benchmarks/results/service-large.json. The bars, for the median
of each row: the best config in 10 ms, a page of 100 trials or of events in 30 ms; at the end, 500 MB of memory.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from urllib.parse import quote

from benchmarks.report import table
from benchmarks.service.fill import large_study
from benchmarks.service.http import Connection
from benchmarks.service.servers import KINDS, apis, databases
from benchmarks.service.studies import NOOP, study
from service.database import Database
from service.lifecycle import create_study

TRIALS = 100_000
REPETITIONS = 40
WARM_UP = 3
OTHER_STUDIES = 99
BAR_MB = 500.0
API = "/api/v1/studies"
NAME = "large"

Times = list[float]


@dataclass(frozen=True)
class Row:
    """One question. `bar`: milliseconds at the median. `mark`: of a stream, what the first piece that counts holds."""

    path: str
    bar: float | None = None
    mark: bytes | None = None
    repetitions: int = REPETITIONS


def rows(trials: int) -> Mapping[str, Row]:
    of_study, middle, end = f"{API}/{NAME}", trials // 2, trials - 101
    pages = f"/studies/{NAME}"
    return {
        "nothing (`healthz`)": Row("/healthz"),
        "best": Row(f"{of_study}/best", 10),
        "the study": Row(of_study, 10),
        "100 studies": Row(f"{API}?limit=100", None),
        "incumbents": Row(f"{of_study}/incumbents", 30),
        "front (one objective)": Row(f"{of_study}/front", repetitions=2),
        "100 trials, the first": Row(f"{of_study}/trials?limit=100", 30),
        "100 trials, from the middle": Row(f"{of_study}/trials?limit=100&after={middle}", 30),
        "100 trials, the last": Row(f"{of_study}/trials?limit=100&after={end}", 30),
        "100 trials that failed": Row(f"{of_study}/trials?limit=100&state=failed&after={middle}", 30),
        "100 trials that succeeded": Row(f"{of_study}/trials?limit=100&state=succeeded&after={middle}", 30),
        "trials that are running": Row(f"{of_study}/trials?limit=100&state=running", 30),
        "100 runs, from the middle": Row(f"{of_study}/runs?limit=100&after={middle}", 30),
        "100 runs that failed": Row(f"{of_study}/runs?limit=100&state=failed&after={middle}", 30),
        "one trial": Row(f"{of_study}/trials/{middle}", 10),
        "100 reports, from the middle": Row(f"{of_study}/reports?limit=100&after={middle}", 30),
        "reports of a trial": Row(f"{of_study}/reports?trial={middle}", 30),
        "100 events, from the middle": Row(f"{of_study}/events?format=json&limit=100&after={3 * middle}", 30),
        "events from the middle (stream)": Row(f"{of_study}/events?after={3 * middle}", 30, b"\nid: "),
        "events, the last (stream)": Row(f"{of_study}/events?after={3 * trials - 500}", 30, b"\nid: "),
        "page: studies": Row("/"),
        "page: the study": Row(pages),
        "page: its best trials": Row(f"{pages}/parts/trials?sort=best"),
        "page: its best, further on": Row(f"{pages}/parts/trials?sort=best&after={quote(f'0.0~0.5~{middle}')}"),
        "page: its worst trials": Row(f"{pages}/parts/trials?sort=worst"),
        "page: its failed trials": Row(f"{pages}/parts/trials?state=failed"),
        "page: best of the succeeded": Row(f"{pages}/parts/trials?sort=best&state=succeeded"),
        "chart: results": Row(f"{pages}/charts/outcomes.json"),
        "chart: curves": Row(f"{pages}/charts/curves.json"),
    }


async def measure(port: int, asked: Mapping[str, Row]) -> dict[str, Times]:
    """Milliseconds until the whole answer is there; of a stream, until its first piece."""
    connection, times = Connection(port), {}
    for name, row in asked.items():
        seconds = []
        for _ in range(WARM_UP + row.repetitions):
            start = time.perf_counter()
            if row.mark:
                await connection.first(row.path, row.mark)
            else:
                answer = await connection.get(row.path)
                if answer.status != 200:
                    raise RuntimeError(f"{row.path}: {answer.status} {answer.body[:300]!r}")
            seconds.append(time.perf_counter() - start)
        times[name] = [1000 * second for second in seconds[WARM_UP:]]
    connection.close()
    return times


def filled(url: str, trials: int) -> None:
    database = Database(url)
    with database.session() as session:
        for number in range(OTHER_STUDIES):
            create_study(session, study(f"small-{number}", NOOP))
    large_study(database, NAME, trials)
    if not database.embedded:  # what its own housekeeping would have done a minute later
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")
    database.dispose()


def summary(times: Times) -> dict[str, float]:
    return {"median": median(times), "p90": quantiles(times, n=10)[8]}


def main() -> None:
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else TRIALS
    asked = rows(trials)
    results: dict[str, dict[str, dict[str, float]]] = {}
    memory: dict[str, float] = {}
    with databases() as made:
        for kind in KINDS:
            url = made.new(kind)
            filled(url, trials)
            with apis(url) as (api,):
                times = asyncio.run(measure(api.port, asked))
                memory[kind] = api.megabytes
            results[kind] = {name: summary(each) for name, each in times.items()}
    print(f"a study of {trials:,} trials, milliseconds for an answer\n")
    head = ["", *(f"{kind}, {column}" for kind in ("SQLite", "PostgreSQL") for column in ("median", "p90")), "bar"]
    lines = []
    for name, row in asked.items():
        cells = [f"{results[kind][name][column]:.1f}" for kind in KINDS for column in ("median", "p90")]
        lines.append([name, *cells, f"{row.bar:g}" if row.bar else ""])
    used = [cell for kind in KINDS for cell in (f"{memory[kind]:.0f}", "")]
    lines.append(["memory of the process, MB", *used, f"{BAR_MB:g}"])
    print(table(head, lines))
    target = Path(__file__).resolve().parents[1] / "results" / "service-large.json"
    target.parent.mkdir(exist_ok=True)
    bars = {name: row.bar for name, row in asked.items()}
    content = {"trials": trials, "unit": "ms", "bars": bars, "results": results, "memory_mb": memory}
    target.write_text(json.dumps({**content, "memory_bar_mb": BAR_MB}, indent=2) + "\n")


if __name__ == "__main__":
    main()
