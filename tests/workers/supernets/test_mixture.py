from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spaces.architectures import ARCHITECTURES, OneShot
from workers.catalogue import FAMILIES
from workers.data.loading import Examples
from workers.families.blocks import attach_noise, initialize, parameter_count
from workers.families.cell.network import set_drop
from workers.families.cell.operations import Kit
from workers.rows import Facts
from workers.supernets.bilevel import Step, first_order, second_order
from workers.supernets.costs import costs_of, total
from workers.supernets.footprint import kept_bytes
from workers.supernets.methods import Mixed
from workers.supernets.mixture import (
    EntangledEdge,
    Mix,
    MixedEdge,
    PartialEdge,
    entangled_groups,
    entangled_kernel,
    shuffled,
)
from workers.supernets.relaxation import EdgeSoftmax, Gumbel, Relaxation, Softmax, everything, of_config
from workers.supernets.supernet import Supernet
from workers.training.settings import Settings, resolve

FACTS = Facts(task="classification", inputs="image", shape=(1, 8, 8), outputs=10)
OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def settings_of(**config: Any) -> Settings:
    return resolve(FAMILIES["cell"].hyperparameters("image"), config)


def drawn(module: nn.Module, seed: int = 0) -> nn.Module:
    initialize(module, "he", rng(seed))
    return module


def a_mix(edges: int = 1, ops: int = len(OPS), **more: Any) -> Mix:
    weights = torch.randn(edges, ops, generator=rng(9)).softmax(dim=1)
    return Mix(weights, (tuple(range(ops)),) * edges, **more)


@pytest.mark.parametrize("stride", [1, 2])
def test_answers_add_up_by_their_weights(stride: int) -> None:
    edge = drawn(MixedEdge(Kit(settings_of(), shared=True), OPS, 4, stride))
    x, mix = torch.randn(3, 4, 6, 6, generator=rng()), a_mix()
    alone = [Mix(torch.ones(1, len(OPS)), ((index,),)) for index in range(len(OPS))]
    wanted = sum(mix.weights[0, index] * edge(x, one, 0) for index, one in enumerate(alone))
    torch.testing.assert_close(edge(x, mix, 0), wanted)
    assert not edge(x, alone[0], 0).any()


def test_what_is_not_drawn_is_reached_by_the_gradient() -> None:
    edge = drawn(MixedEdge(Kit(settings_of(), shared=True), OPS, 4, 1))
    x = torch.randn(3, 4, 6, 6, generator=rng())
    weights = torch.eye(len(OPS))[3:4].requires_grad_()
    carried = edge(x, Mix(weights, ((3,),), carried=True), 0)
    torch.testing.assert_close(carried, edge(x, Mix(weights, ((3,),)), 0))
    (slope,) = torch.autograd.grad(carried.sum(), weights)
    assert slope[0, 0] == slope[0, 4] == x.numel()


def test_channels_are_dealt_anew() -> None:
    x = torch.arange(8.0).reshape(1, 8, 1, 1)
    assert shuffled(x, 4).flatten().tolist() == [0, 2, 4, 6, 1, 3, 5, 7]


def test_all_channels_and_even_edges_are_darts_over_the_number_of_edges() -> None:
    kit = Kit(settings_of(), shared=True)
    partial, whole = PartialEdge(kit, OPS, 4, 1, k=1), MixedEdge(kit, OPS, 4, 1)
    drawn(whole)
    partial.inner.load_state_dict(whole.state_dict())
    x, mix = torch.randn(2, 4, 6, 6, generator=rng()), a_mix(edges=2)
    halved = Mix(mix.weights, mix.active, edges=torch.full((2,), 0.5))
    torch.testing.assert_close(partial(x, halved, 1), whole(x, mix, 1) / 2)


@pytest.mark.parametrize("stride", [1, 2])
def test_most_channels_go_by(stride: int) -> None:
    edge = PartialEdge(Kit(settings_of(), shared=True), OPS, 8, stride, k=4)
    x = torch.randn(2, 8, 6, 6, generator=rng())
    out = edge(x, a_mix(), 0)
    past = nn.functional.max_pool2d(x, 2) if stride == 2 else x
    # 2 of 8 are mixed; the third channel is the first that goes by, and comes second after the deal
    torch.testing.assert_close(out[:, 1], past[:, 2])
    assert parameter_count(edge) == 2 * 2 + 9 * 2 * 2 + (2 * 2 if stride == 2 else 0)
    assert not edge(x, Mix(torch.ones(1, 5), ((),)), 0).any(), "an edge that an architecture lacks carries nothing"


def test_kernels_that_add_up_answer_as_their_answers_do() -> None:
    weight = torch.randn(6, 4, 5, 5, generator=rng(), dtype=torch.float64, requires_grad=True)
    x = torch.randn(2, 4, 7, 7, generator=rng(1), dtype=torch.float64)
    shares = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    ratios = list(zip((1, 3, 5), shares, strict=True))

    def by(kernel: Tensor) -> Tensor:
        return nn.functional.conv2d(x, kernel, padding=kernel.shape[-1] // 2)

    def crop(size: int) -> Tensor:
        margin = (5 - size) // 2
        return weight[:, :, margin : 5 - margin, margin : 5 - margin]

    wanted = sum(share * by(crop(size)) for size, share in ratios)
    assert isinstance(wanted, Tensor)
    assert float((by(entangled_kernel(weight, ratios)) - wanted).detach().abs().max()) < 1e-12
    centre = [
        torch.autograd.grad(by(entangled_kernel(weight, [(size, torch.ones(()))])).sum(), weight)[0][:, :, 2, 2]
        for size in (1, 3, 5)
    ]
    assert all(slope.abs().min() > 0 for slope in centre)


def test_an_entangled_edge_has_the_weights_of_its_largest_kernels_alone() -> None:
    ops = ("skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5")
    assert entangled_groups(dict(enumerate(ops))) == [{1: 3, 2: 5}, {3: 3, 4: 5}]
    kit = Kit(settings_of(), shared=True)
    edge = EntangledEdge(kit, ops, 4, 1)
    largest = MixedEdge(kit, ("sep_conv_5x5", "dil_conv_5x5"), 4, 1)
    assert parameter_count(edge) == parameter_count(largest)
    largest.load_state_dict(
        {
            name.replace("operations.2", "operations.0").replace("operations.4", "operations.1"): tensor
            for name, tensor in drawn(edge).state_dict().items()
        }
    )
    x = torch.randn(2, 4, 6, 6, generator=rng())
    large = Mix(torch.tensor([[0.0, 0.0, 0.6, 0.0, 0.4]]), ((2, 4),))
    same = Mix(torch.tensor([[0.6, 0.4]]), ((0, 1),))
    torch.testing.assert_close(edge(x, large, 0), largest(x, same, 0))
    small = edge(x, Mix(torch.ones(1, 5), ((1,),)), 0)
    assert not torch.allclose(small, edge(x, Mix(torch.ones(1, 5), ((2,),)), 0))


def test_drops_keep_the_mean_and_spare_identities() -> None:
    edge = MixedEdge(Kit(settings_of(), shared=True), ("skip_connect", "avg_pool_3x3"), 1, 1).train()
    set_drop(edge, 0.3)
    attach_noise(edge, rng())
    x = torch.ones(100_000, 1, 1, 1)
    pooled = edge(x, Mix(torch.ones(1, 2), ((1,),)), 0)
    assert float(pooled.mean()) == pytest.approx(1, rel=0.01)
    assert pooled.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert torch.equal(edge(x, Mix(torch.ones(1, 2), ((0,),)), 0), x)


def supernet(mixture: Mixed = "sum", **more: int) -> Supernet:
    architecture = ARCHITECTURES["darts"]("cell")
    assert isinstance(architecture, OneShot)
    model = Supernet(architecture, mixture, settings_of(channels=8, layers=3), FACTS, **more)
    drawn(model)
    return model


@pytest.mark.parametrize(("mixture", "relaxation"), [("sum", Gumbel), ("partial", EdgeSoftmax)])
def test_one_path_or_few_channels_take_half_the_memory_at_most(mixture: Mixed, relaxation: type[Softmax]) -> None:
    architecture = ARCHITECTURES["darts"]("cell")
    assert isinstance(architecture, OneShot)
    batch = Examples(torch.rand(8, 1, 8, 8, generator=rng()), torch.arange(8))

    def memory(model: Supernet, learnt: Relaxation) -> int:
        return kept_bytes(lambda: model.loss(batch, learnt.mixes(rng())), model)

    darts = memory(supernet(), Softmax(architecture, rng()))
    assert memory(supernet(mixture, partial=4), relaxation(architecture, rng())) <= darts / 2


def test_costs_are_those_of_the_operations_in_their_places() -> None:
    architecture = ARCHITECTURES["nas-bench-201"]("cell", nodes=2)  # type: ignore[call-arg]
    assert isinstance(architecture, OneShot)
    model = Supernet(architecture, "sum", settings_of(channels=4, layers=1), FACTS)
    mixes = {
        kind: Mix(torch.ones(1, 5), everything(cell, architecture.masks[kind]))
        for kind, cell in architecture.supercells.items()
    }
    inputs = torch.rand(2, 1, 8, 8)
    costs = costs_of(model, mixes, inputs, "multiply_adds")
    places = [(4, 64), (8, 16), (16, 4)]  # channels and positions of the three stages
    one = sum(channels**2 * positions for channels, positions in places)
    assert costs["cell"].tolist() == [[0, 0, one, 9 * one, 0]]
    assert total(costs, {"cell": torch.ones(1, 5)}) == 2 * one
    measured = costs_of(model, mixes, inputs, "latency")["cell"][0]
    assert measured[0] == 0
    assert float(measured[1:].min()) > 0


def test_an_architecture_answers_as_its_paths_do() -> None:
    """By the one-hot mix of all operations, which computes them all."""
    architecture = ARCHITECTURES["nas-bench-201"]("cell")
    assert isinstance(architecture, OneShot)
    model = Supernet(architecture, "sum", settings_of(channels=4, layers=1), FACTS)
    drawn(model)
    config = architecture.config_of(
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|nor_conv_3x3~2|"
    )
    path = of_config(architecture, config, torch.device("cpu"))["cell"]
    chosen = torch.zeros_like(path.weights)
    for edge, op in enumerate(architecture.paths(config)["cell"]):
        assert op is not None
        chosen[edge, op] = 1
    x = torch.rand(4, 1, 8, 8, generator=rng())
    torch.testing.assert_close(
        model(x, {"cell": path}),
        model(x, {"cell": Mix(chosen, everything(architecture.supercells["cell"], architecture.masks["cell"]))}),
    )


@pytest.mark.parametrize("order", ["first", "second"])
def test_the_only_operation_that_can_fit_is_chosen(order: str) -> None:
    """A teacher with a 3×3 kernel that no smaller one, no mean and no identity can follow."""
    chosen = 0
    for seed in range(10):
        edge = drawn(MixedEdge(Kit(settings_of(norm="none")), OPS[1:], 4, 1), seed)
        teacher = 0.5 * torch.randn(4, 4, 3, 3, generator=rng(100 + seed))
        teacher[:, :, 1, 1] = 0
        alpha = torch.zeros(1, 4, requires_grad=True)
        weights = list(edge.parameters())
        optimizers = [torch.optim.SGD(weights, 0.1, momentum=0.9), torch.optim.Adam([alpha], 0.1)]
        draws = rng(200 + seed)

        def batch(
            edge: nn.Module = edge,
            teacher: Tensor = teacher,
            alpha: Tensor = alpha,
            draws: torch.Generator = draws,
        ) -> Callable[[], Tensor]:
            x = torch.randn(16, 4, 5, 5, generator=draws)
            wanted = nn.functional.conv2d(x.relu(), teacher, padding=1)
            return lambda: (edge(x, Mix(alpha.softmax(dim=1), ((0, 1, 2, 3),)), 0) - wanted).square().mean()

        for _ in range(40):
            train, validation = batch(), batch()
            if order == "second":
                slope = second_order(train, validation, [alpha], Step.of(optimizers[0], 0.1))  # type: ignore[arg-type]
            else:
                slope = first_order(validation, [alpha])
            alpha.grad = slope[0]
            optimizers[1].step()
            optimizers[0].zero_grad()
            torch.autograd.backward(train(), inputs=weights)
            optimizers[0].step()
        chosen += int(alpha.argmax()) == OPS[1:].index("nor_conv_3x3")
    assert chosen >= 9
