"""How long a network takes to answer: what is timed, and that timing changes nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from workers.data.loading import training_data
from workers.protocol import Assignment
from workers.training import timing
from workers.training.health import PASSES, WARM_UP, latency_ms
from workers.training.loop import build
from workers.training.plan import Plan
from workers.training.timing import median_seconds

CPU = torch.device("cpu")
Train = Callable[..., Any]


class Clock:
    """Stands still but while something works, for the next of `durations`."""

    def __init__(self, durations: Iterator[float]) -> None:
        self.now, self.durations = 0.0, durations

    def perf_counter(self) -> float:
        return self.now

    def work(self) -> None:
        self.now += next(self.durations)


def test_it_is_the_median_of_the_passes_after_the_first_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(iter([50.0, 40.0, 3.0, 1.0, 900.0, 2.0, 4.0]))
    monkeypatch.setattr(timing, "time", clock)
    assert median_seconds(clock.work, CPU, passes=5, warm_up=2) == 3.0
    assert next(clock.durations, None) is None


def test_one_example_is_answered_as_it_is_in_use_and_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    objective = {"type": "train", "family": "lenet", "dataset": "digits"}
    plan = Plan.of(Assignment("1", objective, {"norm": "batch", "dropout": 0.5}, seed=0))
    learner, data = build(plan, 0), training_data(plan.dataset, plan.part, CPU)
    learner.prepare(data)
    learner.train()
    before = {name: tensor.clone() for name, tensor in learner.state_dict().items()}
    drawn = torch.get_rng_state()
    clock = Clock(chain(repeat(1.0, WARM_UP), repeat(0.002, PASSES)))
    monkeypatch.setattr(timing, "time", clock)
    seen: list[tuple[tuple[int, ...], bool, bool]] = []

    def watch(module: torch.nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        modes = any(each.training for each in module.modules())
        seen.append((tuple(inputs[0].shape), modes, output.requires_grad))
        clock.work()

    learner.register_forward_hook(watch)
    assert latency_ms(learner, data.validation) == pytest.approx(2.0)
    assert seen == [((1, 1, 8, 8), False, False)] * (WARM_UP + PASSES)
    assert all(torch.equal(tensor, before[name]) for name, tensor in learner.state_dict().items())
    assert all(parameter.grad is None for parameter in learner.parameters())
    assert torch.equal(torch.get_rng_state(), drawn)


@pytest.mark.parametrize(
    "config",
    [
        {"norm": "batch", "dropout": 0.3},
        {"averaging": "mc_dropout", "dropout": 0.3},
        {"averaging": "snapshot", "schedule": "sgdr", "cycles": 2},
        {"averaging": "ema"},
        {"early_stopping": True},
    ],
    ids=str,
)
def test_every_report_has_it_where_it_is_asked_for_and_else_none(config: dict[str, Any], train: Train) -> None:
    plain, asked = (train("lenet", config, 3, metrics=names) for names in ((), ("val_accuracy", "latency_ms")))
    assert not any("latency_ms" in report.metrics for report in plain.reports)
    assert all(report.metrics["latency_ms"] > 0 for report in asked.reports)
    assert asked.result.metrics["latency_ms"] in [report.metrics["latency_ms"] for report in asked.reports]
    rest = [{name: n for name, n in report.metrics.items() if name != "latency_ms"} for report in asked.reports]
    assert rest == [report.metrics for report in plain.reports]


def test_a_training_that_goes_on_measures_anew(train: Train, tmp_path: Path) -> None:
    names = ("latency_ms",)
    first = train("mlp", {}, 1, 2, checkpoint=tmp_path / "1", metrics=names)
    rest = train("mlp", {}, 2, 2, resume_from=tmp_path / "1", checkpoint=tmp_path / "2", metrics=names)
    assert first.result.metrics["latency_ms"] > 0
    assert rest.result.metrics == rest.reports[-1].metrics
    again = train("mlp", {}, 2, 2, resume_from=tmp_path / "2", metrics=names)
    assert not again.reports
    assert again.result.metrics == rest.result.metrics, "nothing was left to train: what it found stands"
