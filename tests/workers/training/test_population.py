"""Population based training on a real network, without a service: what it finds can be trained again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from search import Optimizer, schedule

SPACE = {
    "parameters": [
        {"name": "lr", "type": "float", "low": 1e-4, "high": 0.3, "log": True},
        {"name": "batch_size", "type": "int", "low": 32, "high": 256, "log": True},
        {"name": "width", "type": "int", "low": 16, "high": 32, "mutable": False},
    ],
    "fidelity": {"name": "epochs", "low": 1, "high": 5},
}
ACCURACY = [{"name": "val_accuracy", "direction": "maximize"}]


def test_the_schedule_of_the_best_gives_its_result_again(train: Callable[..., Any], tmp_path: Path) -> None:
    opt = Optimizer(SPACE, ACCURACY, {"name": "pbt", "population": 4}, {"max_fidelity": 20}, seed=1)
    while run := opt.ask():
        trained = train(
            "mlp",
            dict(run.config),
            run.fidelity,
            5,
            seed=run.trial,
            resume_from=None if run.resume_from is None else tmp_path / f"{run.resume_from}",
            checkpoint=tmp_path / f"{run.number}",
        )
        opt.tell(run, trained.result.metrics)

    history = opt.history
    assert any(history.forked(trial) for trial in range(history.trial_count))
    assert all((ended := history.outcome(run.number)) and ended.losses for run in history.runs)
    last = max((run for run in history.runs if history.forked(run.trial)), key=lambda run: run.fidelity or 0)
    segments = schedule(history, last.number)
    assert len(segments) > 1
    assert len({segment.config["width"] for segment in segments}) == 1
    for index, segment in enumerate(segments):
        train(
            "mlp",
            dict(segment.config),
            segment.end,
            5,
            seed=segment.trial,
            resume_from=tmp_path / f"again-{index - 1}" if index else None,
            checkpoint=tmp_path / f"again-{index}",
        )
    assert (tmp_path / f"again-{len(segments) - 1}").read_bytes() == (tmp_path / f"{last.number}").read_bytes()
