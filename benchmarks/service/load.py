"""Workers that do nothing but ask and tell, and what their calls cost.

A worker's cycle is: claim a run (or suggest a trial), report once, complete it. It "trains" in no time, so what is
measured is the service alone, busier than real workers could make it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

import psutil

from benchmarks.service.http import Answer, Connection
from benchmarks.service.studies import METRIC, loss_of

LEASE_SECONDS = 60


@dataclass
class Load:
    """What the workers saw. Seconds of whole cycles and, by call, of its parts; what went wrong, in words."""

    cycles: list[float] = field(default_factory=list)
    calls: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    client_cpu: float = 0.0
    errors: list[str] = field(default_factory=list)
    runs: list[int] = field(default_factory=list)
    configs: list[str] = field(default_factory=list)


class Refused(Exception):
    """The service answered something else than a worker hopes for."""


async def work(ports: Sequence[int], study: str, workers: int, cycles: int) -> Load:
    """`workers` at once, until there were so many cycles; each speaks to one of the processes."""
    load, left = Load(), iter(range(cycles))
    process = psutil.Process()
    cpu, begin = process.cpu_times(), time.perf_counter()
    await asyncio.gather(*(_worker(f"worker-{n}", ports[n % len(ports)], study, left, load) for n in range(workers)))
    load.seconds = time.perf_counter() - begin
    now = process.cpu_times()
    load.client_cpu = now.user + now.system - cpu.user - cpu.system
    return load


async def _worker(name: str, port: int, study: str, left: Any, load: Load) -> None:
    connection = Connection(port)
    for _ in left:
        begin = time.perf_counter()
        try:
            await _cycle(connection, name, study, load)
            load.cycles.append(time.perf_counter() - begin)
        except (Refused, ConnectionError, asyncio.IncompleteReadError) as error:
            load.errors.append(f"{name}: {error!r}")
            connection.close()
    connection.close()


async def _cycle(connection: Connection, name: str, study: str, load: Load) -> None:
    claim = {"worker": name, "count": 1, "lease_seconds": LEASE_SECONDS}
    answer = await _call(load, "claim", connection, f"/api/v1/studies/{study}/claims", claim)
    claimed = answer.json()
    if len(claimed["assignments"]) != 1:
        raise Refused(f"nothing to claim: {claimed}")
    assignment = claimed["assignments"][0]
    load.runs.append(assignment["run"])
    load.configs.append(repr(sorted(assignment["config"].items())))
    run, token, metrics = assignment["id"], assignment["token"], {METRIC: loss_of(assignment["config"])}
    report = {"token": token, "reports": [{"step": 1, "metrics": metrics}]}
    await _call(load, "report", connection, f"/api/v1/runs/{run}/reports", report)
    await _call(load, "complete", connection, f"/api/v1/runs/{run}/complete", {"token": token, "metrics": metrics})


async def _call(load: Load, call: str, connection: Connection, path: str, body: dict[str, Any]) -> Answer:
    begin = time.perf_counter()
    answer = await connection.post(path, body)
    if answer.status != 200:
        raise Refused(f"{call}: {answer.status} {answer.body[:300]!r}")
    load.calls.setdefault(call, []).append(time.perf_counter() - begin)
    return answer


def summary(load: Load) -> dict[str, Any]:
    """Milliseconds per cycle and call, and cycles per second."""
    cuts = quantiles(load.cycles, n=100)
    return {
        "cycles": len(load.cycles),
        "median_ms": 1000 * median(load.cycles),
        "p99_ms": 1000 * cuts[98],
        "calls_ms": {call: 1000 * median(seconds) for call, seconds in load.calls.items()},
        "per_second": len(load.cycles) / load.seconds,
        "client_cpu": load.client_cpu / load.seconds,
        "errors": len(load.errors),
        "twice": len(load.runs) - len(set(load.runs)),
        "same_config": len(load.configs) - len(set(load.configs)),
    }
