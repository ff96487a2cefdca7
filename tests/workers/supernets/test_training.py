from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from search import ALGORITHMS
from spaces import Space
from spaces.architectures import ARCHITECTURES, OneShot
from spaces.architectures.searched import searched
from spaces.values import Config
from workers.data.loading import Examples
from workers.objectives.train import TrainObjective
from workers.protocol import Assignment, Failure, FailureClass, Result, Supernet, to_the_end
from workers.supernets import ranking as module
from workers.supernets.course import Course
from workers.supernets.mixture import Mixes
from workers.supernets.relaxation import Softmax, of_config
from workers.supernets.report import metrics_of, warnings_of
from workers.supernets.search import MOST_DECAY, Search
from workers.supernets.supernet import Supernet as Network
from workers.training.plan import Plan

SPACE = {"parameters": [{"name": "cell", "type": "cell", "preset": "nas-bench-201", "nodes": 3}]}


def assignment(method: str = "darts", **options: Any) -> Assignment:
    defaults = {each.name: each.default for each in ALGORITHMS[method].options if each.default is not None}
    small = {"epochs": 1, "channels": 2, "layers": 1, "batch_size": 128, "ranked": 4}
    if "order" in defaults:
        small |= {"order": "first"}
    objective = {"type": "train", "family": "cell", "dataset": "digits"}
    supernet = Supernet(method, {**defaults, **small, **options}, SPACE)
    return Assignment(key="1", objective=objective, config={}, seed=0, supernet=supernet)


def run(work: Assignment) -> Result:
    return to_the_end(TrainObjective().train(work))[1]


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """A memory that holds batches of at most so many examples."""
    limit = {"examples": 70}
    loss = Network.loss

    def bounded(self: Network, batch: Examples, mixes: Mixes) -> torch.Tensor:
        if len(batch) > limit["examples"]:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return loss(self, batch, mixes)

    monkeypatch.setattr(Network, "loss", bounded)
    return limit


def test_a_batch_that_memory_cannot_hold_is_halved(small_memory: dict[str, int]) -> None:
    assert run(assignment()).details["supernet"]["batch_size"] == 64


def test_a_search_that_was_halved_before_is_not_halved_again(small_memory: dict[str, int], tmp_path: Path) -> None:
    steps = TrainObjective().train(replace(assignment(epochs=2), checkpoint=tmp_path / "c"))
    next(steps)
    with pytest.raises(StopIteration):
        steps.send("stop")
    small_memory["examples"] = 60
    with pytest.raises(Failure, match="not even with batches of 64") as caught:
        run(replace(assignment(epochs=2), resume_from=tmp_path / "c", checkpoint=tmp_path / "d"))
    assert caught.value.failure is FailureClass.OOM


def test_operations_that_cost_nothing_cannot_be_weighed() -> None:
    work = assignment("proxyless", cost="multiply_adds")
    assert work.supernet is not None
    free = {"parameters": [{**SPACE["parameters"][0], "ops": ["skip_connect", "avg_pool_3x3"]}]}
    with pytest.raises(Failure, match="no cost to weigh") as caught:
        run(replace(work, supernet=replace(work.supernet, space=free)))
    assert caught.value.failure is FailureClass.INFEASIBLE


@pytest.mark.parametrize(("form", "weight"), [("multiply", 0.3), ("add", 0.1)])
def test_each_form_of_a_cost_has_a_weight_of_its_own(form: str, weight: float) -> None:
    def learnt(**options: Any) -> dict[str, float]:
        work = assignment("proxyless", warmup=0, alpha_every=1, cost="multiply_adds", cost_form=form, **options)
        metrics = run(work).metrics
        return {name: value for name, value in metrics.items() if name.startswith("weight.")}

    assert learnt() == learnt(cost_weight=weight)
    assert learnt() != learnt(cost_weight=0.4 - weight)


def test_a_supernet_that_does_not_fit_says_so(small_memory: dict[str, int]) -> None:
    small_memory["examples"] = 60
    with pytest.raises(Failure, match="not even with batches of 64 examples: take fewer channels") as caught:
        run(assignment())
    assert caught.value.failure is FailureClass.OOM


def test_other_errors_are_not_taken_for_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Network, batch: Examples, mixes: Mixes) -> torch.Tensor:
        raise RuntimeError("of another kind")

    monkeypatch.setattr(Network, "loss", broken)
    with pytest.raises(RuntimeError, match="of another kind"):
        run(assignment())


def test_a_search_that_diverges_says_where() -> None:
    with pytest.raises(Failure, match=r"training loss is (nan|inf) at step . of .* in epoch 1") as caught:
        run(assignment(lr=1e30, clip=1e30, channels=4, batch_size=32))
    assert caught.value.failure is FailureClass.DIVERGED


def test_a_rise_of_the_curvature_raises_the_decay() -> None:
    options = {"response": "regularize", "every": 1, "window": 1, "patience": 1, "start": 0, "rise": 1e-9}
    work = assignment("robust-darts", **options, epochs=4, batch_size=500)
    assert work.supernet is not None
    search = Search(Plan.of(work), work.supernet, 0, torch.device("cpu"), 500)
    (decays, _) = (group["weight_decay"] for group in search.optimizer.param_groups)
    assert decays == 3e-4
    for rises, wanted in ((1, 3e-3), (2, MOST_DECAY), (3, MOST_DECAY)):
        search.course.rises = rises
        search._set_decay()
        assert [group["weight_decay"] for group in search.optimizer.param_groups] == pytest.approx([wanted, 0])


def test_what_a_search_remembers_is_read_again() -> None:
    course = Course(3, ["|a~0|", "ü"], [(0, 0.1), (2, 0.25)], 1, 2, [{"x": 0.1}])
    assert Course.unpacked(course.packed()) == course
    assert course.over


def relaxation(**form: object) -> Softmax:
    architecture = ARCHITECTURES["nas-bench-201"]("cell", **form)
    assert isinstance(architecture, OneShot)
    return Softmax(architecture, torch.Generator().manual_seed(0))


def test_candidates_are_different_and_can_be_trained() -> None:
    learnt = relaxation(nodes=3)
    with torch.no_grad():
        learnt.alphas["cell"][:, 3] += 20
    found = module.candidates(learnt, 30, torch.Generator().manual_seed(1), learnt.discretized())
    architecture = learnt.architecture
    assert found[0] == learnt.discretized()
    assert len({architecture.canonical(config) for config in found}) == len(found) == 30
    assert all(architecture.objection(config) is None for config in found)
    few = relaxation(nodes=2, ops=("none", "skip_connect", "nor_conv_1x1"))
    assert len(module.candidates(few, 30, torch.Generator().manual_seed(1), few.discretized())) == 2, (
        "all that there are"
    )


def test_a_space_of_a_few_is_found_out_by_a_few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    ops = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    constraints = [
        {"forbid": {"all": [{"parameter": "cell.0-1", "equals": op}, {"parameter": edge, "in": [*{*ops} - {op}]}]}}
        for op in ops
        for edge in ("cell.0-2", "cell.1-2")
    ]
    architecture = searched(Space.from_json({**SPACE, "constraints": constraints}))
    assert isinstance(architecture, OneShot)
    learnt, tried, allows = Softmax(architecture, torch.Generator().manual_seed(0)), list[Config](), OneShot.allows

    def counted(self: OneShot, config: Config) -> bool:
        tried.append(config)
        return allows(self, config)

    monkeypatch.setattr(OneShot, "allows", counted)
    found = module.candidates(learnt, 100, torch.Generator().manual_seed(1), learnt.discretized())
    assert {config["cell.0-1"] for config in found} == {*ops[1:]}, "of none alone nothing can be trained"
    assert all(len({config[f"cell.{edge}"] for edge in ("0-1", "0-2", "1-2")}) == 1 for config in found)
    assert len(tried) < 20_000


def test_draws_follow_the_weights() -> None:
    learnt = relaxation(nodes=2)
    with torch.no_grad():
        learnt.alphas["cell"].copy_(torch.tensor([[0.1, 0.2, 0.1, 0.4, 0.2]]).log())
    draws = module.weighed(learnt, module.numpy_stream(torch.Generator().manual_seed(0)))
    ops = [next(draws)["cell.0-1"] for _ in range(4000)]
    assert ops.count("nor_conv_3x3") / 4000 == pytest.approx(0.4, abs=0.03)


def test_the_ranking_is_that_of_the_examples() -> None:
    """A supernet that answers nothing but by its architecture: the order is known."""
    work = assignment()
    assert work.supernet is not None
    search = Search(Plan.of(work), work.supernet, 0, torch.device("cpu"), 128)
    rng = torch.Generator().manual_seed(0)
    examples = Examples(torch.rand(600, 1, 8, 8, generator=rng), torch.randint(10, (600,), generator=rng))
    found = module.ranking(search.model, search.relaxation, examples, 14, torch.Generator().manual_seed(0))
    scores = [entry["score"] for entry in found]
    assert scores == sorted(scores, reverse=True)
    assert [entry["examples"] for entry in found] == [600] * 10 + [256] * 4
    for entry in found[:10]:
        mixes = of_config(search.architecture, entry["config"], torch.device("cpu"))
        assert search.model.scores(examples, mixes)["accuracy"] == entry["score"]


def test_skips_are_counted_and_warned_of() -> None:
    learnt = relaxation()
    with torch.no_grad():
        learnt.alphas["cell"][:, 1] += 5
    config = learnt.discretized()
    told = metrics_of(learnt, config)
    assert told["skip_share"] == 1
    assert told["skips.cell"] == 6
    assert "6 edges of the cell cell only carry on" in warnings_of(learnt.architecture, config)[0]
    conv = {**config, **{name: "nor_conv_3x3" for name in config if name != "cell"}}
    assert warnings_of(learnt.architecture, conv) == []


def test_the_recipe_is_the_options_and_what_the_space_fixes() -> None:
    work = replace(assignment("gdas"), config={"lr": 0.5, "activation": "tanh", "channels": 9, "optimizer": "adam"})
    assert work.supernet is not None
    settings = Search(Plan.of(work), work.supernet, 0, torch.device("cpu"), 128).settings
    assert (settings["optimizer"], settings["lr"], settings["nesterov"]) == ("sgd", 0.025, True)
    assert (settings["activation"], settings["channels"]) == ("tanh", 2)
