"""Operations that the space rules out, in everything that a supernet is made of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spaces.architectures import ARCHITECTURES, OneShot
from workers.catalogue import FAMILIES
from workers.data.loading import Examples
from workers.families.blocks import initialize, parameter_count
from workers.families.cell.operations import Kit
from workers.rows import Facts
from workers.supernets import perturbation
from workers.supernets.controller import Controller
from workers.supernets.costs import costs_of, total
from workers.supernets.curvature import dominant_eigenvalue
from workers.supernets.mixture import EntangledEdge, Mix, MixedEdge, PartialEdge
from workers.supernets.pairs import drawn_pairs, gated
from workers.supernets.relaxation import Binary, Dirichlet, EdgeSoftmax, Gumbel, Relaxation, Softmax, entropy
from workers.supernets.report import metrics_of
from workers.supernets.sampling import Uniform
from workers.supernets.supernet import Supernet
from workers.training.settings import Settings, resolve

FACTS = Facts(task="classification", inputs="image", shape=(1, 8, 8), outputs=10)
OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
CHOICES = {"0-1": ["nor_conv_3x3"], "0-2": ["none"], "1-2": ["none", "skip_connect", "nor_conv_1x1"]}
LEFT = [[3], [0], [0, 1, 2], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]  # by edge: 0-1, 0-2, 1-2, 0-3, ...
LEARNT: Sequence[type[Softmax]] = (Softmax, EdgeSoftmax, Gumbel, Dirichlet, Binary)


def cells(choices: Mapping[str, Any] = CHOICES) -> OneShot:
    kept = tuple((rest, tuple(values)) for rest, values in choices.items())
    found = ARCHITECTURES["nas-bench-201"]("cell", choices=kept)
    assert isinstance(found, OneShot)
    return found


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def settings_of(**config: Any) -> Settings:
    return resolve(FAMILIES["cell"].hyperparameters("image"), config)


def spread(relaxation: Softmax) -> Softmax:
    """With alphas that differ."""
    for alpha in relaxation.alphas.values():
        nn.init.normal_(alpha, generator=rng(5))
    return relaxation


def ruled_out() -> Tensor:
    found = torch.ones(6, 5, dtype=torch.bool)
    for edge, ops in enumerate(LEFT):
        found[edge, ops] = False
    return found


@pytest.mark.parametrize("kind", LEARNT)
def test_what_is_ruled_out_weighs_nothing_and_learns_nothing(kind: type[Softmax]) -> None:
    relaxation = spread(kind(cells(), rng()))
    (mean,) = relaxation.means().values()
    assert not mean[ruled_out()].any()
    torch.testing.assert_close(mean.sum(dim=1), torch.ones(6))
    assert float(mean.detach()[~ruled_out()].min()) > 0
    for draw in range(50):
        (mix,) = relaxation.mixes(rng(draw)).values()
        assert all(set(active) <= set(left) for active, left in zip(mix.active, LEFT, strict=True))
        if kind is not Binary:  # of which only what is active has a weight that is read
            assert not mix.weights[ruled_out()].any()
            torch.testing.assert_close(mix.weights.sum(dim=1), torch.ones(6))
    grain = torch.randn(6, 5, generator=rng(7))
    penalty = torch.as_tensor(relaxation.penalty())
    (slope,) = torch.autograd.grad(
        (mix.weights * grain).sum() + (mean * grain).sum() + penalty, list(relaxation.alphas.values())
    )
    assert slope.isfinite().all()
    assert not slope[ruled_out()].any()
    assert slope[3:].all()


def test_the_others_share_an_edge_as_if_they_were_alone() -> None:
    relaxation = spread(Softmax(cells(), rng()))
    (alpha,), (mean,) = relaxation.alphas.values(), relaxation.means().values()
    torch.testing.assert_close(mean[2, :3], alpha[2, :3].softmax(dim=0))
    assert mean[0].tolist() == [0, 0, 0, 1, 0]
    wanted = -sum(float((row * row.log()).sum()) for row in (mean.detach()[e, ops] for e, ops in enumerate(LEFT))) / 6
    assert entropy(mean) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("ops", [["none"], ["nor_conv_3x3"]])
def test_one_operation_may_be_all_that_is_left(ops: list[str]) -> None:
    """On every edge."""
    alone = cells({f"{a}-{b}": ops for b in range(4) for a in range(b)})
    for kind in LEARNT:
        relaxation = kind(alone, rng())
        (mean,), (mix,) = relaxation.means().values(), relaxation.mixes(rng()).values()
        assert mean[:, OPS.index(ops[0])].tolist() == [1] * 6
        assert entropy(mean) == 0
        assert [set(active) - {0} for active in mix.active] == [{OPS.index(op) for op in ops} - {0}] * 6
        assert torch.as_tensor(relaxation.penalty()).isfinite()


def test_draws_follow_the_shares_of_what_is_left() -> None:
    relaxation = Gumbel(cells(), rng())
    with torch.no_grad():
        relaxation.alphas["cell"][2] = torch.tensor([0.2, 0.3, 0.5, 7.0, 7.0]).log()
    draws, generator = torch.zeros(5), rng(1)
    for _ in range(4000):
        draws += relaxation.mixes(generator)["cell"].weights[2].detach()
    assert (draws / 4000).tolist() == pytest.approx([0.2, 0.3, 0.5, 0, 0], abs=0.03)


def test_the_divergence_is_that_of_the_laws_of_what_is_left() -> None:
    relaxation = spread(Dirichlet(cells(), rng()))
    (alpha,), law = relaxation.alphas.values(), torch.distributions.Dirichlet
    wanted = 0.0
    for edge, ops in enumerate(LEFT):
        concentration = nn.functional.elu(alpha.detach()[edge, ops]) + 1
        wanted += float(torch.distributions.kl_divergence(law(concentration), law(torch.ones(len(ops)))))
    assert float(torch.as_tensor(relaxation.penalty()).detach()) == pytest.approx(1e-3 * wanted, rel=1e-5)


def test_an_edge_that_the_space_leaves_nothing_has_no_share_of_its_node() -> None:
    relaxation = EdgeSoftmax(cells(), rng())
    (edges,) = relaxation.edge_means().values()
    assert edges[1] == 0
    assert edges[2] == 1, "the only other one that leads to this node"
    torch.testing.assert_close(edges[3:].sum(), torch.ones(()))
    edge = PartialEdge(Kit(settings_of(), shared=True), OPS, 8, 1, k=4, left=[True, *[False] * 4])
    assert not edge(torch.randn(2, 8, 4, 4, generator=rng()), relaxation.mixes(rng())["cell"], 1).any()


def test_what_is_ruled_out_is_not_built() -> None:
    kit, left = Kit(settings_of(), shared=True), [False, True, True, False, False]
    assert list(MixedEdge(kit, OPS, 4, 1, left).operations) == ["1", "2"]
    assert list(PartialEdge(kit, OPS, 4, 1, 4, left).inner.operations) == ["1", "2"]
    assert list(EntangledEdge(kit, OPS, 4, 1, left).operations) == ["1", "2"]
    assert parameter_count(EntangledEdge(kit, OPS, 4, 1, left)) == 4 * 4, "of no larger kernel a part"
    whole, narrow = (Supernet(each, "sum", settings_of(channels=4, layers=1), FACTS) for each in (cells({}), cells()))
    squares = sum(channels**2 for channels in (4, 8, 16))  # of the three stages
    # 1×1 on 0-1, both on 0-2, and 3×3 on 1-2
    assert parameter_count(whole) - parameter_count(narrow) == squares * (1 + (1 + 9) + 9)


@pytest.mark.parametrize("way", ["random", "adversarial"])
def test_a_perturbation_leaves_it_at_nothing(way: str) -> None:
    relaxation = spread(Softmax(cells(), rng()))
    mixes, grain = relaxation.mixes(rng()), torch.randn(6, 5, generator=rng(3))
    if way == "random":
        moved = perturbation.random(mixes, 0.1, rng(1))["cell"].weights
    else:
        moved = perturbation.adversarial(mixes, 0.1, 3, lambda m: (m["cell"].weights * grain).sum())["cell"].weights
    before = mixes["cell"].weights.detach()
    assert not moved[ruled_out()].any()
    assert moved[0].tolist() == [0, 0, 0, 1, 0], "there is nothing else for the edge to be"
    assert moved[1].tolist() == [1, 0, 0, 0, 0]
    assert (moved != before)[2:][~ruled_out()[2:]].all()


def test_the_curvature_is_that_of_what_is_left() -> None:
    relaxation = spread(Softmax(cells(), rng())).double()
    (alpha,) = relaxation.alphas.values()
    grain = torch.randn(30, 30, generator=rng(3), dtype=torch.float64)
    bend = grain @ grain.T

    def loss() -> Tensor:
        weights = relaxation.means()["cell"].flatten()
        return weights @ bend @ weights

    def of_free(values: Tensor) -> Tensor:
        filled = torch.full((6, 5), -math.inf, dtype=torch.float64).masked_scatter(~ruled_out(), values)
        weights = filled.softmax(dim=1).flatten()
        return weights @ bend @ weights

    hessian = torch.autograd.functional.hessian(of_free, alpha.detach()[~ruled_out()])
    eigenvalues = torch.linalg.eigvalsh(hessian)
    wanted = float(eigenvalues[eigenvalues.abs().argmax()])
    assert dominant_eigenvalue(loss, [alpha], rng(), times=300) == pytest.approx(wanted, rel=1e-4)


def test_two_paths_are_of_what_is_left() -> None:
    relaxation = spread(Binary(cells(), rng()))
    for draw in range(50):
        pairs = drawn_pairs(relaxation.means(), rng(draw))
        logits = {kind: each.detach() for kind, each in relaxation.logits().items()}
        mixes, gates = gated(logits, pairs, rng(draw))
        assert all(set(active) <= set(left) for active, left in zip(mixes["cell"].active, LEFT, strict=True))
        assert mixes["cell"].active[0] == (3,)
        assert gates["cell"][0].tolist() == [1, 0], "the only one that there is"
        assert len(mixes["cell"].active[3]) == 2


def test_costs_are_of_what_is_left() -> None:
    architecture = cells()
    model = Supernet(architecture, "sum", settings_of(channels=4, layers=1), FACTS)
    relaxation = Softmax(architecture, rng())
    costs = costs_of(model, relaxation.mixes(rng()), torch.zeros(2, 1, 8, 8), "multiply_adds")
    assert not costs["cell"][ruled_out()].any()
    one = sum(channels**2 * positions for channels, positions in ((4, 64), (8, 16), (16, 4)))
    # 3×3 alone; nothing; a third of 1×1; a fifth of both on each of three
    assert total(costs, relaxation.masks) == pytest.approx(one * (9 + 0 + 1 / 3 + 3 * 10 / 5))


def test_a_controller_writes_only_what_is_left() -> None:
    controller = Controller(cells(), rng(), 8)
    (mean,) = controller.means().values()
    assert not mean[ruled_out()].any()
    torch.testing.assert_close(mean.sum(dim=1), torch.ones(6))
    for draw in range(50):
        active = controller.mixes(rng(draw))["cell"].active
        assert all(set(ops) <= set(left) for ops, left in zip(active, LEFT, strict=True))


def test_even_draws_and_their_shares_are_of_what_is_left() -> None:
    relaxation = Uniform(cells())
    (mean,) = relaxation.means().values()
    assert mean[2].tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0, 0])
    for draw in range(50):
        active = relaxation.mixes(rng(draw))["cell"].active
        assert all(set(ops) <= set(left) for ops, left in zip(active, LEFT, strict=True))


@pytest.mark.parametrize("kind", LEARNT)
def test_reports_say_nothing_of_it_but_zero(kind: type[Softmax]) -> None:
    relaxation: Relaxation = kind(cells(), rng())
    told = metrics_of(relaxation, relaxation.discretized())
    edges = [(source, target) for target in range(4) for source in range(target)]
    for (source, target), left in zip(edges, LEFT, strict=True):
        shares = [told[f"weight.cell.{source}-{target}.{op}"] for op in OPS]
        assert [index for index, share in enumerate(shares) if share] == left
    assert np.isfinite(list(told.values())).all()


@pytest.mark.parametrize("mixture", ["sum", "partial", "entangled"])
def test_a_supernet_of_what_is_left_answers_and_learns(mixture: Any) -> None:
    architecture = cells()
    model = Supernet(architecture, mixture, settings_of(channels=4, layers=1), FACTS, partial=4)
    initialize(model, "he", rng(2))
    relaxation = (EdgeSoftmax if mixture == "partial" else Softmax)(architecture, rng())
    batch = Examples(torch.rand(8, 1, 8, 8, generator=rng(1)), torch.arange(8))
    loss = model.loss(batch, relaxation.mixes(rng()))
    slopes = torch.autograd.grad(loss, [*model.parameters(), *relaxation.parameters()], materialize_grads=True)
    assert all(slope.isfinite().all() for slope in slopes)
    whole = Supernet(cells({}), mixture, settings_of(channels=4, layers=1), FACTS, partial=4)
    whole.load_state_dict(model.state_dict(), strict=False)
    same = {
        kind: Mix(mix.weights, tuple(tuple(left) if left != [0] else () for left in LEFT), mix.edges)
        for kind, mix in relaxation.mixes(rng()).items()
    }
    if mixture != "entangled":  # there a small kernel would be a part of one that the other has not
        torch.testing.assert_close(model(batch.inputs, relaxation.mixes(rng())), whole(batch.inputs, same))
