"""The run of a hypergradient study: what it reports, ranks and refuses, and that a pause makes no difference."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from search import ALGORITHMS
from spaces import Space
from workers.checkpoints import CheckpointError
from workers.data.loading import training_data
from workers.hypergradients.search import Search
from workers.hypergradients.tuned import Tuned
from workers.objectives.train import TrainObjective
from workers.protocol import Assignment, Failure, FailureClass, Report, Result, Stop, Supernet
from workers.training.plan import Plan

WEIGHT_DECAY = {"name": "weight_decay", "type": "float", "low": 1e-6, "high": 1, "log": True}
INPUT_NOISE = {"name": "input_noise", "type": "float", "low": 0, "high": 1}
CONFIG = {"weight_decay": 1e-3, "input_noise": 0.1, "width": 8, "depth": 1}
METHODS = [
    {"method": "t1t2"},
    {"method": "implicit", "solver": "neumann", "terms": 3, "every": 4},
    {"method": "implicit", "solver": "cg", "terms": 3, "every": 4},
]
TUNED = ("weight_decay", "input_noise")


def descend(
    options: Mapping[str, Any],
    config: Mapping[str, Any] = CONFIG,
    parameters: tuple[Mapping[str, Any], ...] = (WEIGHT_DECAY, INPUT_NOISE),
    family: str = "mlp",
    dataset: str = "digits",
    stop_after: int | None = None,
    constraints: tuple[Mapping[str, Any], ...] = (),
    **more: Any,
) -> tuple[list[Report], Result]:
    """Carries out one run: its reports and its result."""
    steps = TrainObjective().train(assigned(options, config, parameters, family, dataset, constraints, **more))
    reports, answer = list[Report](), None
    while True:
        try:
            reports.append(steps.send(answer))
        except StopIteration as end:
            return reports, end.value
        answer: Stop | None = "stop" if reports[-1].step == stop_after else None  # type: ignore[no-redef]


def assigned(
    options: Mapping[str, Any],
    config: Mapping[str, Any],
    parameters: tuple[Mapping[str, Any], ...],
    family: str = "mlp",
    dataset: str = "digits",
    constraints: tuple[Mapping[str, Any], ...] = (),
    **more: Any,
) -> Assignment:
    defaults = {each.name: each.default for each in ALGORITHMS["hypergradient"].options}
    named = {parameter["name"] for parameter in parameters}
    fixed = [{"name": name, "type": "constant", "value": value} for name, value in config.items() if name not in named]
    space = {"parameters": [*parameters, *fixed], "constraints": [*constraints]}
    supernet = Supernet("hypergradient", {**defaults, **options}, space)
    objective = {"type": "train", "family": family, "dataset": dataset}
    given = {"config": config, "seed": 7, **more}
    return Assignment(key="1", objective=objective, supernet=supernet, **given)


def told(reports: list[Report]) -> list[tuple[float, Mapping[str, float]]]:
    return [(report.step, report.metrics) for report in reports]


@pytest.mark.parametrize("method", METHODS, ids=["t1t2", "neumann", "cg"])
def test_a_path_is_reported_and_ranked_and_may_pause(method: dict[str, Any], tmp_path: Path) -> None:
    options = {"epochs": 4, "warmup": 0.25, "hyper_lr": 0.02, **method}
    whole, expected = descend(options, checkpoint=tmp_path / "whole")
    assert [report.step for report in whole] == [1, 2, 3, 4]
    for report in whole:
        wanted = {"train_loss", "val_accuracy", "val_loss", "held_loss", "lr", *(f"hyper.{name}" for name in TUNED)}
        assert wanted <= report.metrics.keys()
        assert all(map(math.isfinite, report.metrics.values()))
    path = expected.details["path"]
    assert path[0] == path[1] == {name: CONFIG[name] for name in TUNED}, "the first epoch only trains weights"
    assert "hypergradient_norm" not in whole[0].metrics
    assert all(path[-1][name] != path[0][name] for name in TUNED)
    assert [{name: report.metrics[f"hyper.{name}"] for name in TUNED} for report in whole] == path[1:]
    assert [entry["config"] for entry in expected.details["ranking"]] == [path[4], path[2], path[0]]
    assert [entry["score"] for entry in expected.details["ranking"]] == [1, 0.5, 0]
    assert json.loads(json.dumps(expected.details)) == expected.details

    first, paused = descend(options, checkpoint=tmp_path / "2", stop_after=2)
    assert "ranking" not in paused.details, "it may go on"
    assert (paused.complete, expected.complete) == (False, True)
    again, result = descend(options, resume_from=tmp_path / "2", checkpoint=tmp_path / "rest")
    assert told(again) == told(whole), "whoever saved it may have been lost before any of them was heard"
    assert told(first) == told(whole)[:2]
    assert result == expected
    learnt, wanted_tensors = load_file(tmp_path / "rest"), load_file(tmp_path / "whole")
    assert learnt.keys() == wanted_tensors.keys()
    assert all(torch.equal(learnt[name], wanted_tensors[name]) for name in wanted_tensors)


def test_a_descent_that_is_to_stop_before_its_next_epoch_keeps_what_it_went_on_from(tmp_path: Path) -> None:
    descend({"epochs": 2}, checkpoint=tmp_path / "1", stop_after=1)
    reports, result = descend({"epochs": 2}, resume_from=tmp_path / "1", checkpoint=tmp_path / "2", stop_after=1)
    assert [report.step for report in reports] == [1]
    assert result.checkpointed
    assert (tmp_path / "2").read_bytes() == (tmp_path / "1").read_bytes()


def test_nothing_depends_on_the_generator_that_threads_share() -> None:
    torch.manual_seed(1)
    first = descend({"epochs": 2})[1]
    torch.manual_seed(2)
    assert descend({"epochs": 2})[1] == first
    assert descend({"epochs": 2}, seed=8)[1] != first


def test_another_search_does_not_go_on_from_a_checkpoint(tmp_path: Path) -> None:
    descend({"epochs": 2}, checkpoint=tmp_path / "1", stop_after=1)
    with pytest.raises(CheckpointError, match="hypergradient"):
        descend({"epochs": 2, "hyper_lr": 0.5}, resume_from=tmp_path / "1")
    assert descend({"epochs": 2, "points": 2}, resume_from=tmp_path / "1")[1].details["ranking"]


@pytest.mark.parametrize("prior_bias", [True, False])
def test_weights_begin_with_what_the_examples_tell_as_in_a_training(prior_bias: bool) -> None:
    """But for those examples that the hyperparameters are judged by."""
    config = {**CONFIG, "prior_bias": prior_bias}
    work = assigned({}, config, (WEIGHT_DECAY, INPUT_NOISE), dataset="breast_cancer")
    plan, cpu = Plan.of(work), torch.device("cpu")
    search = Search(plan, work, cpu)
    search.prepare(training_data(plan.dataset, plan.part, cpu))
    assert search.train.targets is not None
    ill, well = (int(count) for count in search.train.targets.bincount())
    head = [module for module in search.network.learner.modules() if isinstance(module, torch.nn.Linear)][-1]
    begins = math.log(well / ill) / 2 if prior_bias else 0.0
    assert head.bias.tolist() == pytest.approx([-begins, begins])
    assert not prior_bias or begins > 0.2


@pytest.mark.parametrize(("start", "rises"), [(1e-6, True), (0.9, False)])
def test_decay_leaves_what_is_clearly_wrong(start: float, rises: bool) -> None:
    """Of 5 wines to learn from 13 numbers, much decay helps; beside the network's own optimum it falls."""
    config = {"weight_decay": start, "decay": "l2", "optimizer": "sgd", "lr": 0.1, "dropout": 0.0, "batch_size": 64}
    options = {"epochs": 40, "hyper_lr": 0.02, "method": "implicit", "terms": 20}
    _, result = descend(options, config, (WEIGHT_DECAY,), dataset="wine")
    end = result.details["path"][-1]["weight_decay"]
    assert (end > 3 * start) if rises else (end < start / 3)


def test_values_stay_within_their_bounds() -> None:
    narrow = ({**WEIGHT_DECAY, "low": 9e-4, "high": 1.1e-3}, {**INPUT_NOISE, "low": 0.09, "high": 0.11})
    _, result = descend({"epochs": 3, "warmup": 0, "hyper_lr": 1.0}, parameters=narrow)
    for place in result.details["path"]:
        assert 9e-4 <= place["weight_decay"] <= 1.1e-3
        assert 0.09 <= place["input_noise"] <= 0.11


def test_places_that_break_a_constraint_are_left_out() -> None:
    kept = {"forbid": {"parameter": "input_noise", "gt": 0.1}}
    config = {**CONFIG, "dropout": 0.0}
    free = descend({"epochs": 2, "hyper_lr": 0.2}, config)[1]
    assert free.details["path"][-1]["input_noise"] != 0.1
    low = free.details["path"][-1]["input_noise"] < 0.1
    constraint = {"forbid": {"parameter": "input_noise", "lt": 0.1}} if low else kept
    bound = descend({"epochs": 2, "hyper_lr": 0.2}, config, constraints=(constraint,))[1]
    assert [entry["epoch"] for entry in bound.details["ranking"]] == [0]


def test_equal_places_are_ranked_once() -> None:
    _, result = descend({"epochs": 2, "warmup": 0.9, "points": 5})
    assert [entry["epoch"] for entry in result.details["ranking"]] == [2, 1]


def test_a_loss_that_is_never_finite_is_a_failure() -> None:
    with pytest.raises(Failure, match=r"(loss|hypergradient) is (nan|inf) at step \d+ of 9 in epoch 1") as caught:
        descend({"epochs": 3, "warmup": 0}, {**CONFIG, "lr": 1e30, "optimizer": "sgd", "norm": "none", "clip": "none"})
    assert caught.value.failure is FailureClass.DIVERGED


def test_hyperparameters_that_lead_a_loss_astray_move_half_as_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    from workers.hypergradients.network import Network

    asked, whole = [0], Network.held_out

    def once_unsound(self: Network, *given: Any) -> torch.Tensor:
        asked[0] += 1
        return whole(self, *given) * (math.nan if asked[0] == 3 else 1)

    slow = descend({"epochs": 2, "warmup": 0, "hyper_lr": 0.005})[1].details["path"]
    monkeypatch.setattr(Network, "held_out", once_unsound)
    _, result = descend({"epochs": 2, "warmup": 0, "hyper_lr": 0.01})
    assert result.details["hypergradient"]["halvings"] == 1
    assert result.details["path"] == slow, "from where the epoch began"


@pytest.mark.parametrize(
    ("parameter", "reason"),
    [
        ({"name": "dropout", "type": "float", "low": 0, "high": 0.5}, "no gradient leads to dropout; it does to"),
        (None, "nothing"),
    ],
)
def test_what_no_gradient_leads_to_is_infeasible(parameter: dict[str, Any] | None, reason: str) -> None:
    fixed = {"name": "depth", "type": "constant", "value": 1}
    with pytest.raises(Failure, match=reason) as caught:
        descend({"epochs": 1}, {"dropout": 0.1, "depth": 1}, (parameter or fixed,))
    assert caught.value.failure is FailureClass.INFEASIBLE


def test_places_and_values_are_one_another() -> None:
    tuned = Tuned.of(Space.from_json({"parameters": [WEIGHT_DECAY, INPUT_NOISE]}))
    places = tuned.places({"weight_decay": 1e-3, "input_noise": 0.25})
    assert places.tolist() == pytest.approx([0.5, 0.25])
    step = torch.tensor([1e-6, 1e-6], dtype=torch.float64)
    above, below = tuned.values(places + step), tuned.values(places - step)
    slopes = tuned.stretched({"weight_decay": 2.0, "input_noise": 3.0}, places).tolist()
    assert slopes[0] == pytest.approx(2 * (above["weight_decay"] - below["weight_decay"]) / 2e-6)
    assert slopes[1] == pytest.approx(3 * (above["input_noise"] - below["input_noise"]) / 2e-6)
