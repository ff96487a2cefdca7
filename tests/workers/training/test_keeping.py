"""Which weights are the result: averages, snapshots, the best epoch; and that a training with them goes on exactly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from workers.data.loading import Examples
from workers.families.noise import Dropout
from workers.objectives.train import TrainObjective
from workers.protocol import Assignment, Failure, FailureClass
from workers.training.averaging import Averaging, find_batch_statistics
from workers.training.committee import Snapshots, committee_of
from workers.training.course import Course
from workers.training.loop import build
from workers.training.optimizer_state import packed, unpacked
from workers.training.plan import Plan

SMALL = {"width": 16, "batch_size": 256}
STATEFUL = [
    {"averaging": "ema"},
    {"averaging": "swa", "swa_from": 0.3},
    {"averaging": "snapshot", "schedule": "sgdr", "cycles": 3, "cycle_growth": 1},
    {"early_stopping": True, "patience": 0.4, "lr": 0.3},
    {"early_stopping": True, "averaging": "ema"},
    {"schedule": "plateau", "lr_wait": 0.01, "lr_drop": 0.5, "lr": 0.2},
    {"norm": "weight", "input_noise": 0.1, "hidden_noise": 0.1, "weight_noise": 0.1, "input_dropout": 0.1},
    {"adversarial": "vat", "dropout": 0.2, "dropout_kind": "gaussian"},
    {"adversarial": "fgsm", "clip": "random_step", "clip_norm": 0.5},
    {"batch_growth": 2, "lr_link": "sqrt", "balanced": True},
    {"optimizer": "lbfgs"},
    {"averaging": "mc_dropout", "dropout": 0.3, "mc_samples": 3},
    {"preprocessing": "whiten"},
    {"optimizer": "sgd", "momentum_ramp": True, "decay": "elastic"},
    {"activation": "maxout", "init": "data_scaled", "norm_place": "after", "augmentation": "randaugment"},
]


@pytest.mark.parametrize("config", STATEFUL, ids=lambda config: "-".join(map(str, config.values())))
def test_a_pause_makes_no_difference(config: dict[str, Any], train: Callable[..., Any], tmp_path: Path) -> None:
    whole = train("mlp", {**SMALL, **config}, 6, 6, checkpoint=tmp_path / "whole")
    first = train("mlp", {**SMALL, **config}, 2, 6, checkpoint=tmp_path / "2")
    second = train("mlp", {**SMALL, **config}, 6, 6, resume_from=tmp_path / "2", checkpoint=tmp_path / "6")
    assert [r.metrics for r in (*first.reports, *second.reports)] == [r.metrics for r in whole.reports]
    assert second.result == whole.result
    assert (tmp_path / "6").read_bytes() == (tmp_path / "whole").read_bytes()
    again = train("mlp", {**SMALL, **config}, 6, 6, resume_from=tmp_path / "6", checkpoint=tmp_path / "again")
    assert again.reports == []
    assert (tmp_path / "again").read_bytes() == (tmp_path / "whole").read_bytes()


@pytest.mark.parametrize("config", STATEFUL[:5], ids=lambda config: "-".join(map(str, config.values())))
def test_what_was_judged_is_what_the_final_test_reads(
    config: dict[str, Any], train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workers.data.loading import training_data
    from workers.training import loop

    trained = train("mlp", {**SMALL, **config}, 5, 5, checkpoint=tmp_path / "c")
    monkeypatch.setattr(loop, "held_out_data", lambda *given: training_data(*given).validation)
    objective = {"type": "train", "family": "mlp", "dataset": "digits"}
    read = TrainObjective().test(
        Assignment(key="1", objective=objective, config={**SMALL, **config}, seed=0, resume_from=tmp_path / "c")
    )
    assert read["test_accuracy"] == trained.result.metrics["val_accuracy"]
    assert read["test_loss"] == trained.result.metrics["val_loss"]


def test_an_early_end_gives_the_best_epoch_and_stays_ended(train: Callable[..., Any], tmp_path: Path) -> None:
    config = {**SMALL, "early_stopping": True, "patience": 0.1, "lr": 0.5, "schedule": "constant", "optimizer": "sgd"}
    trained = train("mlp", config, 30, 30, checkpoint=tmp_path / "c")
    scores = [report.metrics["val_accuracy"] for report in trained.reports]
    assert len(scores) < 30
    assert trained.result.metrics["val_accuracy"] == max(scores)
    assert len(scores) - (scores.index(max(scores)) + 1) == 3  # a tenth of 30 epochs in vain
    assert train("mlp", config, 30, 30, resume_from=tmp_path / "c").result.metrics == trained.result.metrics


def test_the_moving_mean_is_the_recursion() -> None:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(layer.weight)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    averaging = Averaging(layer, [optimizer], {"averaging": "ema", "ema_rate": 0.5})
    mean = 0.0
    for step in range(12):
        layer.weight.grad = torch.full_like(layer.weight, -1.0)  # the weight is the number of steps
        optimizer.step()
        mean += max(0.5, 9 / (10 + step)) * (step + 1 - mean)
    assert float(averaging.means["weight"]) == pytest.approx(mean)
    with averaging.in_effect(Examples(torch.zeros(1, 1))):
        assert float(layer.weight.detach()) == pytest.approx(mean)
    assert float(layer.weight.detach()) == 12


def test_swa_is_the_plain_mean_of_the_last_epochs() -> None:
    layer = nn.Linear(1, 1, bias=False)
    averaging = Averaging(layer, [], {"averaging": "swa", "swa_from": 0.5})
    for epoch in range(1, 11):
        nn.init.constant_(layer.weight, epoch)
        averaging.end_epoch(epoch / 10)
    assert float(averaging.means["weight"]) == pytest.approx(8)  # of 6, 7, 8, 9, 10


class Plain(nn.Sequential):
    committee = None


def test_batch_statistics_are_those_of_the_examples() -> None:
    model: Any = Plain(nn.BatchNorm1d(3), nn.Dropout(0.5))
    x = torch.randn(500, 3, generator=torch.Generator().manual_seed(0)) * 4 + 7
    find_batch_statistics(model, Examples(x))
    norm = model[0]
    assert isinstance(norm, nn.BatchNorm1d)
    torch.testing.assert_close(norm.running_mean, x.mean(dim=0))
    torch.testing.assert_close(norm.running_var, x.var(dim=0))
    assert norm.momentum == 0.1


@pytest.mark.parametrize("probabilities", [True, False])
@pytest.mark.parametrize("kind", ["bernoulli", "gaussian"])
def test_thinned_networks_answer_with_the_mean_of_what_dropout_leaves(probabilities: bool, kind: str) -> None:
    dropout, head = Dropout(0.5), nn.Linear(6, 4)
    nn.init.normal_(head.weight, generator=torch.Generator().manual_seed(1))
    network = nn.Sequential(dropout, head).eval()
    settings = {"averaging": "mc_dropout", "mc_samples": 3, "dropout_kind": kind}
    committee = committee_of(network, settings, probabilities)
    assert committee is not None
    x = torch.rand(5, 6, generator=torch.Generator().manual_seed(2))
    rng, members = torch.Generator().manual_seed(0), []
    for _ in range(3):
        factor = torch.empty(5, 6)
        factor = (
            factor.bernoulli_(0.5, generator=rng) * 2 if kind == "bernoulli" else factor.normal_(1, 1, generator=rng)
        )
        members.append(head(x * factor))
    answers = torch.stack(members)
    expected = answers.softmax(dim=2).mean(dim=0).log() if probabilities else answers.mean(dim=0)
    found = committee(x)
    torch.testing.assert_close(found, expected)
    assert torch.equal(found, committee(x)), "the same question gets the same answer"
    assert not dropout.training


@pytest.mark.parametrize("probabilities", [True, False])
def test_a_committee_answers_with_the_mean(probabilities: bool) -> None:
    layer = nn.Linear(2, 3)
    network = nn.Sequential(layer, nn.BatchNorm1d(3)).eval()
    committee = Snapshots(network, 2, probabilities).eval()
    settings = {"warmup": 0.0, "cycles": 2, "cycle_growth": 1}
    x, answers = torch.rand(4, 2), []
    torch.testing.assert_close(committee(x), network(x))
    for progress in (0.5, 1.0):
        nn.init.constant_(layer.weight, progress)
        nn.init.normal_(layer.bias, generator=torch.Generator().manual_seed(int(2 * progress)))
        committee.catch_up(settings, progress)
        committee.catch_up(settings, progress)  # once per cycle
        answers.append(network(x))
    expected = torch.stack([a.softmax(1) for a in answers]).mean(0).log() if probabilities else sum(answers) / 2
    torch.testing.assert_close(committee(x), expected)


def test_snapshots_are_taken_per_cycle(train: Callable[..., Any], tmp_path: Path) -> None:
    config = {**SMALL, "averaging": "snapshot", "schedule": "sgdr", "cycles": 2, "cycle_growth": 1, "warmup": 0}
    for epochs, taken in ((1, 0), (2, 1), (4, 2)):
        train("mlp", config, epochs, 4, checkpoint=tmp_path / f"{epochs}")
        assert int(load_file(tmp_path / f"{epochs}")["model/committee.taken"]) == taken


def test_snapshots_without_restarts_are_infeasible(train: Callable[..., Any]) -> None:
    with pytest.raises(Failure, match="sgdr") as caught:
        train("mlp", {"averaging": "snapshot"})
    assert caught.value.failure is FailureClass.INFEASIBLE


def test_the_rate_falls_where_scores_no_longer_improve() -> None:
    settings = {"schedule": "plateau", "lr_wait": 0.2, "lr_drop": 0.1, "early_stopping": False}
    course = Course(settings, horizon=10, direction="minimize")
    scales = []
    for score in (5, 4, 4, 4.5, 4, 4, 3, 3):
        course.look(score)
        scales.append(course.lr_scale)
    assert scales == pytest.approx([1, 1, 1, 0.1, 0.1, 0.01, 0.01, 0.01])
    other = Course(settings, horizon=10, direction="minimize")
    other.restore(course.state())
    assert (other.lr_scale, other.best, other.epoch) == (course.lr_scale, -3, 8)


def test_what_an_optimizer_remembers_comes_back() -> None:
    memory: dict[str, Any] = {
        "n": 3,
        "t": 0.5,
        "d": torch.ones(2),
        "old": [torch.zeros(1), torch.ones(1)],
        "none": None,
        "empty": [],
    }
    back = unpacked(packed(memory))
    assert back == {**back, "n": 3, "t": 0.5, "empty": []}
    assert "none" not in back
    assert [float(each) for each in back["old"]] == [0, 1]
    assert torch.equal(back["d"], memory["d"])


def test_lbfgs_with_snapshots_and_batch_norm(train: Callable[..., Any], tmp_path: Path) -> None:
    """Each snapshot has the statistics of its own weights, so that it answers as the network did then."""
    config = {**SMALL, "optimizer": "lbfgs", "norm": "batch", "lr": 0.5, "warmup": 0}
    config |= {"averaging": "snapshot", "schedule": "sgdr", "cycles": 2, "cycle_growth": 1}
    for epochs in (1, 2, 4):
        train("mlp", config, epochs, 4, checkpoint=tmp_path / f"{epochs}")
    halfway, end = (load_file(tmp_path / f"{epochs}") for epochs in (2, 4))
    assert int(end["model/committee.taken"]) == 2
    places = {name: f"model/committee.{name.removeprefix('model/network.').replace('.', '-')}" for name in end}
    names = [name for name in end if name.startswith("model/network.")]
    assert any("running_var" in name for name in names)
    for name in names:
        assert torch.equal(end[places[name]][0], halfway[name]), name
        assert torch.equal(end[places[name]][1], end[name]), name


def test_the_first_epoch_of_lbfgs_changes_the_weights(train: Callable[..., Any], tmp_path: Path) -> None:
    """With a warm-up that begins at 0, too."""
    config = {**SMALL, "optimizer": "lbfgs", "warmup": 0.5}
    train("mlp", config, 1, 4, checkpoint=tmp_path / "1")
    train("mlp", config, 2, 4, checkpoint=tmp_path / "2")
    work = Assignment(
        key="1",
        objective={"type": "train", "family": "mlp", "dataset": "digits"},
        config=config,
        seed=0,
        fidelity=("epochs", 1, 4),
    )
    first = dict(build(Plan.of(work), 0).named_parameters())
    one, two = load_file(tmp_path / "1"), load_file(tmp_path / "2")
    for name, weight in first.items():
        if weight.ndim > 1:
            assert not torch.equal(one[f"model/{name}"], weight), name
            assert not torch.equal(two[f"model/{name}"], one[f"model/{name}"]), name
