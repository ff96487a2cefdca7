from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from workers.objectives.train import TrainObjective
from workers.protocol import Assignment, Report, Result, Stop


@dataclass(frozen=True)
class Trained:
    reports: list[Report]
    result: Result


@pytest.fixture
def train() -> Callable[..., Trained]:
    """Carries out one run of `family` on digits up to `epochs` of `maximum`."""

    def run(
        family: str,
        config: dict[str, Any] | None = None,
        epochs: int = 1,
        maximum: int | None = None,
        seed: int = 0,
        resume_from: Path | None = None,
        checkpoint: Path | None = None,
        stop_after: int | None = None,
        inherit_from: Path | None = None,
        metrics: tuple[str, ...] = (),
    ) -> Trained:
        training = TrainObjective().train(
            Assignment(
                key="1",
                objective={"type": "train", "family": family, "dataset": "digits"},
                config=config or {},
                seed=seed,
                fidelity=("epochs", epochs, maximum or epochs),
                resume_from=resume_from,
                checkpoint=checkpoint,
                inherit_from=inherit_from,
                metrics=metrics,
            )
        )
        reports: list[Report] = []
        answer: Stop | None = None
        while True:
            try:
                reports.append(training.send(answer))
            except StopIteration as end:
                return Trained(reports, end.value)
            answer = "stop" if reports[-1].step == stop_after else None

    return run
