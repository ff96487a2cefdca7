from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from spaces.architectures import ARCHITECTURES, OneShot
from workers.families.blocks import PathDrop, attach_noise, initialize, parameter_count
from workers.families.cell.architecture import PRESETS
from workers.families.cell.network import network, set_drop
from workers.families.cell.operations import OPERATIONS, Kit, operation
from workers.protocol import Failure, FailureClass
from workers.training.settings import Settings
from workers.training.streams import stream

MakeSettings = Callable[..., Settings]
NB201, DARTS = ARCHITECTURES["nas-bench-201"]("cell"), ARCHITECTURES["darts"]("cell")
DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)


def multiply_adds(model: nn.Module, shape: tuple[int, ...]) -> int:
    model.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, *shape))
    return int(counter.get_total_flops()) // 2


def of_nb201(op: str) -> dict[str, Any]:
    return {"cell": "nas-bench-201", **{f"cell.{a}-{b}": op for b in range(1, 4) for a in range(b)}}


def test_the_network_of_darts_v2_has_the_parameters_of_the_paper(settings: MakeSettings) -> None:
    config = DARTS.config_of(DARTS_V2)
    model = network(settings("cell", **config, channels=36, layers=20), (3, 32, 32), 10)
    assert parameter_count(model) == 3_349_342
    with_head = network(settings("cell", **config, channels=36, layers=20, auxiliary=0.4), (3, 32, 32), 10)
    # 1×1 to 128 maps, 2×2 to 768, each with a norm, and a layer
    assert parameter_count(with_head) - parameter_count(model) == 576 * 128 + 256 + 4 * 128 * 768 + 1536 + 7690


@pytest.mark.parametrize(
    ("op", "parameters", "cost"), [("skip_connect", 73_306, 7_783_040), ("nor_conv_3x3", 1_531_546, 220_119_680)]
)
def test_networks_of_nas_bench_201_are_as_large_as_theirs(
    settings: MakeSettings, op: str, parameters: int, cost: int
) -> None:
    model = network(settings("cell", **of_nb201(op), channels=16, layers=5), (3, 32, 32), 10)
    assert parameter_count(model) == parameters
    assert multiply_adds(model, (3, 32, 32)) == cost


def test_a_cell_without_a_way_through_is_not_built(settings: MakeSettings) -> None:
    with pytest.raises(Failure, match="input of cell to its output") as caught:
        network(settings("cell", **of_nb201("none")), (1, 8, 8), 10)
    assert caught.value.failure is FailureClass.INFEASIBLE


def test_an_image_that_is_too_small_is_refused(settings: MakeSettings) -> None:
    with pytest.raises(Failure, match="halves the image 4 times") as caught:
        network(settings("cell", stem=4), (1, 8, 8), 10)
    assert caught.value.failure is FailureClass.INFEASIBLE


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 11, 17), (1, 28, 28), (1, 4, 4)])
@pytest.mark.parametrize("preset", PRESETS)
def test_any_image_is_read(settings: MakeSettings, preset: str, shape: tuple[int, ...]) -> None:
    config = {"cell": preset, **(DARTS.config_of(DARTS_V2) if preset == "darts" else {})}
    model = network(settings("cell", **config, channels=4, layers=3, auxiliary=0.4), shape, 7)
    initialize(model, "he", stream(0, "initialization"))
    logits, auxiliary = model.answers(torch.rand(3, *shape))
    assert logits.shape == (3, 7)
    if auxiliary is not None:
        assert auxiliary.shape == (3, 7)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [1, 2, 5, 8])
def test_operations_keep_maps_and_halve_sides(settings: MakeSettings, name: str, stride: int, side: int) -> None:
    made = operation(Kit(settings("cell")), name, 5, stride).eval()
    x = torch.randn(2, 5, side, side)
    before = x.clone()
    assert made(x).shape == (2, 5, -(-side // stride), -(-side // stride))
    assert torch.equal(x, before), "edges share their input"


def hierarchical(motif: str, level2: str, **others: str) -> dict[str, Any]:
    """All edges of the cell carry one motif, all of that one operation, but for `others`."""
    architecture = ARCHITECTURES["hierarchical"]("cell", nodes=3, motifs=2)  # type: ignore[call-arg]
    edges = {g.rest: motif if g.rest.startswith("3.") else level2 for g in architecture.genes}
    return architecture.config({**edges, **others})


def test_motifs_are_put_in_the_place_of_their_names(settings: MakeSettings) -> None:
    """6 edges of the cell, each a motif of 3 edges; three cells of 4, 8 and 16 maps."""

    def weights(config: dict[str, Any]) -> int:
        model = network(settings("cell", **config, channels=4, layers=1), (1, 8, 8), 10)
        cells = [cell for _, cell in model.cells_by_kind()]
        return sum(p.numel() for cell in cells for p in cell.parameters() if p.ndim == 4)

    per_edge = 4**2 + 8**2 + 16**2
    assert weights(hierarchical("motif-1", "conv_1x1")) == 6 * 3 * per_edge
    assert weights(hierarchical("motif-1", "dw_conv_3x3")) == 6 * 3 * 9 * (4 + 8 + 16)
    assert weights(hierarchical("motif-1", "conv_1x1", **{"3.0-3": "none"})) == 5 * 3 * per_edge
    assert weights(hierarchical("motif-2", "conv_1x1", **{"2.2.0-2": "skip_connect"})) == 6 * 2 * per_edge
    with pytest.raises(Failure, match="of every path is empty"):
        weights(hierarchical("motif-1", "none"))


def test_every_operation_of_the_architectures_is_known() -> None:
    for architecture in (NB201, DARTS):
        assert isinstance(architecture, OneShot)
        for cell in architecture.supercells.values():
            assert set(cell.ops) <= set(OPERATIONS)
    for preset in ("hierarchical", "nasnet"):
        assert set(ARCHITECTURES[preset]("cell").ops) <= set(OPERATIONS)  # type: ignore[attr-defined]


def test_a_smaller_architecture_is_told_by_its_names(settings: MakeSettings) -> None:
    small = ARCHITECTURES["darts"]("cell", nodes=1)  # type: ignore[call-arg]
    config = {each["name"]: each.get("value", each.get("choices", [None])[0]) for each in small.parameters()}
    model = network(settings("cell", **config, layers=1), (1, 8, 8), 10)
    assert len(model.get_submodule("cells.0.edges")) == 2  # type: ignore[arg-type]


def test_drops_spare_identities_and_keep_the_mean(settings: MakeSettings) -> None:
    config = {**of_nb201("skip_connect"), "cell.0-1": "avg_pool_3x3"}
    model = network(settings("cell", **config, drop_path=0.5, layers=1), (1, 8, 8), 10)
    drops = [module for module in model.modules() if isinstance(module, PathDrop)]
    assert len(drops) == 3, "one per stage"
    set_drop(model, 0.25)
    attach_noise(model, torch.Generator().manual_seed(0))
    ones = torch.ones(100_000, 1, 1, 1)
    assert float(drops[0].train()(ones).mean()) == pytest.approx(1, rel=0.01)
