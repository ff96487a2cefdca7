from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from workers.data.loading import Data
from workers.jobs import JOBS, carry_out, kinds_of, steps
from workers.jobs.calibration import calibration, temperature_of
from workers.jobs.candidates import candidates, targets_of
from workers.jobs.selection import greedy, scores
from workers.model_file import ModelFileError, read_model
from workers.objectives.train import TrainObjective
from workers.protocol import Assignment, Failure, FailureClass, Job, Member, Result, to_the_end
from workers.training.supervised import Supervised

OBJECTIVE = {"type": "train", "family": "mlp", "dataset": "digits"}


def assignment(kind: str, *members: Member, config: dict[str, Any] | None = None, **options: Any) -> Assignment:
    return Assignment(
        key="1",
        objective=OBJECTIVE,
        config={"width": 32} if config is None else config,
        seed=3,
        fidelity=("epochs", 4, 4),
        task="job",
        job=Job(kind, options, members),
    )


def run(work: Assignment) -> Result:
    return to_the_end(TrainObjective().train(work))[1]


def confirmation(tmp_path: Path, trial: int, seed: int, **config: Any) -> Member:
    path = tmp_path / f"{trial}-{seed}"
    assert carry_out(replace(assignment("confirm", config=config), seed=seed, checkpoint=path)).checkpointed
    return Member(trial, config, seed, path, ("epochs", 4, 4), source="confirmation")


def member(tmp_path: Path, trial: int, **config: Any) -> Member:
    path = tmp_path / str(trial)
    run(replace(assignment("none"), task="train", config=config, seed=trial, checkpoint=path))
    return Member(trial, config, trial, path, ("epochs", 4, 4))


def test_only_trainings_have_jobs() -> None:
    assert [kind.name for kind in kinds_of(OBJECTIVE)] == list(JOBS)
    assert kinds_of({"type": "external"}) == ()


def test_a_network_learns_64_examples_by_heart() -> None:
    found = carry_out(assignment("overfit")).details
    assert found["passed"]
    assert found["value"] >= 0.98
    assert found["examples"] == 64
    assert len(found["curve"]) == found["epochs"] < 300
    assert found["why"] == ""


def test_one_that_cannot_learn_fails_the_gate_with_the_suspected_cause() -> None:
    found = carry_out(assignment("overfit", config={"width": 1, "depth": 6})).details
    assert not found["passed"]
    assert "network" in found["why"]
    assert found["epochs"] == len(found["curve"])


@pytest.mark.parametrize(
    "config", [{"lr": 1e-9}, {"lr": 100, "optimizer": "sgd"}, {"dropout": 0.95}, {"batch_size": 4}]
)
def test_the_gate_is_about_the_network_not_about_its_recipe(config: dict[str, Any]) -> None:
    assert carry_out(assignment("overfit", config={"width": 32, **config})).details["passed"]


def test_the_learning_rate_rises_until_the_loss_does() -> None:
    found = carry_out(assignment("lr_range", config={"optimizer": "sgd", "norm": "none"})).details
    assert found["lrs"] == sorted(found["lrs"])
    assert len(found["lrs"]) == len(found["losses"])
    assert all(map(math.isfinite, found["losses"]))
    assert found["losses"][0] > min(found["losses"])
    told_late = found["lrs"].index(found["diverged"])
    assert 5 <= len(found["lrs"]) - told_late <= 10
    assert found["low"] < found["high"] < found["diverged"]


@pytest.mark.parametrize("config", [{}, {"optimizer": "sgd", "norm": "none"}])
def test_the_proposed_range_holds_rates_that_learn_and_none_that_fail(config: dict[str, Any]) -> None:
    found = carry_out(assignment("lr_range", config={"width": 64, **config})).details

    def accuracy(lr: float) -> float:
        return carry_out(assignment("confirm", config={"width": 64, **config, "lr": lr})).metrics["val_accuracy"]

    middle = math.sqrt(found["low"] * found["high"])
    assert accuracy(found["high"]) > 0.9
    assert accuracy(middle) > 0.9
    assert accuracy(middle) > accuracy(found["low"] / 10)


@pytest.mark.parametrize("kind", ["confirm", "overfit", "lr_range"])
def test_all_begin_with_what_the_examples_tell(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is found out of a network must be of the one that is trained."""
    begin, begun = Supervised.begin, []

    def told(learner: Supervised, data: Data) -> None:
        begin(learner, data)
        begun.append(learner)

    monkeypatch.setattr(Supervised, "begin", told)
    carry_out(assignment(kind))
    assert begun


def test_the_range_is_of_the_first_weights_that_were_asked_for() -> None:
    first = [
        carry_out(assignment("lr_range", config={"width": 16, "init": init, "init_gain": 2.0})).details["losses"][0]
        for init in ("orthogonal", "data_scaled")
    ]
    assert first[0] != pytest.approx(first[1], rel=1e-3)


@pytest.mark.parametrize(
    "recipe",
    [
        {"clip": "norm", "clip_norm": 0.01},
        {"weight_noise": 0.5},
        {"dropout_kind": "gaussian"},
        {"augmentation": "manual"},
        {"adversarial": "fgsm"},
        {"momentum_ramp": True},
        {"lr_link": "linear"},
    ],
    ids=lambda recipe: next(iter(recipe)),
)
def test_the_range_is_of_the_steps_that_the_recipe_takes(recipe: dict[str, Any]) -> None:
    plain = {"width": 16, "optimizer": "sgd", "norm": "none", "dropout": 0.3, "one_minus_momentum": 0.05}
    plain["batch_size"] = 128
    ranges = [carry_out(assignment("lr_range", config={**plain, **more})).details for more in ({}, recipe)]
    assert ranges[0]["losses"] != ranges[1]["losses"]


def test_the_range_of_an_rbm_is_of_linked_rates_too() -> None:
    """It takes whole users, for which it makes a batch size of its own."""
    ratings = {"type": "train", "family": "recommender", "dataset": "movielens_small"}
    config = {"model": "rbm", "optimizer": "sgd", "hidden": 4, "batch_size": 256}
    ranges = [
        carry_out(replace(assignment("lr_range", config={**config, "lr_link": link}), objective=ratings)).details
        for link in ("none", "linear")
    ]
    assert ranges[0]["losses"] != ranges[1]["losses"]


def test_rates_may_be_larger_where_gradients_are_clipped() -> None:
    config = {"width": 16, "optimizer": "sgd", "norm": "none"}
    free = carry_out(assignment("lr_range", config=config)).details
    clipped = carry_out(assignment("lr_range", config={**config, "clip": "norm", "clip_norm": 0.01})).details
    assert clipped["high"] > free["high"]


def test_the_range_is_of_stretches_where_a_text_is_learnt_in_stretches() -> None:
    text = {"type": "train", "family": "char_lm", "dataset": "pydoc_text"}
    found = carry_out(replace(assignment("lr_range", config={"hidden": 16, "context": 16}), objective=text)).details
    assert found["losses"][0] > min(found["losses"])
    assert found["low"] < found["high"]


@pytest.mark.parametrize(
    ("objective", "config"),
    [
        ({"type": "train", "family": "recommender", "dataset": "movielens_small"}, {"model": "knn"}),
        ({"type": "train", "family": "char_lm", "dataset": "pydoc_text"}, {"core": "ngram"}),
        (OBJECTIVE, {"optimizer": "lbfgs"}),
    ],
    ids=["knn", "ngram", "lbfgs"],
)
def test_what_takes_no_steps_of_descent_has_no_range(objective: dict[str, Any], config: dict[str, Any]) -> None:
    with pytest.raises(Failure, match="no learning rate to look for") as caught:
        carry_out(replace(assignment("lr_range", config=config), objective=objective))
    assert caught.value.failure is FailureClass.INFEASIBLE


def test_the_range_test_begins_where_an_epoch_does() -> None:
    """The operations of cells are dropped the more, the longer they train: first not at all."""
    cell = {"cell": "nas-bench-201", "channels": 2, "layers": 1, "batch_size": 512, "schedule": "constant"}
    work = replace(assignment("lr_range"), objective={**OBJECTIVE, "family": "cell"})
    first = [carry_out(replace(work, config={**cell, "drop_path": drop})).details["losses"][:3] for drop in (0.0, 0.9)]
    assert first[0] == first[1]


def test_another_seed_is_another_training_of_the_same_config() -> None:
    first = carry_out(assignment("confirm"))
    again = carry_out(assignment("confirm"))
    other = carry_out(replace(assignment("confirm"), seed=4))
    assert first.metrics == again.metrics
    assert first.metrics["val_loss"] != other.metrics["val_loss"]
    assert first.metrics["val_accuracy"] > 0.7


@pytest.mark.parametrize("data", ["train", "train+validation"])
def test_the_last_training_leaves_a_model_to_take_away(data: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    result = carry_out(replace(assignment("refit", data=data, card={"study": "s"}), checkpoint=path))
    assert result.checkpointed
    assert ("val_accuracy" in result.metrics) == (data == "train")
    assert result.metrics["test_accuracy"] > 0.7
    model = read_model(path)
    assert model.card["study"] == "s"
    assert model.card["trained_on"] == data
    assert model.card["metrics"] == result.metrics

    from workers.catalogue import DATASETS
    from workers.data.loading import held_out_data
    from workers.data.part import Part

    test = held_out_data(DATASETS["digits"], Part(), torch.device("cpu"))
    probabilities = model.predict(test.inputs)
    assert torch.allclose(probabilities.sum(dim=1), torch.ones(len(test)), atol=1e-5)
    accuracy = (probabilities.argmax(dim=1) == test.targets).double().mean()
    assert float(accuracy) == pytest.approx(result.metrics["test_accuracy"])


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"nothing")
    with pytest.raises(ModelFileError, match="cannot be read"):
        read_model(tmp_path / "x")
    with pytest.raises(ModelFileError):
        read_model(tmp_path / "absent")


def test_an_ensemble_is_no_worse_than_its_best_member(tmp_path: Path) -> None:
    members = [member(tmp_path, 1, width=16), member(tmp_path, 2, width=32), member(tmp_path, 3, width=8)]
    result = carry_out(assignment("ensemble", *members))
    details = result.details
    assert sum(one["weight"] for one in details["members"]) == pytest.approx(1)
    assert details["best"] == 2
    assert details["ensemble"]["val_loss"] <= details["single"]["val_loss"]
    assert 0 < details["correlation"] < 1
    assert result.metrics == details["ensemble"]
    for found in details["calibration"].values():
        assert found["scaled"]["nll"] <= found["nll"] + 0.02
        assert sum(one["share"] for one in found["bins"]) == pytest.approx(1)
        assert found["coverage"][-1]["coverage"] == 1


SNAPSHOTS = {"width": 32, "averaging": "snapshot", "schedule": "sgdr", "cycles": 2}


def test_ensembles_of_every_kind_are_compared_with_the_best_single_network(tmp_path: Path) -> None:
    members = [
        member(tmp_path, 1, width=16),
        member(tmp_path, 2, **SNAPSHOTS),
        confirmation(tmp_path, 1, 5, width=16),
        confirmation(tmp_path, 1, 6, width=16),
        confirmation(tmp_path, 2, 5, **SNAPSHOTS),
    ]
    details = carry_out(assignment("ensemble", *members, best=1)).details
    kinds = {one["kind"]: one for one in details["kinds"]}
    counted = {kind: one["candidates"] for kind, one in kinds.items()}
    assert counted == {"seeds": 2, "hyper_deep": 3, "configs": 2, "snapshots": 2, "all": 5 + 2 * 2}
    assert {one["seed"] for one in kinds["seeds"]["members"]} <= {5, 6}
    assert len({(one["source"], one["trial"], one["seed"]) for one in kinds["snapshots"]["members"]}) == 1
    assert all(one["snapshot"] is None for one in kinds["hyper_deep"]["members"])
    assert details["ensemble"] == kinds[details["chosen"]]["scores"]
    assert details["ensemble"]["val_loss"] == min(one["scores"]["val_loss"] for one in kinds.values())
    for one in kinds.values():
        assert sum(member["weight"] for member in one["members"]) == pytest.approx(1)
        assert one["networks"] >= len(one["members"])
    assert kinds["all"]["scores"]["val_loss"] <= details["single"]["val_loss"]


def test_snapshots_together_answer_what_their_training_does(tmp_path: Path) -> None:
    whole, *snapshots = candidates(assignment("ensemble"), (member(tmp_path, 2, **SNAPSHOTS),), torch.device("cpu"))
    assert [one.snapshot for one in snapshots] == [0, 1]
    assert (whole.networks, *(one.networks for one in snapshots)) == (2, 1, 1)
    assert not torch.allclose(snapshots[0].test, snapshots[1].test)
    assert torch.allclose(whole.test, (snapshots[0].test + snapshots[1].test) / 2, atol=1e-5)


def test_what_a_confirmation_keeps_answers_as_it_did_and_no_more(tmp_path: Path) -> None:
    kept = confirmation(tmp_path, 1, 5, width=32)
    told = carry_out(replace(assignment("confirm"), seed=5)).metrics
    (found,) = candidates(assignment("ensemble"), (kept,), torch.device("cpu"))
    targets = targets_of(assignment("ensemble"), kept)
    assert scores("val", found.validation, targets.validation, classes=True) == {
        name: pytest.approx(told[name], abs=1e-5) for name in ("val_loss", "val_accuracy")
    }
    assert kept.checkpoint.stat().st_size < member(tmp_path, 1, width=32).checkpoint.stat().st_size / 2


def test_members_that_were_judged_on_other_folds_are_left_out(tmp_path: Path) -> None:
    def of_folds(trial: int, level: int) -> Member:
        path, fidelity = tmp_path / str(trial), ("folds", level, 3)
        work = replace(assignment("none"), objective=OBJECTIVE | {"epochs": 2}, task="train", fidelity=fidelity)
        run(replace(work, seed=trial, checkpoint=path))
        return Member(trial, {"width": 32}, trial, path, fidelity)

    work = assignment("ensemble", of_folds(1, 2), of_folds(2, 3), of_folds(3, 3))
    details = carry_out(replace(work, objective=OBJECTIVE | {"epochs": 2})).details
    assert details["left_out"] == 1
    assert {one["trial"] for kind in details["kinds"] for one in kind["members"]} <= {2, 3}


def test_greedy_selection_takes_what_helps_and_nothing_else() -> None:
    targets = torch.tensor([0, 1, 0, 1])
    right = torch.tensor([[0.9, 0.1], [0.1, 0.9], [0.9, 0.1], [0.1, 0.9]])
    assert set(greedy(torch.stack([1 - right, right]), targets, classes=True)) == {1}
    left_half = torch.tensor([[0.9, 0.1], [0.1, 0.9], [0.5, 0.5], [0.5, 0.5]])
    right_half = torch.tensor([[0.5, 0.5], [0.5, 0.5], [0.9, 0.1], [0.1, 0.9]])
    assert set(greedy(torch.stack([left_half, right_half]), targets, classes=True)) == {0, 1}


def test_temperature_undoes_overconfidence() -> None:
    rng = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(5000, 4, generator=rng, dtype=torch.float64)
    targets = torch.multinomial(logits.softmax(dim=1), 1, generator=rng)[:, 0]
    boasting = (3 * logits).softmax(dim=1)
    temperature = temperature_of(boasting, targets)
    assert temperature == pytest.approx(3, rel=0.1)
    found = calibration(boasting, targets, temperature)
    assert found["scaled"]["ece"] < 0.03 < found["ece"]
    assert found["scaled"]["nll"] < found["nll"]


@pytest.mark.parametrize("kind", ["confirm", "refit"])
def test_a_job_that_trains_can_be_ended_on_the_way(kind: str, tmp_path: Path) -> None:
    work = replace(assignment(kind, config={"width": 8}), checkpoint=tmp_path / "x", fidelity=("epochs", 500, 500))
    training = steps(work)
    assert next(training).step == 1
    training.close()
    assert not (tmp_path / "x").exists()
    assert [report.step for report in to_the_end(steps(replace(work, fidelity=("epochs", 3, 3))))[0]] == [1, 2, 3]
