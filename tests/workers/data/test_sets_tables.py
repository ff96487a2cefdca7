from __future__ import annotations

import numpy as np
import pytest
import torch

from workers.catalogue import DATASETS
from workers.data.environments import Environments, mean_return
from workers.data.loading import held_out_data, source_of, training_data
from workers.data.part import Part
from workers.data.sets import environments as worlds
from workers.data.sets import scikit_tables, statsmodels_tables
from workers.tasks import TASKS

CPU = torch.device("cpu")
WORLDS = [row.name for row in worlds.DATASETS]
TABLES = [row.name for row in (*scikit_tables.DATASETS, *statsmodels_tables.DATASETS)] + ["multimodal"]
NAMES = [*TABLES, "movielens_small", *WORLDS]


@pytest.mark.parametrize("name", NAMES)
def test_the_data_is_what_its_row_says(name: str) -> None:
    row = DATASETS[name]
    source = source_of(row)
    assert source.digest() == row.sha256
    assert set(row.tasks) <= TASKS.keys()
    if name in WORLDS:
        return
    assert source.targets is not None
    if row.tasks == ("classification",):
        assert np.unique(source.targets).tolist() == list(range(row.outputs))
    else:
        assert source.targets.shape == (row.examples, row.outputs)
        assert source.targets.dtype == np.float32
    data = training_data(row, Part(), CPU)
    assert len(data.train) + len(data.validation) + len(held_out_data(row, Part(), CPU)) == row.examples


def test_an_inverse_problem_has_several_answers() -> None:
    """Around the middle, targets lie on three branches, and none between them."""
    source = source_of(DATASETS["multimodal"])
    assert source.targets is not None
    middle = source.targets[np.abs(source.inputs[:, 0] - 0.5) < 0.02, 0]
    assert min((middle < 0.35).sum(), ((middle > 0.4) & (middle < 0.6)).sum(), (middle > 0.65).sum()) > 3


def test_ratings_name_users_and_items() -> None:
    row = DATASETS["movielens_small"]
    source = source_of(row)
    assert source.targets is not None
    for column, name in enumerate(("users", "items")):
        assert np.unique(source.inputs[:, column]).tolist() == list(range(row.sizes[name]))
    assert np.unique(source.targets).tolist() == [half / 2 for half in range(1, 11)]
    features = source.context["features"]
    assert features.shape == (row.sizes["items"], row.sizes["features"])
    assert set(np.unique(features[:, :-1])) == {0.0, 1.0}
    assert np.nanmin(features[:, -1]) > 0  # after 1900
    assert np.nanmax(features[:, -1]) < 12
    assert len(np.unique(source.inputs, axis=0)) == row.examples  # nobody rated twice


@pytest.mark.parametrize("name", WORLDS)
def test_a_world_is_what_its_row_says(name: str) -> None:
    row = DATASETS[name]
    world = Environments(source_of(row).context, 1).worlds[0]
    assert world.observation_space.shape == row.shape
    kind, count = next(iter(row.sizes.items()))
    assert count == row.outputs == (world.action_space.n if kind == "actions" else world.action_space.shape[0])
    data = training_data(row, Part(), CPU)
    assert len(data.train) == len(data.validation) == len(held_out_data(row, Part(), CPU)) == 1


def test_an_episode_depends_on_its_seed_alone() -> None:
    environments = Environments(source_of(DATASETS["cartpole"]).context, 2)
    environments.begin([0, 1], [5, 6])
    first = environments.states.copy()
    environments.step([0], np.array([1]))
    environments.begin([1, 0], [5, 6])
    np.testing.assert_array_equal(environments.states, first[::-1])


def test_the_mean_return_counts_every_episode_to_its_end() -> None:
    environments = Environments(source_of(DATASETS["cartpole"]).context, 3)

    def right(states: np.ndarray) -> np.ndarray:
        return np.ones(len(states), dtype=np.int64)

    lengths = []
    for seed in (1, 2, 3):
        alone = Environments(source_of(DATASETS["cartpole"]).context, 1)
        lengths.append(mean_return(alone, [seed], right))
    assert all(7 < length < 13 for length in lengths)
    assert mean_return(environments, [1, 2, 3], right) == pytest.approx(sum(lengths) / 3)
    assert environments.limit == 500
    assert environments.scale.tolist() == pytest.approx([4.8, 1, 0.41887903, 1])
