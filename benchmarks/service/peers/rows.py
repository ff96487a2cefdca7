"""The peers' rows: their server in one process, their workers in others, the load of `benchmarks.service.cycle`."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import psutil

from benchmarks.service.load import Load, summary
from benchmarks.service.peers import PEERS
from benchmarks.service.servers import Databases, Kind

ROOT = Path(__file__).resolve().parents[3]
WARM_UP = 5  # cycles of a worker
PROCESSES = 2  # of many workers: each is one of Python's, which uses one core
NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


def settings() -> Iterator[tuple[str, str, Kind, int, int]]:
    """Row, peer, database, workers, cycles. Many workers go to the database that is made for many, if it can be had."""
    for peer, about in PEERS.items():
        for kind in about.databases:
            yield f"{about.what}, {NAMES[kind]}, one worker", peer, cast(Kind, kind), 1, 200
        kind = cast(Kind, about.databases[-1])
        yield f"{about.what}, {NAMES[kind]}, 32 workers", peer, kind, 32, 640


def measure(peer: str, url: str, trials: int, workers: int, cycles: int) -> Mapping[str, Any]:
    """As `load.summary`; `{"missing": why}` for a peer that is not installed."""
    if not PEERS[peer].installed(peer):
        return {"missing": "not installed"}
    processes = PROCESSES if workers > 1 else 1
    with ExitStack() as stack:
        server = stack.enter_context(_process(peer, "server", url, str(trials)))
        address, seen = _read(server)["ready"], psutil.Process(server.pid)
        share = str(workers // processes)
        for name, count in (("warm", WARM_UP * workers), ("worker", cycles)):
            each = str(count // processes)
            started = [
                stack.enter_context(_process(peer, "workers", address, f"{name}-{number}", share, each))
                for number in range(processes)
            ]
            for one in started:
                _read(one)
            before, begin = seen.cpu_times(), time.perf_counter()
            for one in started:
                assert one.stdin is not None
                one.stdin.write("go\n")
                one.stdin.flush()
            answers = [_read(one) for one in started]
            seconds, now = time.perf_counter() - begin, seen.cpu_times()
    load = Load(seconds=seconds)
    for answer in answers:
        load.cycles += answer["cycles"]
        load.runs += answer["trials"]
        load.errors += answer["errors"]
        load.client_cpu += answer["cpu"]
        for call, times in answer["calls"].items():
            load.calls.setdefault(call, []).extend(times)
    used = now.user + now.system - before.user - before.system
    return {**summary(load), "server_cpu": used / seconds, "first_errors": load.errors[:3]}


def measure_all(made: Databases, trials: int) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for row, peer, kind, workers, cycles in settings():
        yield row, measure(peer, made.empty(kind), trials, workers, cycles)


@contextmanager
def _process(peer: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [str(PEERS[peer].python(peer)), "-m", f"benchmarks.service.peers.{peer}", *arguments]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, cwd=ROOT, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _read(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The next line that is a message; peers print other things, too."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{"):
            message: dict[str, Any] = json.loads(line)
            return message
    raise RuntimeError(f"a process of a peer ended with status {process.wait()}")
