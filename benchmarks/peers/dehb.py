"""DEHB 0.1.2 by ask and tell, with its defaults. Every run starts from scratch."""

from __future__ import annotations

import tempfile
from typing import Any

from dehb import DEHB

from benchmarks.peers.configspace import config_of, configuration_space
from benchmarks.peers.wire import Start, Wanted, serve


class DehbSearch:
    def __init__(self, start: Start) -> None:
        self._start = start
        self._folder = tempfile.TemporaryDirectory(prefix="dehb-")
        low, high = start.range
        space = configuration_space(start)
        self._dehb = DEHB(
            cs=space,
            dimensions=len(space),
            min_fidelity=low,
            max_fidelity=high,
            eta=start.eta,
            n_workers=1,
            seed=start.seed,
            output_path=self._folder.name,
            save_freq="end",
            **start.options,
        )
        self._job: dict[str, Any] = {}

    def ask(self) -> Wanted:
        self._job = self._dehb.ask()
        return self._start.wanted(config_of(self._start, dict(self._job["config"])), float(self._job["fidelity"]))

    def tell(self, wanted: Wanted, loss: float) -> None:
        self._dehb.tell(self._job, {"fitness": loss, "cost": 1.0})


if __name__ == "__main__":
    serve(DehbSearch)
