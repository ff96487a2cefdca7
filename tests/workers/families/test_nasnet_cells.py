"""Networks of NASNet cells: how large they are, by a count of their own; what a cell computes; what is left out."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from spaces.architectures import ARCHITECTURES
from spaces.architectures.nasnet import OPS, NasNet, loose
from spaces.architectures.relabeling import Block
from workers.families.blocks import initialize, parameter_count
from workers.families.cell.macro import Reductions
from workers.families.cell.network import network
from workers.training.settings import Settings
from workers.training.streams import stream

MakeSettings = Callable[..., Settings]
NASNET_A = (
    "normal=add(sep_conv_5x5~1,sep_conv_3x3~0)+add(sep_conv_5x5~0,sep_conv_3x3~0)+add(avg_pool_3x3~1,skip_connect~0)"
    "+add(avg_pool_3x3~0,avg_pool_3x3~0)+add(sep_conv_3x3~1,skip_connect~1);"
    "reduce=add(sep_conv_5x5~1,sep_conv_7x7~0)+add(max_pool_3x3~1,sep_conv_7x7~0)+add(avg_pool_3x3~1,sep_conv_5x5~0)"
    "+add(skip_connect~3,avg_pool_3x3~2)+add(sep_conv_3x3~2,max_pool_3x3~1)"
)
AMOEBANET_A = (
    "normal=add(avg_pool_3x3~0,max_pool_3x3~1)+add(sep_conv_3x3~0,sep_conv_5x5~2)+add(sep_conv_3x3~0,avg_pool_3x3~3)"
    "+add(sep_conv_3x3~1,skip_connect~1)+add(skip_connect~0,avg_pool_3x3~1);"
    "reduce=add(avg_pool_3x3~0,sep_conv_3x3~1)+add(max_pool_3x3~0,sep_conv_7x7~2)+add(sep_conv_7x7~0,avg_pool_3x3~1)"
    "+add(max_pool_3x3~0,max_pool_3x3~1)+add(conv_1x7_7x1~0,sep_conv_3x3~5)"
)
SIDE, CLASSES = 32, 10
FACTORIZED = {"conv_1x3_3x1": 3, "conv_1x7_7x1": 7}
Cells = Mapping[str, list[Block]]


def weights(op: str, c: int, halving: bool) -> int:
    """Of the convolutions; a norm has two more per map."""
    if op in FACTORIZED:
        return 2 * FACTORIZED[op] * c * c
    k = int(op[-1]) if op[-1].isdigit() else 0
    match op.split("_")[0]:
        case "sep":
            return 2 * (k * k * c + c * c)
        case "dil":
            return k * k * c + c * c
        case "conv":
            return k * k * c * c
        case "skip":
            return c * c if halving else 0  # half of the maps from every other position, half from those between
        case _:
            return 0  # a pool


def norms(op: str, c: int, halving: bool) -> int:
    return {"sep": 2, "dil": 1, "conv": 1, "skip": int(halving)}.get(op.split("_")[0], 0) * 2 * c


def counted(cells: Cells, width: int, layers: int, answered: Mapping[str, int] | None = None) -> tuple[int, int]:
    """Parameters and multiply-adds for an image [3, 32, 32], where every cell is read. `answered`: of how many states a
    cell of the kind answers the maps, where that is not what no block uses."""
    answered = answered or {kind: len(loose(blocks)) for kind, blocks in cells.items()}
    before = last = 3 * width
    side = SIDE
    parameters, cost = 27 * last + 2 * last, 27 * last * side**2
    for layer in range(layers):
        halving = layer in (layers // 3, 2 * layers // 3)
        kind = "reduce" if halving else "normal"
        entered = side  # the first input has twice this side after a reduction, and is halved by what prepares it
        width, side = (2 * width, side // 2) if halving else (width, side)
        parameters += (before + last) * width + 2 * 2 * width
        cost += (before + last) * width * entered**2
        for block in cells[kind]:
            for op, state in block.edges:
                strided = halving and state < 2
                parameters += weights(op, width, strided) + norms(op, width, strided)
                cost += weights(op, width, strided) * side**2
                if strided and op in FACTORIZED:
                    cost += FACTORIZED[op] * width**2 * side**2  # the first one halves the rows alone
            if block.combine == "concat":
                parameters += 2 * width**2 + 2 * width
                cost += 2 * width**2 * side**2
        before, last = last, answered[kind] * width
    return parameters + last * CLASSES + CLASSES, cost + last * CLASSES


def multiply_adds(model: nn.Module) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval()(torch.zeros(1, 3, SIDE, SIDE))
    return int(counter.get_total_flops()) // 2


def of(genotype: str, nodes: int = 5) -> tuple[NasNet, dict[str, Any]]:
    architecture = NasNet("cell", nodes=nodes)
    return architecture, architecture.config_of(genotype)


@pytest.mark.parametrize(
    ("genotype", "width", "answered", "published"),
    [
        # its authors' cells answer an input, or a state that a block uses, besides what no block uses
        (NASNET_A, 32, {"normal": 6, "reduce": 4}, 3.3e6),  # NASNet-A (6 @ 768)
        (AMOEBANET_A, 36, None, 3.2e6),  # AmoebaNet-A (N=6, F=36)
    ],
)
def test_published_cells_have_as_many_parameters_as_counted(
    settings: MakeSettings, genotype: str, width: int, answered: Mapping[str, int] | None, published: float
) -> None:
    architecture, config = of(genotype)
    cells = architecture.cells(config)
    assert counted(cells, width, 20, answered)[0] == pytest.approx(published, rel=0.02), "the count is right"
    model = network(settings("cell", **config, channels=width, layers=20), (3, SIDE, SIDE), CLASSES)
    assert (parameter_count(model), multiply_adds(model)) == counted(cells, width, 20)


@pytest.mark.parametrize("combine", ["add", "concat"])
@pytest.mark.parametrize("op", OPS)
def test_every_operation_has_as_many_parameters_as_counted(settings: MakeSettings, op: str, combine: str) -> None:
    cell = f"{combine}({op}~0,{op}~1)+{combine}({op}~2,{op}~1)"
    architecture, config = of(f"normal={cell};reduce={cell}", nodes=2)
    model = network(settings("cell", **config, channels=6, layers=4), (3, SIDE, SIDE), CLASSES)
    assert (parameter_count(model), multiply_adds(model)) == counted(architecture.cells(config), 6, 4)


def test_a_cell_computes_what_its_blocks_say(settings: MakeSettings) -> None:
    cell = "add(skip_connect~0,skip_connect~0)+concat(skip_connect~2,max_pool_5x5~1)+add(avg_pool_3x3~2,skip_connect~1)"
    _, config = of(f"normal={cell};reduce={cell}", nodes=3)
    model = network(settings("cell", **config, channels=4, layers=3), (1, 8, 8), CLASSES).double().eval()
    initialize(model, "he", stream(0, "initialization"))
    normal, reduce = (
        next(cell for kind, cell in model.cells_by_kind() if kind == name) for name in ("normal", "reduce")
    )
    x, y = torch.rand(2, 12, 8, 8, dtype=torch.float64), torch.rand(2, 12, 8, 8, dtype=torch.float64)
    before, last = normal.prepare[0](x), normal.prepare[1](y)
    twice, pooled = 2 * before, nn.functional.max_pool2d(last, 5, 1, 2)
    second = nn.functional.avg_pool2d(twice, 3, 1, 1, count_include_pad=False) + last
    expected = torch.cat([normal.narrow["3"](torch.cat([twice, pooled], dim=1)), second], dim=1)
    torch.testing.assert_close(normal(x, y), expected)
    x, y = torch.rand(2, 12, 9, 9, dtype=torch.float64), torch.rand(2, 8, 9, 9, dtype=torch.float64)
    before, last = reduce.prepare[0](x), reduce.prepare[1](y)
    twice = reduce.edges["0"](before) + reduce.edges["1"](before)
    pooled = nn.functional.max_pool2d(last, 5, 2, 2)
    second = nn.functional.avg_pool2d(twice, 3, 1, 1, count_include_pad=False) + reduce.edges["5"](last)
    expected = torch.cat([reduce.narrow["3"](torch.cat([twice, pooled], dim=1)), second], dim=1)
    assert expected.shape == (2, 16, 5, 5)
    torch.testing.assert_close(reduce(x, y), expected)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("auxiliary", [0.0, 0.4])
def test_nothing_is_trained_that_the_answer_does_not_depend_on(
    settings: MakeSettings, seed: int, auxiliary: float
) -> None:
    """Whatever the blocks read: an input or a cell that nothing reads is not there."""
    rng = random.Random(seed)
    architecture = NasNet("cell", nodes=2)
    config = architecture.config({gene.rest: rng.choice(gene.choices) for gene in architecture.genes})
    chosen = settings("cell", **config, channels=4, layers=7, activation="tanh", auxiliary=auxiliary)
    model = network(chosen, (1, 8, 8), CLASSES)
    logits, second = model.answers(torch.rand(4, 1, 8, 8))
    assert (second is None) == (auxiliary == 0)
    (logits.sum() + (0 if second is None else second.sum())).backward()
    assert not [name for name, parameter in model.named_parameters() if parameter.grad is None]


def test_a_cell_that_no_other_reads_is_left_out(settings: MakeSettings) -> None:
    before = "add(conv_1x1~0,skip_connect~0)"  # every cell reads the one before the last
    _, config = of(f"normal={before};reduce={before}", nodes=1)
    model = network(settings("cell", **config, channels=4, layers=6), (1, 16, 16), CLASSES)
    assert isinstance(model, Reductions)
    assert [int(layer) for layer in model.cells] == [1, 3, 5]
    with_head = network(settings("cell", **config, channels=4, layers=6, auxiliary=0.4), (1, 16, 16), CLASSES)
    assert isinstance(with_head, Reductions)
    assert [int(layer) for layer in with_head.cells] == [0, 1, 2, 3, 4, 5], "the second classifier is behind cell 4"
    assert not list(model.cells["1"].prepare[1].parameters())


def test_a_family_trains_with_the_usual_cell_where_none_is_named(settings: MakeSettings) -> None:
    model = network(settings("cell", cell="nasnet", channels=4), (1, 8, 8), CLASSES)
    usual = "+".join(["add(sep_conv_3x3~0,sep_conv_3x3~1)"] * 5)
    architecture, config = of(f"normal={usual};reduce={usual}")
    assert ARCHITECTURES["nasnet"]("cell") == architecture
    named = network(settings("cell", **config, channels=4), (1, 8, 8), CLASSES)
    assert parameter_count(model) == parameter_count(named)
    assert {name: p.shape for name, p in model.named_parameters()} == {
        name: p.shape for name, p in named.named_parameters()
    }
