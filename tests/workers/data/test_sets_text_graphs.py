"""The text and the graphs: that they are what their rows say, and that their difficulty is as it was meant."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch

from workers.data.loading import held_out_data, source_of, training_data
from workers.data.part import Part
from workers.data.sets import block_models, karate, pydoc_text
from workers.data.sets.pydoc_text import ALPHABET, encoded
from workers.protocol import Failure
from workers.rows import Dataset

GRAPHS = [karate.DATASET, *block_models.DATASETS]
CPU = torch.device("cpu")


def test_characters_and_symbols() -> None:
    assert len(set(ALPHABET)) == 96
    assert encoded("\n ~é\x00\U0001f600").tolist() == [1, 2, 96, 0, 0, 0]
    assert encoded(ALPHABET).tolist() == list(range(1, 97))


def test_the_text_is_as_long_as_its_row_says_and_split_in_time() -> None:
    row = pydoc_text.DATASET
    source = source_of(row)
    assert source.targets is None
    assert source.inputs.min() >= 0
    assert source.inputs.max() < row.outputs
    assert (source.inputs == 0).mean() < 0.01  # hardly anything else than the alphabet
    data, test = training_data(row, Part(), CPU), held_out_data(row, Part(), CPU)
    parts = [data.train.inputs, data.validation.inputs, test.inputs]
    assert [len(part) for part in parts] == [270_000, 90_000, 90_000]
    assert np.array_equal(torch.cat(parts).numpy(), source.inputs)


@pytest.mark.parametrize("row", GRAPHS, ids=lambda row: row.name)
def test_a_graph_is_what_its_row_says(row: Dataset) -> None:
    source = source_of(row)
    edges = source.context["edges"]
    nodes = row.sizes["nodes"]
    assert source.digest() == row.sha256
    assert source.inputs.tolist() == list(range(nodes))
    assert source.targets is not None
    assert np.unique(source.targets).tolist() == list(range(row.outputs))
    assert edges.dtype == np.int64
    assert len(np.unique(edges, axis=1).T) == edges.shape[1]
    assert not (edges[0] == edges[1]).any()
    assert {*map(tuple, edges.T.tolist())} == {*map(tuple, edges[::-1].T.tolist())}  # every edge goes both ways
    assert edges.max() < nodes


@pytest.mark.parametrize("row", GRAPHS, ids=lambda row: row.name)
def test_few_classes_are_known(row: Dataset) -> None:
    data = training_data(row, Part(), CPU)
    assert data.train.targets is not None
    assert torch.bincount(data.train.targets).tolist() == [row.labels] * row.outputs
    assert len(data.validation) >= (row.examples - len(data.train)) // 2


def test_the_club_is_zacharys() -> None:
    source = source_of(karate.DATASET)
    assert source.context["edges"].shape == (2, 2 * 78)
    assert source.targets is not None
    assert source.targets.sum() == 17
    assert source.targets[[0, 33]].tolist() == [0, 1]  # the teacher and the administrator


def test_of_the_club_the_leaders_are_known_in_every_split() -> None:
    parts = [training_data(karate.DATASET, Part(seed=seed), CPU) for seed in (0, 1)]
    assert [part.train.inputs.tolist() for part in parts] == [[0, 33]] * 2
    assert parts[0].validation.inputs.tolist() != parts[1].validation.inputs.tolist()


def test_blocks_know_whom_they_are_meant_to() -> None:
    for row, own, beside in zip(block_models.DATASETS, (6, 0.8), (1, 5), strict=True):
        source = source_of(row)
        assert source.targets is not None
        first, second = source.targets[source.context["edges"]]
        per_node = np.bincount((second - first) % 5, minlength=5) / row.examples
        assert per_node == pytest.approx([own, beside, *per_node[2:4], beside], rel=0.1)


def test_without_networkx_the_club_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr("workers.data.packages.find_spec", lambda name: None if name == "networkx" else real(name))
    with pytest.raises(Failure, match=r"networkx.*pip install 'assay\[data\]'"):
        karate.load()
