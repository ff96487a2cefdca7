from __future__ import annotations

import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from spaces import Space
from workers.catalogue import FAMILIES
from workers.objectives.train import TrainObjective
from workers.protocol import Assignment, Failure, FailureClass, to_the_end
from workers.tasks import HEALTH, TASKS
from workers.training import loop
from workers.training.recipe import DEFAULT_LR, MODULES

RICH = {"dropout": 0.3, "augmentation": "manual", "label_smoothing": 0.1, "batch_size": 128, "width": 24}
SGD = {**RICH, "optimizer": "sgd", "momentum": 0.9, "nesterov": True, "clip": "norm"}
ADAMW = {**RICH, "optimizer": "adamw", "augmentation": "trivialaugment"}
CHOICES = [
    {each.name: choice}
    for module in MODULES.values()
    for each in module
    for choice in each.domain().get("choices", ())
    if each.name in ("schedule", "activation", "norm", "init")
]
RADIAL = {"activation": "rbf"}  # for families without convolutions


@pytest.mark.parametrize("family", ["mlp", "lenet"])
@pytest.mark.parametrize("config", [SGD, ADAMW], ids=["sgd", "adamw"])
def test_three_runs_equal_one_bit_for_bit(
    family: str, config: dict[str, Any], train: Callable[..., Any], tmp_path: Path
) -> None:
    whole = train(family, config, 9, 9, checkpoint=tmp_path / "whole")
    first = train(family, config, 1, 9, checkpoint=tmp_path / "1")
    second = train(family, config, 3, 9, resume_from=tmp_path / "1", checkpoint=tmp_path / "3")
    third = train(family, config, 9, 9, resume_from=tmp_path / "3", checkpoint=tmp_path / "9")

    pieces = [*first.reports, *second.reports, *third.reports]
    assert [report.step for report in pieces] == list(range(1, 10))
    assert [report.metrics for report in pieces] == [report.metrics for report in whole.reports]
    assert third.result == whole.result
    weights, expected = load_file(tmp_path / "9"), load_file(tmp_path / "whole")
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


@pytest.mark.parametrize("optimizer", DEFAULT_LR)
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_every_optimizer_continues_exactly(
    optimizer: str, momentum: float, train: Callable[..., Any], tmp_path: Path
) -> None:
    config = {"optimizer": optimizer, "momentum": momentum, "batch_size": 256, "width": 16}
    whole = train("mlp", config, 2, 2, checkpoint=tmp_path / "whole")
    train("mlp", config, 1, 2, checkpoint=tmp_path / "1")
    rest = train("mlp", config, 2, 2, resume_from=tmp_path / "1", checkpoint=tmp_path / "2")
    assert rest.result.metrics == whole.result.metrics
    assert (tmp_path / "2").read_bytes() == (tmp_path / "whole").read_bytes()


def test_a_report_per_epoch_and_a_result(train: Callable[..., Any], tmp_path: Path) -> None:
    trained = train("mlp", epochs=3, checkpoint=tmp_path / "deep" / "checkpoint")
    assert [report.step for report in trained.reports] == [1, 2, 3]
    assert set(trained.result.metrics) == {metric.name for metric in TASKS["classification"].metrics} | HEALTH.keys()
    assert trained.result.metrics == trained.reports[-1].metrics
    assert trained.result.checkpointed
    assert (tmp_path / "deep" / "checkpoint").is_file()
    assert trained.reports[0].metrics["train_loss"] > trained.reports[2].metrics["train_loss"]
    assert trained.reports[2].metrics["val_accuracy"] > 0.8
    assert not train("mlp").result.checkpointed


@pytest.mark.parametrize(
    ("family", "config", "count"),
    [
        ("mlp", {"depth": 1, "width": 16, "norm": "none"}, 64 * 16 + 16 + 16 * 10 + 10),
        ("mlp", {"depth": 1, "width": 16, "norm": "batch"}, 64 * 16 + 16 + 2 * 16 + 16 * 10 + 10),
        (
            "lenet",
            {"width": 16, "kernel_size": 5, "fc1": 120, "fc2": 84, "norm": "none", "pool": "avg_trainable"}
            | {"c3_table": True},
            # C1, S2, C3 and S4 as in the paper, C5 on 2×2 maps, F6
            156 + 12 + 1516 + 32 + (64 * 120 + 120) + 10164 + (84 * 10 + 10),
        ),
    ],
    ids=["mlp", "mlp-norm", "lenet-5"],
)
def test_the_size_of_the_network_is_reported(
    family: str, config: dict[str, Any], count: int, train: Callable[..., Any]
) -> None:
    trained = train(family, config, 2)
    assert [report.metrics["parameters"] for report in trained.reports] == [count, count]
    assert trained.result.metrics["parameters"] == count


def test_a_stop_saves_and_ends_at_once(train: Callable[..., Any], tmp_path: Path) -> None:
    whole = train("mlp", epochs=3, maximum=9)
    stopped = train("mlp", epochs=9, maximum=9, checkpoint=tmp_path / "c", stop_after=2)
    assert [report.step for report in stopped.reports] == [1, 2]
    assert stopped.result.metrics == whole.reports[1].metrics
    later = train("mlp", epochs=3, maximum=9, resume_from=tmp_path / "c")
    assert later.result.metrics == whole.result.metrics


def test_a_checkpoint_that_is_there_already_needs_no_epoch(train: Callable[..., Any], tmp_path: Path) -> None:
    done = train("mlp", epochs=2, maximum=9, checkpoint=tmp_path / "c")
    again = train("mlp", epochs=2, maximum=9, resume_from=tmp_path / "c", checkpoint=tmp_path / "d")
    assert again.reports == []
    assert again.result == done.result
    assert (tmp_path / "d").read_bytes() == (tmp_path / "c").read_bytes()


def test_the_schedule_spans_the_highest_fidelity(train: Callable[..., Any]) -> None:
    short, long = train("mlp", {"schedule": "linear"}, 2, 2), train("mlp", {"schedule": "linear"}, 2, 20)
    assert short.result.metrics["lr"] < 0.1 * long.result.metrics["lr"]


@pytest.mark.parametrize(
    ("family", "fidelity", "horizon"),
    [
        ("mlp", ("fraction", 0.5, 1.0), "maximum"),
        ("mlp", ("width_fraction", 0.5, 1.0), "maximum"),
        ("lenet", ("resolution", 0.75, 1.0), "maximum"),
        ("mlp", ("epochs", 3, 9), "rung"),
    ],
)
def test_whatever_its_fidelity_a_run_goes_on_from_its_own_checkpoint(
    family: str, fidelity: tuple[str, float, float], horizon: str, tmp_path: Path
) -> None:
    def work(**further: Any) -> Assignment:
        objective = {"family": family, "dataset": "digits", "epochs": 3, "schedule_horizon": horizon}
        return Assignment("1", objective, {"width": 16}, seed=0, fidelity=fidelity, **further)

    whole, result = to_the_end(loop.train(work()))
    cut = loop.train(work(checkpoint=tmp_path / "1"))
    first = next(cut)
    with pytest.raises(StopIteration):
        cut.send("stop")
    rest, end = to_the_end(loop.train(work(resume_from=tmp_path / "1", own=True)))
    assert [(r.step, r.metrics) for r in [first, *rest]] == [(r.step, r.metrics) for r in whole]
    assert end == result
    others, _ = to_the_end(loop.train(work(resume_from=tmp_path / "1")))
    assert len(others) == 3, "a smaller run's helps it nothing"


def test_a_schedule_of_the_rung_ends_with_it_and_begins_anew(tmp_path: Path) -> None:
    def last(epochs: int, resume_from: Path | None = None) -> tuple[int, float]:
        given = assignment(
            objective={"family": "mlp", "schedule_horizon": "rung"},
            config={"schedule": "linear", "width": 16},
            fidelity=("epochs", epochs, 20),
            resume_from=resume_from,
            checkpoint=tmp_path / f"{epochs}",
        )
        reports = list(TrainObjective().train(given))
        return len(reports), reports[-1].metrics["lr"]

    assert last(2)[1] < 3e-4, "at its end, not at a tenth of 20 epochs"
    assert last(3, resume_from=tmp_path / "2")[0] == 3


def test_the_seed_decides(train: Callable[..., Any]) -> None:
    metrics = [train("mlp", RICH, seed=seed).result.metrics for seed in (1, 1, 2)]
    assert metrics[0] == metrics[1] != metrics[2]


def test_threads_do_not_disturb_each_other(train: Callable[..., Any]) -> None:
    alone = [train("mlp", RICH, 3, seed=seed).result.metrics for seed in (1, 2)]
    together: dict[int, Any] = {}

    def run(seed: int) -> None:
        together[seed] = train("mlp", RICH, 3, seed=seed).result.metrics

    threads = [threading.Thread(target=run, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[1], together[2]] == alone


@pytest.mark.parametrize(
    ("family", "config"), [(f, c) for f in ("mlp", "lenet") for c in CHOICES if f == "mlp" or c != RADIAL], ids=str
)
def test_every_choice_of_the_recipe_learns(family: str, config: dict[str, Any], train: Callable[..., Any]) -> None:
    first, *_, last = train(family, {**config, "width": 16, "lr": 1e-3, "warmup": 0}, 4).reports
    assert last.metrics["train_loss"] < first.metrics["train_loss"]


@pytest.mark.parametrize("family", ["mlp", "lenet"])
def test_any_config_of_the_standard_space_trains_or_fails_by_name(family: str, train: Callable[..., Any]) -> None:
    space = Space.from_json({"parameters": FAMILIES[family].parameters("image")})
    for seed in range(8):
        config = {**space.sample(np.random.default_rng(seed)), "width": 32}
        try:
            metrics = train(family, config).result.metrics
        except Failure as failure:
            assert failure.failure in (FailureClass.DIVERGED, FailureClass.INFEASIBLE)  # noqa: PT017  # either is well
        else:
            assert all(map(math.isfinite, metrics.values()))


def test_divergence_names_the_step(train: Callable[..., Any]) -> None:
    config = {"optimizer": "sgd", "lr": 100, "warmup": 0, "norm": "none", "momentum": 0.99}
    with pytest.raises(Failure, match=r"step \d+ of \d+ in epoch 1") as caught:
        train("mlp", config, 2)
    assert caught.value.failure is FailureClass.DIVERGED


def test_what_cannot_be_built_fails_before_any_data_is_loaded(
    train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(loop, "training_data")
    with pytest.raises(Failure, match="batch_size of 3 at least") as caught:
        train("mlp", {"batch_size": 1})
    assert caught.value.failure is FailureClass.INFEASIBLE


def test_single_examples_train_without_batch_norm(train: Callable[..., Any]) -> None:
    assert (
        train("mlp", {"batch_size": 1, "norm": "layer", "width": 16, "lr": 1e-3}).result.metrics["val_accuracy"] > 0.5
    )


def assignment(**changes: Any) -> Assignment:
    objective = {"type": "train", "family": "lenet", "dataset": "digits", **changes.pop("objective", {})}
    return Assignment(**{"key": "1", "objective": objective, "config": {}, "seed": 0, **changes})


def finish(assignment: Assignment) -> int:
    """The number of reports."""
    return sum(1 for _ in TrainObjective().train(assignment))


def test_without_a_fidelity_the_objective_or_the_family_says_how_long() -> None:
    assert finish(assignment(objective={"epochs": 2, "family": "mlp"})) == 2
    assert finish(assignment(objective={"family": "mlp"})) == FAMILIES["mlp"].epochs


def test_the_final_test_reads_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "c"
    finish(assignment(fidelity=("epochs", 9, 9), checkpoint=path))
    metrics = TrainObjective().test(assignment(resume_from=path, task="test"))
    assert set(metrics) == {"test_accuracy", "test_loss"}
    assert metrics["test_accuracy"] > 0.96
    assert metrics == TrainObjective().test(assignment(resume_from=path, task="test"))


@pytest.mark.parametrize("family", ["mlp", "lenet"])
def test_the_defaults_are_strong(family: str, train: Callable[..., Any]) -> None:
    assert train(family, epochs=27).result.metrics["val_accuracy"] >= {"mlp": 0.98, "lenet": 0.985}[family]


def test_a_result_says_whether_there_is_anything_left_to_train(train: Callable[..., Any]) -> None:
    assert train("mlp", epochs=2).result.complete
    assert train("mlp", epochs=2, stop_after=2).result.complete, "it was its last report"
    assert not train("mlp", epochs=2, stop_after=1).result.complete
