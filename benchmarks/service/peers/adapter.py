"""What the adapters share: the two roles, and the workers' loop. Imports the standard library alone.

python -m benchmarks.service.peers.<adapter> server DATABASE_URL TRIALS
    prints {"ready": ADDRESS} once a study of so many trials is there, and serves until it is ended
python -m benchmarks.service.peers.<adapter> workers ADDRESS NAME COUNT CYCLES
    prints {"ready": true}, waits for a line, works as COUNT threads until there were so many cycles, and prints
    what they saw: {"cycles": [seconds], "calls": {name: [seconds]}, "trials": [number], "errors": [text], "cpu": s}
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

Clock = Callable[[str], None]
"""Called after each call with its name: it takes the time."""
Cycle = Callable[[Clock], int]
"""Suggests, reports, completes; answers the number of the trial."""


def say(message: Mapping[str, Any]) -> None:
    print(json.dumps(message), flush=True)


def main(serve: Callable[[str, int], None], workers: Callable[[str, str], Cycle]) -> None:
    """`serve(url, trials)` serves; `workers(address, name)` makes the worker of that name."""
    role, *arguments = sys.argv[1:]
    if role == "server":
        url, trials = arguments
        serve(url, int(trials))
        return
    address, name, count, cycles = arguments
    made = [workers(address, f"{name}-{number}") for number in range(int(count))]
    say({"ready": True})
    sys.stdin.readline()
    say(_work(made, int(cycles)))


def _work(workers: list[Cycle], cycles: int) -> dict[str, Any]:
    seen: dict[str, Any] = {"cycles": [], "calls": {}, "trials": [], "errors": []}
    left, lock = iter(range(cycles)), threading.Lock()

    def loop(cycle: Cycle) -> None:
        while True:
            with lock:
                if next(left, None) is None:
                    return
            begin = last = time.perf_counter()

            def clock(name: str) -> None:
                nonlocal last
                now = time.perf_counter()
                seen["calls"].setdefault(name, []).append(now - last)
                last = now

            try:
                trial = cycle(clock)
            except Exception as error:  # noqa: BLE001 (whatever a peer raises is what is to be counted)
                seen["errors"].append(repr(error))
                continue
            seen["cycles"].append(time.perf_counter() - begin)
            seen["trials"].append(trial)

    threads = [threading.Thread(target=loop, args=(cycle,)) for cycle in workers]
    cpu = time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {**seen, "cpu": time.process_time() - cpu}
