"""What every network family must do, on a tiny dataset of each task that it has."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch._subclasses.fake_tensor import FakeTensorMode

from workers.catalogue import DATASETS, FAMILIES, Dataset, Family
from workers.data.loading import Data, Examples, held_out_data, training_data
from workers.jobs import carry_out
from workers.model_file import read_model
from workers.objectives.train import TrainObjective
from workers.protocol import Assignment, Job, Report, Result, to_the_end
from workers.tasks import HEALTH, TASKS
from workers.training import loop
from workers.training.loop import build, judge
from workers.training.plan import Plan

sys.path.append(str(Path(__file__).parent))  # for the rows of the tiny datasets, which name their code
from tiny_datasets import TINY, first_for

CPU = torch.device("cpu")
CONTROL = DATASETS["cartpole"]
CASES = [
    pytest.param(family, dataset, id=f"{family.name}-{task}-{dataset.inputs}")
    for family in FAMILIES.values()
    for task, dataset in first_for(family, {**TINY, "cartpole": CONTROL})
]
EPOCHS = 3
WITHOUT_ONE_LOSS = {"esn", "linear", "gan", "policy_gradient"}  # solved in closed form; two players; an agent
IN_FULL_PRECISION = {"linear"}  # solved in float64


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, row in TINY.items():
        monkeypatch.setitem(DATASETS, name, row)  # type: ignore[misc]  # a plain dict


def small(family: Family, dataset: Dataset) -> dict[str, Any]:
    """A config that is quick to train: the least width within the preset's range."""
    narrow = {name: getattr(each, "low", 16) for each in family.own if (name := each.name) in family.widths}
    known_names = {each.name for each in family.hyperparameters(dataset.inputs)}
    return {**narrow, **({"batch_size": 16} if "batch_size" in known_names else {})}


def assignment(family: Family, dataset: Dataset, **more: Any) -> Assignment:
    fidelity = ("epochs", EPOCHS, EPOCHS) if "epochs" in family.axes else None
    given = {"config": small(family, dataset), "fidelity": fidelity, **more}
    objective = {"type": "train", "family": family.name, "dataset": dataset.name}
    return Assignment(key="1", objective=objective, seed=7, **given)


def train(work: Assignment) -> tuple[list[Report], Result]:
    return to_the_end(TrainObjective().train(work))


@pytest.mark.parametrize(("family", "dataset"), CASES)
def test_a_training_reports_its_tasks_scores_and_is_tested(family: Family, dataset: Dataset, tmp_path: Path) -> None:
    work = assignment(family, dataset, checkpoint=tmp_path / "c")
    reports, result = train(work)
    task = family.task_on(dataset)
    assert task is not None
    assert {metric.name for metric in task.metrics} <= result.metrics.keys()
    assert result.metrics.keys() <= {metric.name for metric in task.metrics} | HEALTH.keys()
    assert all(map(math.isfinite, result.metrics.values()))
    assert result.metrics["parameters"] > 0
    assert [report.step for report in reports] == sorted(report.step for report in reports)
    scores = TrainObjective().test(replace(work, task="test", checkpoint=None, resume_from=tmp_path / "c"))
    assert scores.keys() == {f"test_{score.name}" for score in TASKS[task.name].scores}
    assert all(map(math.isfinite, scores.values()))


@pytest.mark.parametrize(("family", "dataset"), [case for case in CASES if "epochs" in case.values[0].axes])
def test_a_training_that_pauses_equals_one_that_does_not(family: Family, dataset: Dataset, tmp_path: Path) -> None:
    whole, expected = train(assignment(family, dataset, checkpoint=tmp_path / "whole"))
    pieces, before, result = list[Report](), None, None
    for epoch in range(1, EPOCHS + 1):
        path = tmp_path / str(epoch)
        part = assignment(family, dataset, fidelity=("epochs", epoch, EPOCHS), resume_from=before, checkpoint=path)
        reports, result = train(part)
        pieces += reports
        before = path
    assert [piece.metrics for piece in pieces] == [piece.metrics for piece in whole]
    assert result == expected
    weights, wanted = load_file(tmp_path / str(EPOCHS)), load_file(tmp_path / "whole")
    assert weights.keys() == wanted.keys()
    assert all(torch.equal(weights[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize(("family", "dataset"), CASES)
def test_measuring_how_long_an_answer_takes_changes_nothing(family: Family, dataset: Dataset) -> None:
    plain = train(assignment(family, dataset))[1].metrics
    asked = dict(train(assignment(family, dataset, metrics=("latency_ms",)))[1].metrics)
    assert 0 < asked.pop("latency_ms") < math.inf
    assert asked == plain


@pytest.mark.parametrize(("family", "dataset"), CASES)
def test_nothing_depends_on_the_generator_that_threads_share(family: Family, dataset: Dataset) -> None:
    torch.manual_seed(1)
    first = train(assignment(family, dataset))[1]
    torch.manual_seed(2)
    assert train(assignment(family, dataset))[1] == first


@pytest.mark.parametrize(("family", "dataset"), [case for case in CASES if case.values[0].name not in WITHOUT_ONE_LOSS])
def test_the_gradient_is_that_of_the_loss(family: Family, dataset: Dataset) -> None:
    """Against central differences along a random direction of every parameter, in float64."""
    smooth = {each.name for each in family.hyperparameters(dataset.inputs)}
    settled = {"activation": "tanh", "dropout": 0.0, "init": "xavier_uniform"}
    config = {**small(family, dataset), **{name: value for name, value in settled.items() if name in smooth}}
    plan = Plan.of(assignment(family, dataset, config=config))
    learner = build(plan, 7)
    data = training_data(dataset, plan.part, CPU)
    learner.prepare(data)
    learner.double().eval()
    batch = data.train[:6]
    inputs = batch.inputs.double() if batch.inputs.is_floating_point() else batch.inputs
    targets = (
        batch.targets.double() if batch.targets is not None and batch.targets.is_floating_point() else batch.targets
    )
    batch = Examples(inputs, targets)
    if dataset.inputs == "text":  # stretches of characters, and the ones that follow
        batch = Examples(data.train.inputs[:20].view(2, 10), data.train.inputs[1:21].view(2, 10))

    def loss() -> torch.Tensor:
        if dataset.inputs == "text":
            learner.state = None  # which goes from stretch to stretch
        return learner.loss(batch, torch.Generator().manual_seed(3))

    torch.autograd.backward(loss())
    rng = torch.Generator().manual_seed(4)
    for name, parameter in learner.named_parameters():
        if parameter.grad is None:
            continue
        direction = torch.randn(parameter.shape, generator=rng, dtype=torch.float64)
        step = 1e-6
        with torch.no_grad():
            parameter += step * direction
            above = loss()
            parameter -= 2 * step * direction
            below = loss()
            parameter += step * direction
        numeric = float((above - below) / (2 * step))
        analytic = float((parameter.grad * direction).sum())
        assert analytic == pytest.approx(numeric, rel=1e-3, abs=1e-6), name


@pytest.mark.parametrize(("family", "dataset"), CASES)
def test_the_model_that_is_handed_over_answers_as_the_trained_one(
    family: Family, dataset: Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "model"
    work = assignment(family, dataset, task="job", job=Job("refit"), checkpoint=path)
    result = carry_out(work)
    model = read_model(path)
    learner = model.learner.eval()
    plan = Plan.of(work)
    learner.prepare(training_data(dataset, plan.part, CPU))
    scores = judge(learner, held_out_data(dataset, plan.part, CPU), work.seed, "test")
    assert {f"test_{name}": value for name, value in scores.items()} == pytest.approx(
        {name: value for name, value in result.metrics.items() if name.startswith("test_")}
    )


PREPARED = {  # what `prepare` has to do beyond the defaults
    "mdn": [{"head": "mixture"}],
    "autoencoder": [{"loss": "bce"}],
    "vae": [{"prior": "pseudo"}, {"likelihood": "gauss"}],
    "gan": [{"conditional": True}],
    "linear": [{"poly": 2}],
    "gnn": [{"features": "deepwalk"}],
    "recommender": [{"model": m} for m in ("bias", "mf", "neural", "content", "knn", "rbm")] + [{"cold": "content"}],
    "mlp": [{"preprocessing": kind} for kind in ("none", "minmax", "whiten")],
}


@pytest.mark.parametrize(("family", "dataset"), [case for case in CASES if case.values[1] is not CONTROL])
def test_data_that_stays_elsewhere_can_be_prepared_for(
    family: Family, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data too large for a GPU stays on the CPU. Tensors without numbers stand for both: they refuse to meet."""
    monkeypatch.setattr(torch.__future__, "_overwrite_module_params_on_conversion", True)
    for config in ({}, *PREPARED.get(family.name, ())):
        plan = Plan.of(assignment(family, dataset, config={**small(family, dataset), **config}))
        learner, data = build(plan, 7), training_data(dataset, plan.part, CPU)
        with FakeTensorMode(allow_non_fake_inputs=True) as there:
            with pytest.raises(RuntimeError, match="same device"):
                there.from_tensor(torch.ones(2)).to("meta") + there.from_tensor(torch.ones(2))
            learner._apply(lambda tensor: there.from_tensor(tensor).to("meta"))
            placed = {name: there.from_tensor(tensor).to("meta") for name, tensor in data.context.items()}
            train = Examples(
                *(None if t is None else there.from_tensor(t) for t in (data.train.inputs, data.train.targets))
            )
            known_data = Data(train, train, placed)
            learner.prepare(known_data)
            learner.begin(known_data)
        assert all(tensor.is_meta for tensor in learner.state_dict().values())


@pytest.mark.parametrize(
    ("family", "dataset"), [case for case in CASES if case.values[0].name not in {"esn", "policy_gradient"}]
)
def test_a_step_in_half_precision_leaves_the_weights_in_full(
    family: Family, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU that has bfloat16, and with less to rely on: what a CPU has no such kernel for would raise."""
    entered = []

    def half(device: torch.device) -> Callable[[], Any]:
        def enter() -> Any:
            entered.append(device)
            return torch.autocast("cpu", dtype=torch.bfloat16)

        return enter

    monkeypatch.setattr(loop, "autocast", half)
    work = assignment(family, dataset, **({"fidelity": ("epochs", 2, 2)} if "epochs" in family.axes else {}))
    plan = Plan.of(work)
    learner = build(plan, work.seed)
    monkeypatch.setattr(loop, "build", lambda *_: learner)
    before = {name: tensor.clone() for name, tensor in learner.named_parameters()}
    _, result = train(work)
    assert all(map(math.isfinite, result.metrics.values()))
    if family.name not in IN_FULL_PRECISION:
        assert entered
    assert {tensor.dtype for tensor in learner.parameters()} <= {torch.float32}
    if before:
        assert any(not torch.equal(tensor, before[name]) for name, tensor in learner.named_parameters())


def _settings() -> Iterator[Any]:
    for family in FAMILIES.values():
        for task, dataset in first_for(family, {**TINY, "cartpole": CONTROL})[:1]:
            for each in family.own:
                if each.optional:  # of an architecture: its operations have tests of their own
                    continue
                for choice in each.domain().get("choices", ()):
                    if choice != each.default:
                        yield pytest.param(
                            family, dataset, {each.name: choice}, id=f"{family.name}-{each.name}-{choice}-{task}"
                        )


@pytest.mark.parametrize(("family", "dataset", "choice"), [*_settings()])
def test_every_choice_of_a_family_trains(family: Family, dataset: Dataset, choice: dict[str, Any]) -> None:
    from workers.protocol import Failure, FailureClass

    fidelity = ("epochs", 1, 1) if "epochs" in family.axes else None
    try:
        _, result = train(assignment(family, dataset, config={**small(family, dataset), **choice}, fidelity=fidelity))
    except Failure as failure:
        if failure.failure is not FailureClass.INFEASIBLE:
            raise
        return
    assert all(map(math.isfinite, result.metrics.values()))
