"""How long `ask` takes: per algorithm and size of the history, warm (views kept) and cold (history just loaded); and
how much memory a run takes.

    python -m benchmarks.latency [name of a case ...]

Prints a table and writes benchmarks/results/latency.json (for all cases). A case may have a bar for the median of a
warm ask at 10,000 runs. The history of a slow algorithm is filled by a fast one with the same schedule. Algorithms
that fit a model from scratch for every suggestion are measured at smaller sizes, a few asks each.
"""

from __future__ import annotations

import json
import platform
import sys
import tracemalloc
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any

from search import Added, Ended, History, Outcome, Run, RunState, StudySpec, ask
from spaces import Space

SIZES = (100, 1_000, 10_000, 50_000)
JUDGED = 10_000
ASKS = 200
FEW_SIZES, FEW_ASKS = (50, 100, 200), 3
WORKERS = 16
SHARES = (0.618, 0.414)
"""Of them the losses: run n has the fractional part of n times each."""
MEMORY_BAR = 2_000
"""Bytes per run."""

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
# all kinds of parameters, most of them discrete
MIXED: dict[str, Any] = {
    "parameters": [
        *({"name": f"c{i}", "type": "categorical", "choices": list("abcde")} for i in range(5)),
        *({"name": f"n{i}", "type": "int", "low": 1, "high": 12} for i in range(4)),
        *({"name": f"w{i}", "type": "int", "low": 8, "high": 1024, "log": True} for i in range(2)),
        *({"name": f"o{i}", "type": "ordinal", "choices": [16, 32, 64, 128]} for i in range(2)),
        *({"name": f"x{i}", "type": "float", "low": 0, "high": 1} for i in range(3)),
        *(
            {"name": f"d{i}", "type": "float", "low": 0, "high": 1, "when": {"parameter": "c0", "equals": choice}}
            for i, choice in enumerate("aabb")
        ),
    ],
    "fidelity": {"name": "epochs", "low": 1, "high": 81},
}
# one rung: all runs of a study are at one fidelity, and so in one model
FLAT: dict[str, Any] = {**SPACE, "fidelity": {"name": "epochs", "low": 60, "high": 81}}
# nearly used up: every draw is a repeat, so the rest is listed
SMALL: dict[str, Any] = {
    "parameters": [{"name": f"x{i}", "type": "int", "low": 1, "high": 22} for i in range(3)],
    "fidelity": {"name": "epochs", "low": 1, "high": 81},
}


def with_priors(space: dict[str, Any]) -> dict[str, Any]:
    """The space with a prior on every parameter that is active by default."""
    modes = Space.from_json(space).default()
    parameters = [{**p, "prior": {"mode": modes[p["name"]]}} if p["name"] in modes else p for p in space["parameters"]]
    return {**space, "parameters": parameters}


@dataclass(frozen=True, slots=True)
class Case:
    """`bar`: milliseconds, if there is one. `fill`: the algorithm that makes the history; the measured one itself if
    None. `sizes` of the history, `asks` timed at each, `metrics` of the study."""

    space: dict[str, Any]
    algorithm: dict[str, Any]
    bar: float | None = None
    fill: str | None = None
    sizes: tuple[int, ...] = SIZES
    asks: int = ASKS
    metrics: int = 1

    @classmethod
    def slow(cls, name: str) -> Case:
        """An algorithm that fits its model anew for every suggestion."""
        return cls(SPACE, {"name": name}, None, "random", FEW_SIZES, FEW_ASKS)


CASES = {
    "random": Case(SPACE, {"name": "random"}, 2),
    "random, 10,648 configs": Case(SMALL, {"name": "random"}, 2),
    "grid": Case(SPACE, {"name": "grid"}, 2),
    "sobol": Case(SPACE, {"name": "sobol"}, 2),
    "local": Case(SPACE, {"name": "local"}, 3),
    "successive-halving": Case(SPACE, {"name": "successive-halving"}, 3),
    "hyperband": Case(SPACE, {"name": "hyperband"}, 2),
    "hyperband, eta 2": Case(SPACE, {"name": "hyperband", "eta": 2, "rounding": "floor"}, 2),
    "asha": Case(SPACE, {"name": "asha"}, 3),
    "async-hyperband": Case(SPACE, {"name": "async-hyperband"}, 3),
    "mo-asha": Case(SPACE, {"name": "mo-asha"}, 3, sizes=SIZES[:3], metrics=2),
    "tpe": Case(SPACE, {"name": "tpe"}, 10, "random"),
    "tpe, mixed": Case(MIXED, {"name": "tpe"}, 10, "random"),
    "tpe, two metrics": Case(SPACE, {"name": "tpe"}, 10, "random", metrics=2),
    "bohb": Case(SPACE, {"name": "bohb", "random_fraction": 0}, 10, "hyperband"),
    "bohb, one fidelity": Case(FLAT, {"name": "bohb", "random_fraction": 0}, 10, "hyperband"),
    "priorband": Case(with_priors(SPACE), {"name": "priorband"}, 3),
    "dehb": Case(SPACE, {"name": "dehb"}, 3),
    "evolution": Case(SPACE, {"name": "evolution"}, 3),
    "neuroevolution": Case(SPACE, {"name": "neuroevolution"}, 3),
    "reinforce": Case(SPACE, {"name": "reinforce"}, 3),
    "gp": Case.slow("gp"),
    "dngo": Case.slow("dngo"),
    "smac": Case.slow("smac"),
    "smac-hyperband": Case(SPACE, {"name": "smac-hyperband"}, None, "hyperband", FEW_SIZES, asks=30),  # with promotions
    "optuna-tpe": Case.slow("optuna-tpe"),
    "optuna-gp": Case.slow("optuna-gp"),
    "optuna-cmaes": Case(SPACE, {"name": "optuna-cmaes"}, None, None, FEW_SIZES),
    "nsga2": Case(SPACE, {"name": "nsga2"}, None, None, FEW_SIZES, metrics=2),
}


def measure(case: Case) -> list[dict[str, float]]:
    """Plays one study with 16 open runs and times `ask` around each size of the history; milliseconds."""
    study, fill = _studies(case)
    history, rows = History(), []
    for size in case.sizes:
        if _exhausted(study, size + case.asks):
            break
        _play(fill, history, size)
        if fill is not study:
            ask(study, history)  # its views take in what another algorithm did
        warm = _play(study, history, size + case.asks)
        loaded = History(history.events)
        start = perf_counter()
        ask(study, loaded)
        cold = perf_counter() - start
        row = {"runs": size, "median": median(warm), "p99": quantiles(warm, n=100)[98], "max": max(warm), "cold": cold}
        rows.append({key: value if key == "runs" else value * 1000 for key, value in row.items()})
    return rows


def memory(case: Case) -> float:
    """Bytes per run of a history of the middle size, with all that the algorithm keeps beside it."""
    study, fill = _studies(case)
    runs = case.sizes[len(case.sizes) // 2]
    ask(study, History())  # what is imported and computed once
    tracemalloc.start()
    history = History()
    _play(fill, history, runs)
    ask(study, history)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return taken / runs


def _studies(case: Case) -> tuple[StudySpec, StudySpec]:
    """The study that is measured, and the one that fills the history."""
    study = _study(case, case.algorithm)
    return study, study if case.fill is None else _study(case, {"name": case.fill})


def _study(case: Case, algorithm: dict[str, Any]) -> StudySpec:
    metrics = [{"name": f"loss{index}", "direction": "minimize"} for index in range(case.metrics)]
    return StudySpec.from_json({"space": case.space, "algorithm": algorithm, "metrics": metrics})


def _exhausted(study: StudySpec, runs: int) -> bool:
    configs = study.space.size()
    return configs is not None and configs < runs


def _play(study: StudySpec, history: History, until: int) -> list[float]:
    """Goes on to this many runs, the oldest open run ending first; the seconds of each ask that gave a new trial."""
    seconds = []
    while len(history.runs) < until:
        if history.open_count < WORKERS:
            start = perf_counter()
            run = ask(study, history)
            elapsed = perf_counter() - start
            if isinstance(run, Run):
                if run.resume_from is None:
                    seconds.append(elapsed)
                history.append(Added(run))
                continue
        number = next(iter(history.open))
        losses = tuple(number * share % 1 for share in SHARES[: len(study.metrics)])
        history.append(Ended(number, Outcome(RunState.SUCCEEDED, losses)))
    return seconds


def main() -> None:
    chosen = sys.argv[1:] or list(CASES)
    print(f"ask, milliseconds, {WORKERS} open runs ({platform.machine()}, Python {platform.python_version()})")
    print(f"{'algorithm':<26}{'runs':>8}{'median':>10}{'p99':>10}{'max':>10}{'cold':>10}{'bar':>6}{'bytes/run':>11}")
    results, sizes = {}, {}
    for name in chosen:
        case = CASES[name]
        results[name], sizes[name] = measure(case), memory(case)
        for row in results[name]:
            times = "".join(f"{row[key]:>10.3f}" for key in ("median", "p99", "max"))
            judged = row["runs"] == JUDGED
            bar = f"{case.bar if judged and case.bar is not None else '':>6}"
            taken = f"{sizes[name]:>11,.0f}" if row["runs"] == case.sizes[len(case.sizes) // 2] else ""
            print(f"{name:<26}{row['runs']:>8,}{times}{row['cold']:>10.1f}{bar}{taken}", flush=True)
    if chosen == list(CASES):
        target = Path(__file__).parent / "results" / "latency.json"
        target.parent.mkdir(exist_ok=True)
        bars = {name: case.bar for name, case in CASES.items()}
        written = {"unit": "ms", "open_runs": WORKERS, "bars": bars, "results": results}
        target.write_text(json.dumps({**written, "memory_bar": MEMORY_BAR, "bytes_per_run": sizes}, indent=2) + "\n")


if __name__ == "__main__":
    main()
