"""Architecture search on NAS-Bench-201 as its paper does it: 12,000 simulated seconds of short trainings on CIFAR-10.

    python -m benchmarks.nasbench201 --methods random tpe evolution:population=10,sample=3 --seeds 500

A search sees the validation accuracy after 12 epochs and pays the recorded time of such a training. Reported are the
validation and test accuracies after 200 epochs of the cell that it found, mean and standard deviation over the seeds,
on CIFAR-10 and, for the same cells, on CIFAR-100. Prints a table and writes benchmarks/results/nasbench201.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.methods import Method, parse
from benchmarks.report import table
from benchmarks.tasks import Missing, load
from benchmarks.tasks.nb201 import FULL, SHORT, Cells
from benchmarks.tasks.task import Config, Task

SECONDS = 12_000.0
DATASETS = ("cifar10", "cifar100")
KINDS = ("validation", "test")
HEAD = ("NAS-Bench-201", "seeds", *(f"{dataset} {kind}" for dataset in DATASETS for kind in KINDS))
RESULT = Path(__file__).parent / "results" / "nasbench201.json"


class Short(Task):
    """The table at 12 epochs alone, which is all that a search sees."""

    def __init__(self, cells: Cells) -> None:
        self.name = f"{cells.name}-short"
        self.space = {"parameters": cells.space["parameters"]}
        self._cells = cells
        self.best, self.median = float(cells.short.min()), float(np.median(cells.short))

    def observe(self, config: Config, fidelity: float | None, seed: int) -> float:
        return self._cells.observe(config, SHORT, seed)

    def true(self, config: Config) -> float:
        return self.observe(config, None, 0)

    def seconds(self, config: Config) -> float:
        """What one evaluation costs."""
        return float(self._cells.seconds[self._cells.position(config)]) * SHORT / FULL


def found(method: Method, seed: int) -> Config:
    """The cell with the best 12-epoch accuracy that the search has seen when its time is over."""
    cells = load("nb201-cifar10")
    assert isinstance(cells, Cells)
    task = Short(cells)
    evaluations = SECONDS / (float(cells.seconds.mean()) * SHORT / FULL)
    session = method.start(task, seed, round(evaluations) * 2)  # in time a search may do more than the mean
    best: tuple[float, Config] | None = None
    spent = 0.0
    try:
        while suggestion := session.ask():
            spent += task.seconds(suggestion.config)
            if spent > SECONDS:
                break
            loss = task.observe(suggestion.config, None, seed)
            if best is None or loss < best[0]:
                best = loss, suggestion.config
            session.tell(suggestion, loss)
    finally:
        session.close()
    assert best is not None
    return best[1]


def accuracies(configs: Sequence[Config], dataset: str) -> dict[str, list[float]]:
    """Validation and test accuracy of cells after 200 epochs, in percent."""
    cells = load(f"nb201-{dataset}")
    assert isinstance(cells, Cells)
    test = [float(cells.test[cells.position(config)]) for config in configs]
    return {"validation": [100 * (1 - cells.true(config)) for config in configs], "test": test}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=["random"])
    parser.add_argument("--seeds", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--result", type=Path, default=RESULT)
    given = parser.parse_args(arguments)
    try:
        methods = [parse(written) for written in given.methods]
        results = compared(methods, given.seeds, given.jobs)
    except (ValueError, Missing) as error:
        sys.exit(str(error))
    rows = [[label, str(given.seeds), *spreads(by_dataset)] for label, by_dataset in results.items()]
    print(table(HEAD, rows))
    given.result.parent.mkdir(parents=True, exist_ok=True)
    given.result.write_text(json.dumps(results) + "\n")


def compared(methods: Sequence[Method], seeds: int, jobs: int) -> dict[str, dict[str, dict[str, list[float]]]]:
    """By method, dataset and kind (validation, test): the accuracy of the cell that each seed found, in percent. A
    method that this machine or the space cannot serve is left out, and said so. Raises Missing without the tables."""
    for dataset in DATASETS:
        load(f"nb201-{dataset}")
    results = {}
    with ProcessPoolExecutor(jobs) as pool:
        for method in methods:
            try:
                configs = list(pool.map(partial(found, method), range(seeds), chunksize=5))
            except Missing as missing:
                print(f"skipped {method.label}: {missing}")
                continue
            results[method.label] = {dataset: accuracies(configs, dataset) for dataset in DATASETS}
    return results


def spreads(by_dataset: Mapping[str, Mapping[str, Sequence[float]]]) -> list[str]:
    """The cells of a row under `HEAD`, after the method and the seeds."""
    return [_spread(values) for dataset in DATASETS for values in by_dataset[dataset].values()]


def _spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.2f} +- {np.std(values):.2f}"


if __name__ == "__main__":
    main()
