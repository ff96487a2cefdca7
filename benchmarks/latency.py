"""How long `ask` takes: per algorithm and size of the history, warm (views kept) and cold (history just loaded).

    python -m benchmarks.latency

Prints a table and writes benchmarks/results/latency.json. The bar: a warm ask takes at most 2 ms at 10,000 runs.
"""

from __future__ import annotations

import json
import platform
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any

from search import Added, Ended, History, Outcome, Run, RunState, StudySpec, ask

SIZES = (100, 1_000, 10_000)
ASKS = 500
WORKERS = 16
BAR_MS = 2.0

SPACE: dict[str, Any] = {
    "parameters": [
        {"name": "lr", "type": "float", "low": 1e-4, "high": 0.3, "log": True},
        {"name": "optimizer", "type": "categorical", "choices": ["sgd", "adamw"]},
        {"name": "momentum", "type": "float", "low": 0, "high": 1, "when": {"parameter": "optimizer", "equals": "sgd"}},
        {"name": "width", "type": "int", "low": 16, "high": 256, "log": True},
        *({"name": f"x{i}", "type": "float", "low": 0, "high": 1} for i in range(16)),
    ],
    "fidelity": {"name": "epochs", "low": 1, "high": 81},
}
# nearly used up: every draw is a repeat, so the rest is listed
SMALL: dict[str, Any] = {
    "parameters": [{"name": f"x{i}", "type": "int", "low": 1, "high": 22} for i in range(3)],
    "fidelity": {"name": "epochs", "low": 1, "high": 81},
}
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "random": (SPACE, {"name": "random"}),
    "random, 10,648 configs": (SMALL, {"name": "random"}),
    "hyperband": (SPACE, {"name": "hyperband"}),
    "hyperband, eta 2": (SPACE, {"name": "hyperband", "eta": 2, "rounding": "floor"}),
}


def measure(space: dict[str, Any], algorithm: dict[str, Any]) -> list[dict[str, float]]:
    """Plays one study with 16 open runs and times `ask` around each size of the history; milliseconds."""
    metrics = [{"name": "loss", "direction": "minimize"}]
    study = StudySpec.from_json({"space": space, "algorithm": algorithm, "metrics": metrics})
    history, rows = History(), []
    for size in SIZES:
        _play(study, history, size)
        warm = _play(study, history, size + ASKS)
        loaded = History(history.events)
        start = perf_counter()
        ask(study, loaded)
        cold = perf_counter() - start
        row = {"runs": size, "median": median(warm), "p99": quantiles(warm, n=100)[98], "max": max(warm), "cold": cold}
        rows.append({key: value if key == "runs" else value * 1000 for key, value in row.items()})
    return rows


def _play(study: StudySpec, history: History, until: int) -> list[float]:
    """Goes on to this many runs, the oldest open run ending first; the seconds of each ask that gave a run."""
    seconds = []
    while len(history.runs) < until:
        if history.open_count < WORKERS:
            start = perf_counter()
            run = ask(study, history)
            elapsed = perf_counter() - start
            if isinstance(run, Run):
                seconds.append(elapsed)
                history.append(Added(run))
                continue
        number = next(iter(history.open))
        history.append(Ended(number, Outcome(RunState.SUCCEEDED, (number * 0.618 % 1,))))
    return seconds


def main() -> None:
    results = {name: measure(*case) for name, case in CASES.items()}
    print(f"ask, milliseconds, {WORKERS} open runs ({platform.machine()}, Python {platform.python_version()})")
    print(f"{'algorithm':<26}{'runs':>8}{'median':>9}{'p99':>9}{'max':>9}{'cold':>10}")
    for name, rows in results.items():
        for row in rows:
            times = "".join(f"{row[key]:>9.3f}" for key in ("median", "p99", "max"))
            print(f"{name:<26}{row['runs']:>8,}{times}{row['cold']:>10.1f}")
    worst = max(rows[-1]["median"] for rows in results.values())
    print(f"warm at {SIZES[-1]:,} runs: {worst:.3f} ms at the median (bar {BAR_MS} ms)")
    target = Path(__file__).parent / "results" / "latency.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(
        json.dumps({"unit": "ms", "open_runs": WORKERS, "bar": BAR_MS, "results": results}, indent=2) + "\n"
    )


if __name__ == "__main__":
    main()
