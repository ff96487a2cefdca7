"""Results on disk: one small file per (suite, method, task, seed), so that a comparison stops and goes on at any time.

A file says which code it comes from (`Method.fingerprint`) and how far the search was to go; what other code has made
is not taken for a result, nor a search that was to end earlier.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from benchmarks.methods import Method
from benchmarks.protocol import Curve


@dataclass(frozen=True, slots=True)
class Cell:
    """One search that is to be in the table."""

    method: Method
    task: str
    seed: int


@dataclass(frozen=True, slots=True)
class Store:
    """The results under one folder. With `keep_stale`, those that other code has made count too."""

    folder: Path
    keep_stale: bool = False

    def load(self, cell: Cell, budget: float) -> Curve | None:
        """The result, None when there is none of this code that has spent the budget."""
        path = self._path(cell)
        if not path.is_file():
            return None
        stored = json.loads(path.read_text())
        if stored["fingerprint"] != cell.method.fingerprint and not self.keep_stale:
            return None
        if stored["budget"] < budget:
            return None
        return Curve.from_json(stored["curve"])

    def save(self, cell: Cell, fingerprint: str, budget: float, curve: Curve) -> None:
        """Writes the file as a whole or not at all."""
        path = self._path(cell)
        path.parent.mkdir(parents=True, exist_ok=True)
        written = {
            "method": cell.method.label,
            "task": cell.task,
            "seed": cell.seed,
            "fingerprint": fingerprint,
            "budget": budget,
            "curve": curve.to_json(),
        }
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(written) + "\n")
        draft.replace(path)

    def _path(self, cell: Cell) -> Path:
        return self.folder / re.sub(r"[^\w.=-]+", "_", cell.method.label) / f"{cell.task}-{cell.seed}.json"
