"""Anytime regret on real tables and surrogates: how good the incumbent is after so many full evaluations.

    python -m benchmarks.regret                                            # random and hyperband, 20 seeds
    python -m benchmarks.regret --methods random tpe peer/optuna-tpe --seeds 5 --tasks 'lcbench-*' hartmann6
    python -m benchmarks.regret --suite priors --methods hyperband priorband@good priorband@bad

Prints tables and writes JSON and charts to benchmarks/results/regret/. Each (method, task, seed) is kept there, so an
interrupted comparison goes on where it was; results of code that has changed since are made anew. Tasks and methods
that this machine cannot run are named with the reason. docs/benchmarks.md describes the method.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from time import perf_counter

from benchmarks import report
from benchmarks.methods import Method, parse
from benchmarks.protocol import Curve, play
from benchmarks.store import Cell, Store
from benchmarks.tasks import PRIOR_SUITE, SUITE, TASKS, Missing, load

RESULTS = Path(__file__).parent / "results" / "regret"
METHODS = ("random", "hyperband")


@dataclass(frozen=True, slots=True)
class Suite:
    """Tasks, and the budgets (in full evaluations) at which the incumbents are read; the last one ends a search."""

    tasks: Sequence[str]
    read_outs: tuple[float, ...]

    def until(self, budget: float | None) -> Suite:
        """The same with a smaller budget, which is the last read-out then."""
        if budget is None:
            return self
        return replace(self, read_outs=(*(each for each in self.read_outs if each < budget), budget))


SUITES = {
    "all": Suite(SUITE, (6, 12, 20, 30, 45, 60)),
    "priors": Suite(PRIOR_SUITE, (1, 3, 5, 8, 12)),
}


Played = Mapping[tuple[str, str], Method]
"""By the label of a method as it was written and the task: what is played there."""


def what_is_played(method: Method, task: str, budget: float) -> Method:
    """See `Method.on`; the method itself where the task cannot be opened, which its search will say."""
    try:
        return method.on(load(task), budget)
    except Missing:
        return method


def search(cell: Cell, budget: float, resume: bool) -> Curve | str:
    """One search, in a worker process; the reason when this machine cannot run it."""
    try:
        return play(load(cell.task), cell.method.start, cell.seed, budget, resume)
    except Missing as missing:
        return str(missing)


def run(cells: Sequence[Cell], store: Store, budget: float, resume: bool, jobs: int) -> Iterator[tuple[Cell, str]]:
    """Makes and keeps the results that are not there yet; answers the cells that cannot be made, with the reasons."""
    todo = [cell for cell in cells if store.load(cell, budget) is None]
    fingerprints = {cell.method.label: cell.method.fingerprint for cell in todo}
    began = perf_counter()
    with ProcessPoolExecutor(jobs) as pool:
        searches = {pool.submit(search, cell, budget, resume): cell for cell in todo}
        for count, done in enumerate(as_completed(searches), 1):
            cell, result = searches[done], done.result()
            if isinstance(result, str):
                yield cell, result
            else:
                store.save(cell, fingerprints[cell.method.label], budget, result)
            if count % 100 == 0 or count == len(todo):
                print(f"{count} of {len(todo)} searches, {perf_counter() - began:.0f} s", file=sys.stderr)


def compare(store: Store, played: Played, tasks: Sequence[str], seeds: int, suite: Suite) -> None:
    """Prints and writes what the store says of the methods on the tasks that all of them have done."""
    curves = {
        (label, task, seed): curve
        for (label, task), method in played.items()
        for seed in range(seeds)
        if (curve := store.load(Cell(method, task, seed), suite.read_outs[-1]))
    }
    made = list(dict.fromkeys(label for label, _, _ in curves))
    common = [task for task in tasks if all((label, task, seed) in curves for label in made for seed in range(seeds))]
    if not made or not common:
        print("no task was done by all methods")
        return
    comparison = report.Comparison(curves, made, common, range(seeds), suite.read_outs, made[0])
    print(f"\n{len(common)} tasks, {seeds} seeds; +- is the half width of the 95 % interval at the last read-out\n")
    parts = [report.regret_table(comparison), report.rank_table(comparison), report.task_table(comparison)]
    if len(made) > 1:
        parts += [report.difference_table(comparison), report.significance(comparison)]
    print("\n\n".join(parts))
    (store.folder / "summary.json").write_text(json.dumps(report.to_json(comparison), indent=2) + "\n")
    for name, drawn in report.pictures(comparison, f"{len(common)} tasks, {seeds} seeds").items():
        (store.folder / f"{name}.svg").write_text(drawn)
    print(f"\nwritten: {store.folder}/summary.json and the charts beside it")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--methods", nargs="+", default=METHODS, help="name, name:option=value,..., name@good, peer/name"
    )
    parser.add_argument("--tasks", nargs="+", default=["*"], help="names or patterns, of those of the suite")
    parser.add_argument("--suite", choices=SUITES, default="all", help="all tasks to 60, or the priors' to 12")
    parser.add_argument("--budget", type=float, help="full evaluations, fewer than the suite's")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--from-scratch", action="store_true", help="a continued run pays again for what it has done")
    parser.add_argument("--keep-stale", action="store_true", help="take results of older code for results")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    try:
        methods = [parse(written) for written in given.methods]
    except ValueError as error:
        parser.error(str(error))
    suite = SUITES[given.suite].until(given.budget)
    tasks = [task for task in suite.tasks if any(fnmatchcase(task, pattern) for pattern in given.tasks)]
    if not tasks:
        parser.error(f"no task of the suite fits {' '.join(given.tasks)} (known: {', '.join(TASKS)})")
    folder = given.results / (given.suite + ("-from-scratch" if given.from_scratch else ""))
    store = Store(folder, given.keep_stale)
    budget = suite.read_outs[-1]
    played = {(method.label, task): what_is_played(method, task, budget) for method in methods for task in tasks}
    distinct = {(method.label, task): method for (_, task), method in played.items()}
    cells = [Cell(method, task, seed) for (_, task), method in distinct.items() for seed in range(given.seeds)]
    skipped: dict[tuple[str, str], str] = {}
    for cell, reason in run(cells, store, budget, not given.from_scratch, given.jobs):
        skipped[cell.method.label, cell.task] = reason
    for label, reason in dict.fromkeys((label, reason) for (label, _), reason in skipped.items()):
        where = [task for (other, task), why in skipped.items() if (other, why) == (label, reason)]
        print(f"skipped {label} on {', '.join(where) if len(where) < len(tasks) else 'all tasks'}: {reason}")
    for (label, task), method in played.items():
        if label != method.label:
            print(f"{label} is {method.label} on {task}")
    compare(store, played, tasks, given.seeds, suite)


if __name__ == "__main__":
    main()
