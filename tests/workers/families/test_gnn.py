"""Graph networks on small graphs, and on the karate club as a study trains on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from workers.data.loading import Data, Examples
from workers.families import gnn
from workers.families.blocks import attach_noise, initialize, parameter_count
from workers.families.gnn.features import DIMENSIONS, deepwalk, degree_classes
from workers.families.gnn.graph import Graph
from workers.families.gnn.layers import Convolution, Sage
from workers.families.gnn.network import NodeClassifier, build
from workers.objectives.train import TrainObjective
from workers.protocol import Assignment, Failure, FailureClass, Report
from workers.rows import Facts
from workers.training.settings import resolve
from workers.training.streams import stream

FACTS = Facts(task="classification", inputs="graph", shape=(), outputs=2, sizes={"nodes": 6})
# two triangles, 0 1 2 and 3 4 5, with one edge between them; all edges both ways
PAIRS = torch.tensor([[0, 0, 1, 3, 3, 4, 2], [1, 2, 2, 4, 5, 5, 3]])
EDGES = torch.cat([PAIRS, PAIRS.flip(0)], dim=1)
GRAPH = Graph(6, EDGES)
KNOWN = Examples(torch.tensor([0, 5]), torch.tensor([0, 1]))
OTHERS = Examples(torch.tensor([1, 2, 3, 4]), torch.tensor([0, 0, 1, 1]))
KINDS = ["gcn", "sage_mean", "sage_max", "sage_lstm"]


def settings(**config: Any) -> Any:
    return resolve(gnn.FAMILY.hyperparameters("graph"), config)


def learner(**config: Any) -> NodeClassifier:
    made = build(settings(**config), FACTS)
    initialize(made, "xavier_uniform", stream(0, "initialization"))
    attach_noise(made, stream(0, "dropout"))
    made.prepare(Data(KNOWN, OTHERS, {"edges": EDGES}))
    assert isinstance(made, NodeClassifier)
    return made


def dense_adjacency(loops: bool, adjacency: str) -> torch.Tensor:
    """As T. Kipf and M. Welling write it, the degrees those of A + I."""
    a = torch.zeros(6, 6)
    a[EDGES[1], EDGES[0]] = 1
    a += torch.eye(6) if loops else 0
    d = a.sum(dim=1)
    return a / d[:, None] if adjacency == "row" else d.rsqrt()[:, None] * a * d.rsqrt()


@pytest.mark.parametrize("loops", [True, False])
@pytest.mark.parametrize("adjacency", ["sym", "row"])
def test_a_convolution_is_its_matrix_product(loops: bool, adjacency: str) -> None:
    layer = Convolution(settings(self_loops=loops, adjacency=adjacency), 3, 6, 4)
    initialize(layer, "xavier_uniform", stream(0, "initialization"))
    h = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    expected = dense_adjacency(loops, adjacency) @ h @ layer.linear.weight.T
    torch.testing.assert_close(layer(h, GRAPH, None), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_are_unit_vectors(kind: str) -> None:
    """With identity features a layer answers what it answers to the unit matrix."""
    by_number, by_matrix = (
        (Convolution if kind == "gcn" else Sage)(settings(aggregation=kind), inputs, 6, 4) for inputs in (None, 6)
    )
    initialize(by_number, "xavier_uniform", stream(0, "initialization"))
    by_matrix.load_state_dict(by_number.state_dict())
    torch.testing.assert_close(by_number(torch.empty(6, 0), GRAPH, None), by_matrix(torch.eye(6), GRAPH, None))


@pytest.mark.parametrize("kind", ["sage_mean", "sage_max"])
def test_sage_reads_all_neighbours_where_nothing_is_learnt(kind: str) -> None:
    layer = Sage(settings(aggregation=kind, fanout=1, hidden=5), 3, 6, 4)
    initialize(layer, "xavier_uniform", stream(0, "initialization"))
    h = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    around = [torch.stack([h[int(u)] for u in EDGES[0][EDGES[1] == v]]) for v in range(6)]
    news = [layer.read(each).mean(dim=0) if kind == "sage_mean" else layer.read(each).amax(dim=0) for each in around]
    expected = layer.own(h) + layer.combine(torch.stack(news))
    torch.testing.assert_close(layer(h, GRAPH, None), expected)


def test_the_lstm_reads_each_node_as_many_neighbours_as_it_has() -> None:
    """What pads the shorter lists makes no difference: node 0 has two neighbours, alone or beside a node with three."""
    layer = Sage(settings(aggregation="sage_lstm", hidden=5), 3, 6, 4)
    initialize(layer, "xavier_uniform", stream(0, "initialization"))
    news = torch.randn(1, 2, 20, generator=torch.Generator().manual_seed(0))
    padded = torch.cat([news, torch.full((1, 3, 20), 7.0)], dim=1)
    there = torch.tensor([[True, True, False, False, False]])
    expected = layer.remembered(news, there[:, :2, None])
    torch.testing.assert_close(layer.remembered(padded, there[..., None]), expected)


def test_sampled_neighbours_are_neighbours_drawn_without_putting_back() -> None:
    rng = torch.Generator().manual_seed(0)
    drawn: set[int] = set()
    for _ in range(20):
        table, there = GRAPH.neighbours(2, rng)
        assert table.shape == (6, 2)
        assert there.sum(dim=1).tolist() == [2] * 6
        for node in range(6):
            mine = table[node][there[node]].tolist()
            assert len(set(mine)) == len(mine)
            assert set(mine) <= set(EDGES[0][EDGES[1] == node].tolist())
        drawn |= set(table[2].tolist())
    assert drawn == {0, 1, 3}


def test_a_node_without_neighbours_answers_by_itself() -> None:
    lonely = Graph(3, torch.tensor([[0, 1], [1, 0]]))
    for kind in KINDS:
        layer = (Convolution if kind == "gcn" else Sage)(settings(aggregation=kind), 2, 3, 4)
        initialize(layer, "xavier_uniform", stream(0, "initialization"))
        assert torch.isfinite(layer(torch.ones(3, 2), lonely, torch.Generator())).all()


def test_dropped_edges_are_their_share() -> None:
    graph = Graph(1000, torch.randint(1000, (2, 20_000), generator=torch.Generator().manual_seed(0)))
    assert graph.thinned(0.3, torch.Generator().manual_seed(0)).edges.shape[1] == pytest.approx(14_000, rel=0.02)
    assert graph.thinned(0.0, torch.Generator()) is graph


def test_degree_classes() -> None:
    star = Graph(6, torch.tensor([[1, 2, 3, 4, 0], [0, 0, 0, 0, 1]]))
    assert degree_classes(star).argmax(dim=1).tolist() == [3, 1, 0, 0, 0, 0]  # degrees 4, 1, 0


def test_random_walks_tell_the_triangles_apart() -> None:
    vectors = deepwalk(GRAPH)
    assert vectors.shape == (6, DIMENSIONS)
    apart = torch.cdist(vectors, vectors)
    assert apart[0, 1] < apart[0, 3]
    assert apart[5, 4] < apart[5, 2]


@pytest.mark.parametrize(
    ("config", "count"),
    [
        ({"layers": 1}, 6 * 2 + 2),
        ({"hidden": 5}, 6 * 5 + 5 + 5 * 2 + 2),
        ({"hidden": 5, "features": "degree"}, 16 * 5 + 5 + 5 * 2 + 2),
        ({"hidden": 5, "aggregation": "sage_mean"}, 2 * 6 * 5 + 5 + 2 * 5 * 2 + 2),
        ({"hidden": 5, "aggregation": "sage_max", "layers": 1}, 6 * 2 + 2 + 6 * 5 + 5 + 5 * 2),
        ({"hidden": 5, "aggregation": "sage_lstm", "layers": 1}, 6 * 2 + 2 + 6 * 20 + 20 + 5 * 20 + 5 * 2),
    ],
)
def test_parameters(config: dict[str, Any], count: int) -> None:
    assert parameter_count(learner(**config)) == count


@pytest.mark.parametrize(
    ("kind", "features"), [*((kind, "identity") for kind in KINDS), ("gcn", "degree"), ("sage_max", "deepwalk")]
)
def test_gradients_are_those_of_the_loss(kind: str, features: str) -> None:
    model = learner(aggregation=kind, features=features, activation="tanh", dropout=0.0, fanout=2, edge_dropout=0.2)
    model.double()

    def loss() -> torch.Tensor:
        return model.loss(OTHERS, torch.Generator().manual_seed(5))

    torch.autograd.backward(loss())
    for parameter in model.parameters():
        assert parameter.grad is not None
        flat, place = parameter.data.view(-1), int(parameter.grad.abs().argmax())
        values = []
        for step in (1e-6, -2e-6):
            flat[place] += step
            values.append(float(loss().detach()))
        flat[place] += 1e-6
        slope = (values[0] - values[1]) / 2e-6
        assert slope == pytest.approx(float(parameter.grad.view(-1)[place]), rel=1e-4, abs=1e-7)


def test_walks_over_too_many_nodes_are_infeasible() -> None:
    with pytest.raises(Failure, match="4096 nodes at most, the graph has 5000") as caught:
        build(settings(features="deepwalk"), replace(FACTS, sizes={"nodes": 5000}))
    assert caught.value.failure is FailureClass.INFEASIBLE


def trained(
    config: dict[str, Any], epochs: int, of: int, place: Path, resume: Path | None = None, dataset: str = "karate"
) -> list[Report]:
    training = TrainObjective().train(
        Assignment(
            key="1",
            objective={"type": "train", "family": "gnn", "dataset": dataset},
            config=config,
            seed=3,
            fidelity=("epochs", epochs, of),
            resume_from=resume,
            checkpoint=place,
        )
    )
    return list(training)


@pytest.mark.parametrize(
    ("kind", "features"), [*((kind, "identity") for kind in KINDS), ("gcn", "degree"), ("sage_lstm", "deepwalk")]
)
def test_a_training_that_goes_on_is_the_same_one(kind: str, features: str, tmp_path: Path) -> None:
    config = {"aggregation": kind, "features": features, "dropout": 0.3, "edge_dropout": 0.2, "fanout": 3}
    whole = trained(config, 3, 3, tmp_path / "whole")
    first = trained(config, 2, 3, tmp_path / "first")
    rest = trained(config, 3, 3, tmp_path / "rest", tmp_path / "first")
    assert [r.metrics for r in [*first, *rest]] == [r.metrics for r in whole]


def test_two_known_members_tell_the_others_sides(tmp_path: Path) -> None:
    *_, last = trained({"lr": 0.02}, 100, 100, tmp_path / "model")
    assert last.metrics["val_accuracy"] >= 0.9  # 0.5 by chance
