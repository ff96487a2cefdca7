from __future__ import annotations

import math

import pytest
import torch

from spaces.architectures import ARCHITECTURES, OneShot
from workers.supernets.pairs import expected_cost, gate_gradient, rescale, with_cost
from workers.supernets.relaxation import (
    Binary,
    Dirichlet,
    EdgeSoftmax,
    Gumbel,
    Relaxation,
    Softmax,
    entropy,
    straight_through,
    temperature,
)
from workers.training.streams import stream


def darts(**form: object) -> OneShot:
    found = ARCHITECTURES["darts"]("cell", **form)
    assert isinstance(found, OneShot)
    return found


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", [Softmax, EdgeSoftmax, Gumbel, Dirichlet, Binary])
def test_weights_are_shares(kind: type[Softmax]) -> None:
    relaxation: Relaxation = kind(darts(), rng())
    for mix in relaxation.mixes(rng()).values():
        if kind is not Binary:  # whose one operation has the weight 1
            torch.testing.assert_close(mix.weights.sum(dim=1), torch.ones(14))
        assert float(mix.weights.detach().min()) >= 0
    for mean in relaxation.means().values():
        torch.testing.assert_close(mean.sum(dim=1), torch.ones(14))
        assert entropy(mean) == pytest.approx(math.log(8), abs=1e-4)


def test_weights_of_edges_are_shares_of_their_node() -> None:
    relaxation = EdgeSoftmax(darts(), rng())
    torch.nn.init.normal_(relaxation.betas["normal"], generator=rng(1))
    weights = relaxation.edge_means()["normal"]
    for node in torch.split(weights, [2, 3, 4, 5]):
        assert float(node.detach().sum()) == pytest.approx(1, abs=1e-6)


def test_draws_are_one_hot_and_follow_the_softmax() -> None:
    alpha = torch.tensor([0.2, 0.3, 0.5]).log().expand(200_000, 3)
    weights = straight_through(alpha, 5.0, rng())
    assert set(weights.unique().tolist()) == {0.0, 1.0}
    assert weights.mean(dim=0).tolist() == pytest.approx([0.2, 0.3, 0.5], abs=0.005)


def test_the_gradient_of_a_draw_is_that_of_the_soft_one() -> None:
    alpha = torch.randn(4, 5, generator=rng(), dtype=torch.float64, requires_grad=True)
    grain = torch.randn(4, 5, generator=rng(1), dtype=torch.float64)
    (found,) = torch.autograd.grad((straight_through(alpha, 0.7, rng(2)) * grain).sum(), alpha)
    gumbel = -torch.empty(4, 5, dtype=torch.float64).exponential_(generator=rng(2)).log()
    soft = ((alpha.log_softmax(dim=1) + gumbel) / 0.7).softmax(dim=1)
    (wanted,) = torch.autograd.grad((soft * grain).sum(), alpha)
    torch.testing.assert_close(found, wanted)


def test_the_temperature_falls_from_ten_to_a_tenth() -> None:
    found = [temperature(epoch, 250, 10.0, 0.1) for epoch in (0, 125, 249)]
    assert found == pytest.approx([10, 5.030120, 0.1], abs=1e-6)


def test_the_mean_of_dirichlet_draws_is_what_is_reported() -> None:
    relaxation = Dirichlet(darts(nodes=1), rng())
    torch.nn.init.normal_(relaxation.alphas["normal"], generator=rng(3))
    generator = rng(4)
    draws = [relaxation.mixes(generator)["normal"].weights.detach() for _ in range(3000)]
    torch.testing.assert_close(torch.stack(draws).mean(dim=0), relaxation.means()["normal"].detach(), atol=0.02, rtol=0)
    (slope,) = torch.autograd.grad(
        relaxation.mixes(rng())["normal"].weights[0, 0], [relaxation.alphas["normal"]], retain_graph=True
    )
    assert float(slope[0].abs().min()) > 0
    assert not slope[1].any()
    penalty = relaxation.penalty()
    assert isinstance(penalty, torch.Tensor)
    assert float(penalty.detach()) > 0


def test_gates_have_the_gradient_of_their_law() -> None:
    law = torch.tensor([0.0, 1.0, 2.0]).softmax(dim=0)
    found = gate_gradient(law, torch.tensor([1.0, 2.0, 3.0]))
    assert found.tolist() == pytest.approx([-0.141817, -0.140770, 0.282587], abs=1e-6)
    assert float(found.sum()) == pytest.approx(0, abs=1e-6)


def test_a_step_of_two_leaves_the_others_as_probable_as_before() -> None:
    before = torch.randn(3, 5, generator=rng())
    pair = torch.tensor([[0, 3], [1, 2], [4, 0]])
    alpha = before.clone().scatter_add_(1, pair, torch.randn(3, 2, generator=rng(1)))
    rescale(alpha, before, pair)
    kept = torch.ones(3, 5, dtype=torch.bool).scatter_(1, pair, False)
    torch.testing.assert_close(alpha.softmax(dim=1)[kept], before.softmax(dim=1)[kept])
    assert not torch.allclose(alpha.softmax(dim=1)[~kept], before.softmax(dim=1)[~kept])


def test_costs_enter_the_loss_as_in_the_paper() -> None:
    law = {"cell": torch.tensor([[0.0, 1.0, 2.0]]).softmax(dim=1)}
    assert float(expected_cost(law, {"cell": torch.tensor([[10.0, 20.0, 60.0]])})) == pytest.approx(45.709332, abs=1e-5)
    one, cost = torch.tensor(1.0), torch.tensor(100.0)
    assert float(with_cost(one, cost, 80, "multiply")) == pytest.approx(0.203002, abs=1e-6)
    assert float(with_cost(one, cost, 80, "add")) == pytest.approx(1.025, abs=1e-6)
    assert float(with_cost(one, cost, 80, "multiply", 0.0)) == pytest.approx(0.2)
    assert float(with_cost(one, cost, 80, "add", 0.3)) == pytest.approx(1.075)


def test_first_alphas_follow_from_the_seed() -> None:
    first, again, other = (Softmax(darts(), stream(seed, "alphas")).alphas["normal"] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
