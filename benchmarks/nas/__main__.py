"""Architecture search: on a table of trained cells, what supernets take, what they find, and whether they collapse.

    python -m benchmarks.nas [tabular steps found collapse] [--seeds 150] [--searches 3]

Prints tables and writes benchmarks/results/nas.json, section by section: a section that is not run keeps what stands
there, and `found` and `collapse` go on from it. One thread, and one process (`--jobs` for the first section).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.nas import collapse, found, steps, tabular
from benchmarks.tasks import Missing

SECTIONS = ("tabular", "steps", "found", "collapse")
RESULT = Path(__file__).parents[1] / "results" / "nas.json"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", help="of tabular, steps, found and collapse; all if none is given")
    parser.add_argument("--seeds", type=int, default=150, help="tabular: searches of each method")
    parser.add_argument("--jobs", type=int, default=1, help="tabular: processes")
    parser.add_argument("--rounds", type=int, default=5, help="steps: times that each method has its turn")
    parser.add_argument("--searches", type=int, default=3, help="found, collapse: searches of each method")
    usual = found.Setting()
    parser.add_argument("--epochs", type=int, default=usual.epochs, help="found: of a supernet")
    parser.add_argument("--retrained", type=int, default=usual.retrained, help="found: epochs of an architecture alone")
    parser.add_argument("--pool", type=int, default=usual.pool, help="found: random architectures")
    parser.add_argument("--dataset", default=usual.dataset, help="found: what is classified")
    parser.add_argument(
        "--resolution", type=float, default=usual.resolution, help="found: share of the pictures' sides"
    )
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
                setting = found.Setting(given.dataset, given.epochs, given.pool, given.retrained, given.resolution)
                print(found.shown(compared(given, section, setting, given.only)))
            case "collapse":
                print(collapse.shown(compared(given, section, collapse.SETTING, collapse.METHODS)))


def compared(
    given: argparse.Namespace, section: str, setting: found.Setting, only: Sequence[str] | None
) -> dict[str, Any]:
    """What the searches of a section find, stored after each."""
    before = read(given.result).get(section)
    return found.measure(setting, given.searches, only, before, lambda part: store(given.result, section, part))


def store(path: Path, section: str, measured: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**read(path), section: measured}, indent=1) + "\n")


def read(path: Path) -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return stored


if __name__ == "__main__":
    main()
