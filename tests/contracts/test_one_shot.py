"""What every method of one-shot search must do, on a tiny dataset and with the smallest cells of both presets: with all
operations, and with some that the space rules out."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from search import ALGORITHMS
from search.found import best_first
from search.history import Found
from spaces import Space
from spaces.architectures import OneShot, of_space
from workers.catalogue import DATASETS
from workers.data.loading import training_data
from workers.objectives.train import TrainObjective
from workers.protocol import Assignment, Failure, FailureClass, Report, Result, Stop, Supernet, to_the_end
from workers.supernets.dealing import halves
from workers.supernets.methods import METHODS
from workers.training.plan import Plan

sys.path.append(str(Path(__file__).parent))  # for the rows of the tiny datasets, which name their code
from tiny_datasets import TINY

CELLS: Mapping[str, dict[str, Any]] = {
    "nas-bench-201": {"nodes": 3, "ops": ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3"]},
    "darts": {"nodes": 1, "ops": ["max_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5"]},
    "nas-bench-201 narrowed": {
        "choices": {"0-1": ["nor_conv_3x3"], "0-2": ["none"], "1-2": ["skip_connect", "nor_conv_1x1"]},
    },
    "darts narrowed": {
        "nodes": 2,
        "ops": ["max_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5"],
        "choices": {
            "normal.2.op0": ["skip_connect"],
            "normal.3.inputs": ["0-2"],
            "reduce.2.op1": ["skip_connect", "sep_conv_3x3", "sep_conv_5x5"],
        },
    },
}
TIES: Mapping[str, list[dict[str, Any]]] = {
    "nas-bench-201 narrowed": [
        {"forbid": {"parameter": "cell.0-3", "equals": "none"}},
        {
            "forbid": {
                "all": [{"parameter": "cell.1-3", "equals": "skip_connect"}, {"parameter": "channels", "lt": 6}],
            }
        },
        {
            "forbid": {
                "any": [
                    {
                        "all": [
                            {"parameter": "cell.1-3", "equals": {"parameter": "cell.2-3"}},
                            {"parameter": "cell.2-3", "in": ["none", "nor_conv_1x1", "avg_pool_3x3"]},
                        ]
                    },
                    {"all": [{"parameter": f"cell.{edge}", "equals": "skip_connect"} for edge in ("0-3", "1-2")]},
                ]
            }
        },
    ]
}
RULED_OUT: Mapping[str, Mapping[str, set[str]]] = {
    "nas-bench-201 narrowed": {
        "cell.0-1": {"none", "skip_connect", "nor_conv_1x1", "avg_pool_3x3"},
        "cell.0-2": {"skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"},
        "cell.1-2": {"none", "nor_conv_3x3", "avg_pool_3x3"},
        "cell.0-3": {"none"},
        "cell.1-3": {"skip_connect"},
    },
    "darts narrowed": {
        "normal.0-2": {"max_pool_3x3", "sep_conv_3x3", "sep_conv_5x5"},
        "normal.1-3": {"max_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5"},
        "reduce.1-2": {"max_pool_3x3"},
    },
}
EPOCHS = 3
VARIANTS: Mapping[str, list[dict[str, Any]]] = {
    "darts": [{"order": "second"}, {"order": "first"}],
    "sdarts": [{"perturbation": "random"}, {"perturbation": "adversarial", "ascent": 2}],
    "robust-darts": [
        # every look is a rise
        {"response": answer, "every": 1, "window": 1, "patience": 1, "start": 0, "rise": 1e-9}
        for answer in ("stop", "regularize")
    ],
    "proxyless": [
        {"warmup": 0.0, "alpha_every": 1},
        {"warmup": 0.34, "alpha_every": 2, "cost": "multiply_adds", "cost_form": "add"},
    ],
    "weight-entanglement": [{"relaxation": name} for name in ("softmax", "gumbel", "dirichlet")],
    "enas": [{"controller_steps": 2, "controller_samples": 3, "controller_hidden": 8}],
}
CASES = [
    pytest.param(method, preset, options, id=f"{method}-{preset}-{'-'.join(map(str, options.values()))}")
    for method in METHODS
    for number, options in enumerate(VARIANTS.get(method, [{}]))
    for preset in CELLS
    if preset.startswith("nas-bench-201") or (number == 0 and method != "robust-darts")
]
every_case = pytest.mark.parametrize(("method", "preset", "options"), CASES)


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS, "images", TINY["images"])  # type: ignore[misc]  # a plain dict


def space_of(preset: str) -> dict[str, Any]:
    cell = {"name": "cell", "type": "cell", "preset": preset.split()[0], **CELLS[preset]}
    if preset not in TIES:
        return {"parameters": [cell]}
    channels = {"name": "channels", "type": "int", "low": 2, "high": 8, "default": 4}
    return {"parameters": [cell, channels], "constraints": TIES[preset]}


def assignment(method: str, preset: str, options: Mapping[str, Any], **more: Any) -> Assignment:
    defaults = {each.name: each.default for each in ALGORITHMS[method].options if each.default is not None}
    small = {
        "epochs": EPOCHS,
        "channels": 4,
        "layers": 3 if preset.startswith("darts") else 1,
        "batch_size": 16,
        "ranked": 6,
    }
    given = {"alpha_lr": 0.1} if "alpha_lr" in defaults else {}
    supernet = Supernet(method, {**defaults, **small, **given, **options}, space_of(preset))
    objective = {"type": "train", "family": "cell", "dataset": "images"}
    return Assignment(key="1", objective=objective, config={}, seed=7, supernet=supernet, **more)


def train(work: Assignment, stop_after: int | None = None) -> tuple[list[Report], Result]:
    steps, reports, answer = TrainObjective().train(work), list[Report](), None
    while True:
        try:
            reports.append(steps.send(answer))
        except StopIteration as end:
            return reports, end.value
        answer: Stop | None = "stop" if reports[-1].step == stop_after else None  # type: ignore[no-redef]


def told(reports: list[Report]) -> list[tuple[float, Mapping[str, float]]]:
    return [(report.step, report.metrics) for report in reports]


def architecture_of(preset: str) -> OneShot:
    found = of_space(Space.from_json(space_of(preset)))
    assert isinstance(found, OneShot)
    return found


def _check(method: str, preset: str, reports: list[Report], result: Result) -> None:
    """What is reported and ranked."""
    architecture, space = architecture_of(preset), Space.from_json(space_of(preset))
    usual = {name: value for name, value in space.default().items() if not name.startswith("cell")}
    assert [report.step for report in reports] == list(range(1, len(reports) + 1))
    for report in reports:
        metrics = report.metrics
        assert {"train_loss", "val_accuracy", "val_loss", "alpha_entropy", "skip_share", "lr"} <= metrics.keys()
        assert all(map(math.isfinite, metrics.values()))
        assert 0 <= metrics["skip_share"] <= 1
        for kind, cell in architecture.supercells.items():
            for source, target in cell.edges:
                weights = [metrics[f"weight.{kind}.{source}-{target}.{op}"] for op in cell.ops]
                assert min(weights) >= 0
                ruled_out = RULED_OUT.get(preset, {}).get(f"{kind}.{source}-{target}", set())
                assert all((weight == 0) == (op in ruled_out) for op, weight in zip(cell.ops, weights, strict=True)), (
                    "of the others none is lost"
                )
                assert sum(weights) == pytest.approx(1, abs=1e-6)
    assert ("curvature" in reports[0].metrics) == (method == "robust-darts")
    details = result.details
    assert json.loads(json.dumps(details)) == details
    assert len(details["genotypes"]) == len(reports)
    for genotype in details["genotypes"]:
        space.validate({**usual, **architecture.config_of(genotype)})
    assert details["genotype"] in details["genotypes"]
    ranking = details["ranking"]
    assert len(ranking) == 6
    for entry in ranking:
        space.validate({**usual, **entry["config"]})
        assert architecture.objection(entry["config"]) is None
        assert 0 <= entry["score"] <= 1
    assert len({architecture.canonical(entry["config"]) for entry in ranking}) == 6
    found = [Found(entry["config"], entry["score"]) for entry in ranking]
    assert best_first(found) == tuple(found)
    own = [architecture.genotype(entry["config"]) for entry in ranking if entry.get("own")]
    trainable = architecture.objection(architecture.config_of(details["genotype"])) is None
    assert own == ([details["genotype"]] if trainable else [])


@every_case
def test_a_search_is_reported_and_ranked_and_may_pause(
    method: str, preset: str, options: dict[str, Any], tmp_path: Path
) -> None:
    whole, expected = train(assignment(method, preset, options, checkpoint=tmp_path / "whole"))
    _check(method, preset, whole, expected)
    first, paused = train(assignment(method, preset, options, checkpoint=tmp_path / "2"), stop_after=2)
    assert told(first) == told(whole)[:2]
    assert ("ranking" in paused.details) == (len(whole) == 2), "it may go on"
    again, result = train(assignment(method, preset, options, resume_from=tmp_path / "2", checkpoint=tmp_path / "rest"))
    assert told(again) == told(whole), "whoever saved it may have been lost before any of them was heard"
    assert result == expected
    learnt, wanted = load_file(tmp_path / "rest"), load_file(tmp_path / "whole")
    assert learnt.keys() == wanted.keys()
    assert all(torch.equal(learnt[name], wanted[name]) for name in wanted)


def test_a_search_that_is_to_stop_before_its_next_epoch_keeps_what_it_went_on_from(tmp_path: Path) -> None:
    small = ("rsps", "nas-bench-201", {})
    train(assignment(*small, checkpoint=tmp_path / "1"), stop_after=1)
    reports, result = train(assignment(*small, resume_from=tmp_path / "1", checkpoint=tmp_path / "2"), stop_after=1)
    assert [report.step for report in reports] == [1]
    assert result.checkpointed
    assert (tmp_path / "2").read_bytes() == (tmp_path / "1").read_bytes()


@pytest.mark.parametrize("method", METHODS)
def test_nothing_depends_on_the_generator_that_threads_share(method: str) -> None:
    work = assignment(method, "nas-bench-201", {**VARIANTS.get(method, [{}])[-1], "epochs": 1})
    torch.manual_seed(1)
    first = train(work)
    torch.manual_seed(2)
    second = train(work)
    assert [report.metrics for report in second[0]] == [report.metrics for report in first[0]]
    assert second[1] == first[1]


@pytest.mark.parametrize("response", ["stop", "regularize"])
def test_a_search_goes_back_to_where_the_curvature_was_low(response: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The curvature rises by half with every look: again and again for those that go on."""
    looks = count()
    monkeypatch.setattr("workers.supernets.search.dominant_eigenvalue", lambda *_: 0.1 * 1.5 ** next(looks))
    rule = {"response": response, "every": 1, "window": 1, "patience": 2, "start": 2, "rise": 1.3}
    reports, result = train(assignment("robust-darts", "nas-bench-201", {**rule, "epochs": 8, "alpha_lr": 0.5}))
    details, architecture = result.details, architecture_of("nas-bench-201")
    if response == "stop":
        assert len(reports) < 8
        assert details["genotype"] == details["genotypes"][details["supernet"]["genotype_of_epoch"]]
    else:
        assert len(reports) == 8
        assert details["supernet"]["raised_decay"] > 1
    own = [architecture.genotype(entry["config"]) for entry in details["ranking"] if entry.get("own")]
    if architecture.objection(architecture.config_of(details["genotype"])) is None:
        assert own == [details["genotype"]]


@pytest.mark.parametrize("seed", range(3))
def test_there_is_always_a_state_to_go_back_to(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often the curvature rises and falls."""
    factors = np.random.default_rng(seed).uniform(0.6, 1.9, 40)
    looks = iter(0.1 * np.cumprod(factors))
    monkeypatch.setattr("workers.supernets.search.dominant_eigenvalue", lambda *_: float(next(looks)))
    rule = {"response": "regularize", "every": 1, "window": 3, "patience": 2, "start": 2, "rise": 1.3}
    reports, result = train(assignment("robust-darts", "nas-bench-201", {**rule, "epochs": 40}))
    assert len(reports) == 40
    assert result.details["supernet"]["raised_decay"] > 1


def test_a_space_in_which_nothing_connects_is_not_searched() -> None:
    work = assignment("darts", "nas-bench-201", {})
    assert work.supernet is not None
    space = {
        "parameters": [{"name": "cell", "type": "cell", "preset": "nas-bench-201", "ops": ["none", "skip_connect"]}]
    }
    space["parameters"][0]["choices"] = {"0-1": ["none"], "0-2": ["none"], "0-3": ["none"]}
    with pytest.raises(Failure, match="nothing leads from the input") as caught:
        train(replace(work, supernet=replace(work.supernet, space=space)))
    assert caught.value.failure is FailureClass.INFEASIBLE


def test_all_channels_may_be_mixed() -> None:
    assert train(assignment("pc-darts", "darts", {"partial": 1, "epochs": 1}))[1].details["ranking"]


@pytest.mark.parametrize("method", ["gdas", "rsps", "enas"])
def test_another_seed_is_another_search(method: str) -> None:
    work = assignment(method, "nas-bench-201", {**VARIANTS.get(method, [{}])[0], "epochs": 1})
    assert train(work)[1] != train(replace(work, seed=8))[1]


def test_every_algorithm_with_a_supernet_has_its_method() -> None:
    assert {row.name for row in ALGORITHMS.values() if row.one_shot and row.needs_architecture} == METHODS.keys()
    assert all(name == row.name for name, row in METHODS.items())


def test_weights_and_architecture_learn_from_different_examples() -> None:
    plan = Plan.of(assignment("darts", "darts", {}))
    train_examples = training_data(plan.dataset, plan.part, torch.device("cpu")).train
    first, second = halves(train_examples, 7)
    rows = [{tuple(x.flatten().tolist()) for x in half.inputs} for half in (first, second)]
    assert len(first) + len(second) == len(train_examples) == len(rows[0] | rows[1])
    assert not rows[0] & rows[1]
    assert not torch.equal(halves(train_examples, 8)[0].inputs, first.inputs)


@pytest.mark.parametrize(
    ("method", "preset", "options", "reason"),
    [
        ("pc-darts", "nas-bench-201", {"partial": 3}, "mixes one channel in 3, and 4 channels cannot"),
        ("darts", "darts", {"layers": 2}, "no normal cell to search: take 3 at least"),
        ("darts", "darts", {"layers": 3, "channels": 1}, None),
    ],
)
def test_what_cannot_be_searched_says_why(
    method: str, preset: str, options: dict[str, Any], reason: str | None
) -> None:
    if reason is None:
        assert train(assignment(method, preset, {**options, "epochs": 1}))[1].details["ranking"]
        return
    with pytest.raises(Failure, match=reason) as caught:
        train(assignment(method, preset, options))
    assert caught.value.failure is FailureClass.INFEASIBLE


@pytest.mark.parametrize("cost", ["multiply_adds", "latency"])
def test_costs_that_weigh_nothing_are_told_before_any_data_is_loaded(
    cost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("it loads data")

    monkeypatch.setattr("workers.supernets.training.training_data", never)
    if cost == "latency":  # what a clock says of a skip
        monkeypatch.setattr("workers.supernets.costs.latency", lambda *_: 0.0)
    work = assignment("proxyless", "nas-bench-201", {"cost": cost})
    assert work.supernet is not None
    space = space_of("nas-bench-201")
    space["parameters"][0]["ops"] = ["none", "skip_connect", "avg_pool_3x3"]
    with pytest.raises(Failure, match=r"no operation .* multiplies|together cost 0 .latency") as caught:
        train(replace(work, supernet=replace(work.supernet, space=space)))
    assert caught.value.failure is FailureClass.INFEASIBLE


def test_a_space_without_an_architecture_is_refused() -> None:
    work = assignment("darts", "darts", {})
    assert work.supernet is not None
    plain = {"parameters": [{"name": "lr", "type": "float", "low": 0.1, "high": 1}]}
    with pytest.raises(Failure, match="no architecture") as caught:
        train(replace(work, supernet=replace(work.supernet, space=plain)))
    assert caught.value.failure is FailureClass.INFEASIBLE


def test_choices_that_the_space_leaves_out_are_not_found() -> None:
    work = assignment("darts", "nas-bench-201", {})
    assert work.supernet is not None
    entry = {**space_of("nas-bench-201")["parameters"][0], "choices": {"0-1": ["nor_conv_3x3"]}}
    work = replace(work, supernet=replace(work.supernet, space={"parameters": [entry]}))
    _, result = to_the_end(TrainObjective().train(work))
    assert {found["config"]["cell.0-1"] for found in result.details["ranking"]} == {"nor_conv_3x3"}
