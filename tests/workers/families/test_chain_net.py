"""The chain that grows: every morphism keeps what the network computes, and grows it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spaces.architectures.chain import Chain
from workers.families.blocks import parameter_count
from workers.families.chain_net.morphisms import Maps, rectified
from workers.families.chain_net.network import ChainClassifier
from workers.protocol import Assignment, Failure, FailureClass
from workers.training.loop import build
from workers.training.plan import Plan

CHAIN = Chain("cell", stages=2, blocks=3, widths=(4, 8, 12, 16), kernels=(1, 3, 5))
SMALLEST = "4:1|4:1"
OPERATORS = ("widen", "deepen", "kernel", "skip")


def plan_of(config: dict[str, Any]) -> Plan:
    objective = {"type": "train", "family": "chain_net", "dataset": "digits"}
    return Plan.of(Assignment("1", objective, config, 0, ("epochs", 1, 1)))


def learner(genotype: str, seed: int = 0) -> tuple[ChainClassifier, Plan]:
    plan = plan_of({**CHAIN.config_of(genotype), "dropout": 0})
    made = build(plan, seed)
    assert isinstance(made, ChainClassifier)
    return made, plan


def trained(genotype: str, seed: int = 0) -> tuple[ChainClassifier, Plan]:
    """As if it were: with the statistics and gains of some training."""
    made, plan = learner(genotype, seed)
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in made.state_dict().items():
            if "norm.bias" in name or "running_mean" in name:
                tensor.normal_(0, 0.5, generator=rng)
            elif "norm.weight" in name or "running_var" in name:
                tensor.uniform_(0.3, 2, generator=rng)
            elif name.endswith("gate"):
                tensor.normal_(generator=rng)
    return made, plan


def images(seed: int = 0) -> torch.Tensor:
    return torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def answers(made: ChainClassifier) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = made.eval()(images())
    return logits


def child_of(parent: ChainClassifier, plan: Plan, genotype: str, seed: int = 5) -> tuple[ChainClassifier, Plan]:
    child, own = learner(genotype, seed)
    child.inherit(parent.state_dict(), plan.identity(), torch.Generator().manual_seed(seed))
    return child, own


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("4:3|8:3", "12:3|8:3"),
        ("4:3|8:3", "4:3|16:3"),
        ("4:3,3s|8:3s", "16:3,3s|12:3s"),
        ("4:3|8:3", "4:3,1|8:3"),
        ("4:3s|8:3", "4:3s,3s,5|8:3,5s"),
        ("4:1|8:3", "4:3|8:5"),
        ("4:3,3|8:3", "4:3s,3s|8:3s"),
        (SMALLEST, "16:5s,5s,5s|16:5s,5s,5s"),
    ],
)
def test_every_morphism_keeps_the_answers_and_grows_the_network(before: str, after: str) -> None:
    parent, plan = trained(before)
    child, _ = child_of(parent, plan, after)
    assert float((answers(child) - answers(parent)).abs().max()) <= 1e-5
    assert parameter_count(child) > parameter_count(parent)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_composition_of_five_keeps_the_answers(data: st.DataObject) -> None:
    config = CHAIN.config_of(data.draw(st.sampled_from([SMALLEST, "4:3,1s|8:3s", "8:3s|4:1,1"])))
    parent, plan = trained(CHAIN.genotype(config), seed=data.draw(st.integers(0, 99)))
    made, before = parent, answers(parent)
    for step in range(5):
        operator, edit = data.draw(st.sampled_from(CHAIN.growths(config)))
        assert operator.split()[0] in OPERATORS
        config = {**config, **edit}
        made, plan = child_of(made, plan, CHAIN.genotype(config), seed=step)
    assert float((answers(made) - before).abs().max()) <= 1e-5
    assert parameter_count(made) > parameter_count(parent)


def test_copies_do_not_stay_the_same() -> None:
    maps, rng = Maps.grown(3, 8, torch.Generator().manual_seed(1)), torch.Generator().manual_seed(2)
    weight = torch.randn(5, 3, 3, 3, generator=rng)
    read = maps.read(weight, rng)
    total = torch.zeros_like(weight).index_add_(1, maps.source, read)
    assert torch.allclose(total, weight, atol=1e-6), "together they are what there was"
    for old in range(3):
        copies = read[:, maps.source == old]
        assert copies.shape[1] == maps.copies[old]
        assert all(not torch.allclose(copies[:, 0], copies[:, other]) for other in range(1, copies.shape[1]))


def test_the_moments_of_a_rectified_normal_number() -> None:
    rng = torch.Generator().manual_seed(0)
    for mean, deviation in ((0.0, 1.0), (0.7, 0.5), (-1.0, 2.0)):
        draws = (mean + deviation * torch.randn(400_000, generator=rng)).clamp(min=0)
        expected = rectified(torch.tensor(mean), torch.tensor(deviation))
        assert float(draws.mean()) == pytest.approx(float(expected[0]), abs=0.01)
        assert float(draws.var()) == pytest.approx(float(expected[1]), rel=0.03)


def test_a_new_block_learns_from_the_start() -> None:
    """In training it answers nearly what is there already, and every new weight has a gradient."""
    parent, plan = learner("8:3|8:3")
    child, _ = child_of(parent, plan, "12:3,3s|8:3s")
    child.train()
    loss = torch.nn.functional.cross_entropy(child(images()), torch.arange(16) % 10)
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in child.parameters())


def test_a_smaller_child_takes_what_comes_first() -> None:
    parent, plan = trained("8:3,3|8:5")
    child, _ = child_of(parent, plan, "4:3|8:3")
    old, new = parent.state_dict(), child.state_dict()
    assert torch.equal(new["network.stages.0.0.norm.bias"], old["network.stages.0.0.norm.bias"][:4])
    assert torch.isfinite(answers(child)).all()


def test_a_gate_that_is_closed_is_no_skip() -> None:
    made, _ = trained("4:3,3s|4:3")
    before = answers(made)
    made.network.stages[0][1].gate.data.zero_()  # type: ignore[index, union-attr]
    assert not torch.allclose(answers(made), before)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"cell": "chain", "cell.1.width": 16}, "these are not all choices"),
        (Chain("cell", stages=3, blocks=1).config_of("16:3|16:3|16:3") | {"cell.3.2.skip": True}, "these are not all"),
    ],
)
def test_a_part_of_an_architecture_is_infeasible(config: dict[str, Any], message: str) -> None:
    with pytest.raises(Failure, match=message) as failed:
        build(plan_of(config), 0)
    assert failed.value.failure is FailureClass.INFEASIBLE
