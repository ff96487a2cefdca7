"""The numbers that are known of these spaces: sizes, equal architectures, published genotypes, discretization."""

import itertools
import math
from typing import Any

import numpy as np
import pytest

from spaces import Space
from spaces.architectures import OneShot, SuperCell, of_entry
from spaces.architectures.chain import Block, Chain, Stage
from spaces.architectures.darts import OPS, Darts
from spaces.architectures.hierarchical import Hierarchical
from spaces.architectures.nas_bench_201 import NasBench201, merged
from spaces.architectures.nasnet import NasNet

DARTS_V1 = (
    "Genotype(normal=[('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 0), ('sep_conv_3x3', 1), "
    "('skip_connect', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 2)], normal_concat=[2, 3, 4, 5], "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 0), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('avg_pool_3x3', 0)], reduce_concat=[2, 3, 4, 5])"
)
DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)


def _space(**entry: Any) -> Space:
    return Space.from_json({"parameters": [{"name": "cell", "type": "cell", **entry}]})


def _named(**entry: Any) -> Any:
    return of_entry({"name": "cell", **entry})


@pytest.mark.parametrize(
    ("entry", "size"),
    [
        ({"preset": "nas-bench-201"}, 15_625),
        ({"preset": "nas-bench-201", "nodes": 5, "ops": ["none", "skip_connect"]}, 2**10),
        ({"preset": "darts"}, 1_037_664_180**2),
        ({"preset": "darts", "nodes": 2, "ops": ["skip_connect", "sep_conv_3x3"]}, (3 * 4**2) ** 2),
        ({"preset": "nasnet"}, math.prod((b * 13) ** 2 * 2 for b in range(2, 7)) ** 2),
        ({"preset": "hierarchical"}, 7 ** (6 * 6) * 7**10),
        ({"preset": "chain"}, (7 * sum((3 * 2) ** blocks for blocks in range(1, 5))) ** 3),
    ],
)
def test_sizes(entry: dict[str, Any], size: int) -> None:
    space = _space(**entry)
    assert space.size() == size
    assert space.size_is_exact


@pytest.fixture(scope="module")
def cells() -> list[dict[str, Any]]:
    return list(_space(preset="nas-bench-201").enumerate())


def test_nas_bench_201(cells: list[dict[str, Any]]) -> None:
    architecture = NasBench201("cell")
    assert len({architecture.genotype(cell) for cell in cells}) == 15_625
    assert len({merged(architecture.ops_of(cell), 4, zero=False) for cell in cells}) == 12_751
    assert len({architecture.canonical(cell) for cell in cells}) == 6_466
    assert sum(architecture.objection(cell) is not None for cell in cells) == 341
    without = [cell for cell in cells if not any("conv" in str(op) for op in list(cell.values())[1:])]
    assert len(without) == 729


def test_cells_with_the_same_canonical_form_compute_the_same(cells: list[dict[str, Any]]) -> None:
    """By algebra: sums are opened, their terms in order, and zeros left out."""
    architecture = NasBench201("cell")
    computed: dict[str, set[tuple[str, ...]]] = {}
    for cell in cells:
        ops = architecture.ops_of(cell)
        terms: list[tuple[str, ...]] = [("x",)]
        for target in (1, 2, 3):
            of_node: list[str] = []
            for source in range(target):
                op = ops[source, target]
                if op == "skip_connect":
                    of_node += terms[source]
                elif op != "none" and terms[source]:
                    of_node.append(f"{op}({'+'.join(terms[source])})")
            terms.append(tuple(sorted(of_node)))
        computed.setdefault(architecture.canonical(cell), set()).add(terms[3])
    assert all(len(outputs) == 1 for outputs in computed.values())
    assert len({output for outputs in computed.values() for output in outputs}) == 4_930


def test_a_cell_of_nas_bench_201_has_24_neighbours(cells: list[dict[str, Any]]) -> None:
    space = _space(preset="nas-bench-201")
    near = space.neighbours(cells[7_777], np.random.default_rng(0))
    assert len(near) == 24
    assert all(sum(cell[name] != cells[7_777][name] for name in cell) == 1 for cell in near)


def test_the_string_of_nas_bench_201() -> None:
    text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|nor_conv_3x3~2|"
    architecture = NasBench201("cell")
    config = architecture.config_of(text)
    assert config == {
        "cell": "nas-bench-201",
        "cell.0-1": "nor_conv_3x3",
        "cell.0-2": "none",
        "cell.1-2": "skip_connect",
        "cell.0-3": "avg_pool_3x3",
        "cell.1-3": "nor_conv_1x1",
        "cell.2-3": "nor_conv_3x3",
    }
    assert architecture.genotype(config) == text


@pytest.mark.parametrize(
    ("ops", "paths"),
    [
        (("none",) * 6, set()),
        (("skip_connect",) * 6, {("skip_connect",) * n for n in (1, 2, 3)}),
        (
            ("nor_conv_3x3", "none", "skip_connect", "avg_pool_3x3", "none", "nor_conv_1x1"),
            {("avg_pool_3x3",), ("nor_conv_3x3", "skip_connect", "nor_conv_1x1")},
        ),
    ],
)
def test_the_path_encoding_has_a_bit_per_path(ops: tuple[str, ...], paths: set[tuple[str, ...]]) -> None:
    architecture = NasBench201("cell")
    rests = ["0-1", "0-2", "1-2", "0-3", "1-3", "2-3"]
    bits = architecture.path_encoding(architecture.config(dict(zip(rests, ops, strict=True))))
    words = [word for n in (1, 2, 3) for word in itertools.product(architecture.ops[1:], repeat=n)]
    assert bits.shape == (84,)
    assert {word for word, bit in zip(words, bits, strict=True) if bit} == paths


def test_darts_published_genotypes() -> None:
    architecture = Darts("cell")
    config = architecture.config_of(DARTS_V2)
    assert config["cell.normal.5.inputs"] == "0-2"
    assert (config["cell.normal.5.op0"], config["cell.normal.5.op1"]) == ("skip_connect", "dil_conv_3x3")
    assert (config["cell.normal.4.op0"], config["cell.normal.4.op1"]) == ("skip_connect", "sep_conv_3x3")
    for published in (DARTS_V1, DARTS_V2):
        config = architecture.config_of(published)
        written = architecture.genotype(config)
        assert architecture.config_of(written) == config
        assert architecture.config_of(published.replace("[2, 3, 4, 5]", "range(2, 6)")) == config
        # the same edges of every node, in either order
        space: dict[str, Any] = {"Genotype": dict}
        was, now = (eval(text, {}, space) for text in (published, written))
        for kind in ("normal", "reduce"):
            for node in range(4):
                assert set(was[kind][2 * node : 2 * node + 2]) == set(now[kind][2 * node : 2 * node + 2])


def test_darts_cells_are_equal_when_their_nodes_are_only_numbered_differently() -> None:
    architecture = Darts("cell", nodes=3)
    cell = "[('sep_conv_3x3', 0), ('skip_connect', 1), ('max_pool_3x3', 0), ('dil_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_5x5', 2)]"  # noqa: E501
    swapped = "[('max_pool_3x3', 0), ('dil_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 1), ('skip_connect', 0), ('sep_conv_5x5', 3)]"  # noqa: E501
    other = swapped.replace("('sep_conv_5x5', 3)", "('sep_conv_5x5', 2)")
    assert other != swapped

    def canonical(normal: str) -> str:
        concat = "_concat=[2, 3, 4]"
        text = f"Genotype(normal={normal}, normal{concat}, reduce={cell}, reduce{concat})"
        return architecture.canonical(architecture.config_of(text))

    assert canonical(cell) == canonical(swapped)
    assert canonical(cell) != canonical(other)


def test_the_supercells() -> None:
    darts, bench = Darts("cell").supercells, NasBench201("cell").supercells
    assert darts.keys() == {"normal", "reduce"}
    assert len(darts["normal"].edges) == 14
    assert darts["normal"].edges[:5] == ((0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
    assert darts["normal"].ops == ("none", *OPS)
    assert bench["cell"].edges == ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
    assert [cell.inputs for cell in (darts["normal"], bench["cell"])] == [2, 1]
    assert [cell.nodes for cell in (darts["normal"], bench["cell"])] == [4, 3]


def _uniform(architecture: OneShot) -> dict[str, Any]:
    def of(cell: SuperCell) -> Any:
        return np.full((len(cell.edges), len(cell.ops)), 1 / len(cell.ops))

    return {kind: of(cell) for kind, cell in architecture.supercells.items()}


def test_darts_keeps_two_states_and_no_none() -> None:
    architecture = Darts("cell")
    weights = _uniform(architecture)
    weights["normal"][:, 0] = 0.9  # `none` does not count
    weights["normal"][4, 1 + OPS.index("sep_conv_5x5")] = 0.5  # 2 -> 3
    weights["normal"][2, 1 + OPS.index("skip_connect")] = 0.4  # 0 -> 3
    weights["normal"][3, 1 + OPS.index("max_pool_3x3")] = 0.3  # 1 -> 3
    found = architecture.discretized(weights)
    assert found["cell.normal.3.inputs"] == "0-2"
    assert (found["cell.normal.3.op0"], found["cell.normal.3.op1"]) == ("skip_connect", "sep_conv_5x5")
    assert found["cell.normal.5.inputs"] == "0-1"  # ties go to the earlier states, and to the first op
    assert found["cell.normal.5.op0"] == OPS[0]
    # PC-DARTS: the same operations on edges of other weights
    edges = {kind: np.ones(14) for kind in weights}
    edges["normal"][2] = 0.5
    found = architecture.discretized(weights, edges)
    assert found["cell.normal.3.inputs"] == "1-2"


def test_nas_bench_201_may_choose_none() -> None:
    architecture = NasBench201("cell")
    weights = _uniform(architecture)
    weights["cell"][2, 3] = 0.9
    found = architecture.discretized(weights)
    assert architecture.genotype(found) == "|none~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|none~2|"


def test_nasnet_is_read_and_drawn() -> None:
    text = "add(sep_conv_3x3~1,skip_connect~1)+concat(conv_1x1~0,max_pool_3x3~2)+add(skip_connect~2,skip_connect~0)"
    architecture = NasNet("cell", nodes=3)
    config = architecture.config_of(f"normal={text};reduce={text}")
    assert architecture.genotype(config) == f"normal={text};reduce={text}"
    normal = architecture.drawing(config)["cells"][0]
    assert [node["label"] for node in normal["nodes"]] == ["c[k-2]", "c[k-1]", "2 add", "3 concat", "4 add", "output"]
    assert [edge["from"] for edge in normal["edges"] if edge["to"] == "5"] == ["3", "4"]  # what no block uses
    swapped = "add(skip_connect~1,sep_conv_3x3~1)+add(skip_connect~0,skip_connect~2)+concat(max_pool_3x3~2,conv_1x1~0)"
    same = architecture.config_of(f"normal={swapped};reduce={text}")
    assert architecture.canonical(same) == architecture.canonical(config)


def test_the_blocks_of_nasnet_read_both_inputs_where_nothing_is_searched() -> None:
    architecture = NasNet("cell", nodes=1, ops=("skip_connect", "conv_1x1"), combine=("add",))
    default = {each["name"]: each.get("default", each.get("value")) for each in architecture.parameters()}
    assert default["cell.normal.2.0.state"] == "0"
    assert default["cell.normal.2.1.state"] == "1"
    assert default["cell.normal.2.0.op"] is None, "sep_conv_3x3 was left out, so it is the first one"
    assert NasNet("cell").parameters()[2]["default"] == "sep_conv_3x3"


def test_hierarchical_flattens_to_operations() -> None:
    architecture = _named(preset="hierarchical", nodes=3, motifs=2, ops=["sep_conv_3x3", "skip_connect"])
    assert isinstance(architecture, Hierarchical)
    twice = "|sep_conv_3x3~0|+|none~0|sep_conv_3x3~1|"
    config = architecture.config_of(
        f"{twice};|none~0|+|none~0|none~1|;|motif-1~0|+|none~0|none~1|+|motif-2~0|motif-1~1|none~2|"
    )
    flat = architecture.flattened(config)
    assert [edge.op for edge in flat.edges] == ["sep_conv_3x3"] * 4
    assert flat.connected
    assert architecture.objection(config) is None
    # an unused motif, an empty one, and the numbers of inner nodes make no difference
    same = architecture.config_of(
        f"|skip_connect~0|+|none~0|none~1|;{twice};|none~0|+|motif-2~0|none~1|+|none~0|none~1|motif-2~2|"
    )
    assert architecture.canonical(same) == architecture.canonical(config)
    empty = architecture.config_of(f"{twice};{twice};|motif-1~0|+|none~0|none~1|+|none~0|none~1|motif-1~2|")
    assert "nothing leads" in str(architecture.objection(empty))
    assert architecture.canonical(empty) == ""


def test_chains() -> None:
    architecture = Chain("cell")
    text = "16:3,5s|24:7|128:3s,3s,3,5"
    config = architecture.config_of(text)
    stages = architecture.stages_of(config)
    assert stages[0] == Stage(16, (Block(3, skip=False), Block(5, skip=True)))
    assert "cell.2.2.kernel" not in config
    deeper = (*stages[:1], Stage(32, (*stages[1].blocks, Block(3, skip=False))), *stages[2:])
    grown = architecture.config_of_stages(deeper)
    assert architecture.genotype(grown) == "16:3,5s|32:7,3|128:3s,3s,3,5"
    _space(preset="chain").validate(grown)
