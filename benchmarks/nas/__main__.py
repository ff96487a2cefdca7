"""Architecture search: on a table of trained cells, what supernets take, and what they find.

    python -m benchmarks.nas [tabular steps found] [--seeds 150] [--searches 3]

Prints tables and writes benchmarks/results/nas.json, section by section: a section that is not run keeps what stands
there, and `found` goes on from it. One thread, and one process (`--jobs` for the first section).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from benchmarks.nas import found, steps, tabular
from benchmarks.tasks import Missing

SECTIONS = ("tabular", "steps", "found")
RESULT = Path(__file__).parents[1] / "results" / "nas.json"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", help="of tabular, steps and found; all if none is given")
    parser.add_argument("--seeds", type=int, default=150, help="tabular: searches of each method")
    parser.add_argument("--jobs", type=int, default=1, help="tabular: processes")
    parser.add_argument("--rounds", type=int, default=5, help="steps: times that each method has its turn")
    parser.add_argument("--searches", type=int, default=3, help="found: searches of each method")
    parser.add_argument("--epochs", type=int, default=found.EPOCHS, help="found: of a supernet")
    parser.add_argument("--pool", type=int, default=found.POOL, help="found: random architectures")
    parser.add_argument("--dataset", default="digits", help="found: what is classified")
    parser.add_argument("--only", nargs="*", help="found: labels of methods")
    parser.add_argument("--result", type=Path, default=RESULT)
    given = parser.parse_args(arguments)
    if unknown := {*given.sections} - {*SECTIONS}:
        parser.error(f"no section {unknown.pop()}: there are {', '.join(SECTIONS)}")
    torch.set_num_threads(1)
    for section in given.sections or SECTIONS:
        match section:
            case "tabular":
                try:
                    table = tabular.measure(given.seeds, given.jobs)
                except Missing as missing:
                    print(f"skipped tabular: {missing}")
                    continue
                store(given.result, "tabular", table)
                print(tabular.shown(table))
            case "steps":
                graphs = [steps.measure(graph, given.rounds) for graph in steps.GRAPHS]
                store(given.result, "steps", graphs)
                print(*map(steps.shown, graphs), sep="\n\n")
            case "found":
                setting = found.Setting(given.dataset, given.epochs, given.pool)
                before = read(given.result).get("found")
                measured = found.measure(
                    setting, given.searches, given.only, before, lambda part: store(given.result, "found", part)
                )
                print(found.shown(measured))


def store(path: Path, section: str, measured: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**read(path), section: measured}, indent=1) + "\n")


def read(path: Path) -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return stored


if __name__ == "__main__":
    main()
