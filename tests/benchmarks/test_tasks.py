"""What the loaders make of the tables, the models and the formulas."""

import numpy as np
import pytest

from benchmarks.tasks import PRIOR_SUITE, SUITE, Missing, load
from benchmarks.tasks.data import VARIABLE, data_file
from benchmarks.tasks.surrogates import read_space
from benchmarks.tasks.task import Task
from spaces import Space

MLP = {"alpha": 1, "batch": 2, "depth": 0, "lr": 2, "width": 1}
FIRST_CELL = {f"edge{i}": 0 for i in range(6)}


def test_the_suite_is_that_of_the_bars():
    assert len(SUITE) == 16
    assert PRIOR_SUITE == (
        "lcbench-3945",
        "lcbench-7593",
        "lcbench-126026",
        "lcbench-167168",
        "hartmann3",
        "hartmann6",
    )


def test_a_table_shows_one_training_and_knows_the_mean(tiny_data):
    task = load("hpobench-vehicle")
    with np.load(tiny_data / "tables" / "hpobench_vehicle.npz") as packed:
        losses = 1 - packed["val_acc"].astype(float)
    seen = {task.observe(MLP, None, seed) for seed in range(60)}
    assert sorted(seen) == pytest.approx(sorted(losses[1, 2, 0, 2, 1]), abs=1e-6)
    assert task.true(MLP) == pytest.approx(losses[1, 2, 0, 2, 1].mean(), abs=1e-6)
    means = losses.mean(-1)
    assert (task.best, task.median) == pytest.approx((means.min(), np.median(means)), abs=1e-6)
    assert Space.from_json(task.space).size() == 162


def test_the_same_evaluation_shows_the_same_loss_to_every_method(tiny_data):
    task = load("hpobench-vehicle")
    shuffled = dict(reversed(MLP.items()))
    assert [task.observe(MLP, None, seed) for seed in range(20)] == [
        task.observe(shuffled, None, seed) for seed in range(20)
    ]


def test_regret_is_zero_at_the_best_and_one_from_the_median_on(tiny_data):
    task = load("hpobench-vehicle")
    regrets = np.array([task.regret(config) for config in Space.from_json(task.space).enumerate()])
    assert regrets.min() == 0.0
    assert regrets.max() == 1.0
    assert (regrets == 1).mean() == pytest.approx(0.5, abs=0.01)


def test_a_missing_training_of_a_cell_is_left_out(tiny_data):
    task = load("nb201-cifar10")
    with np.load(tiny_data / "tables" / "nb201_cifar10.npz") as packed:
        first = 1 - packed["v200"][0, 0, 0, 0, 0, 0].astype(float) / 100
        short = 1 - packed["v12"][0, 0, 0, 0, 0, 0] / 100
    assert {task.observe(FIRST_CELL, 200, seed) for seed in range(40)} == set(first[[0, 2]])
    assert task.true(FIRST_CELL) == pytest.approx(first[[0, 2]].mean())
    assert task.observe(FIRST_CELL, 12, 0) == task.observe(FIRST_CELL, 199, 3) == pytest.approx(short)


@pytest.mark.parametrize(("name", "part"), [("hpolib-protein_structure", "hpolib_protein_structure.npz")])
def test_a_missing_file_is_named(tiny_data, name, part):
    with pytest.raises(Missing, match=part):
        load(name)


def test_a_missing_folder_is_named_with_the_variable_that_sets_it(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(Missing, match=rf"nowhere is no folder \(set {VARIABLE}"):
        data_file("tables", "nb201_cifar10.npz")


@pytest.mark.parametrize(("name", "best"), [("hartmann3", -3.862780), ("hartmann6", -3.322368)])
def test_hartmann_is_exact_at_the_top_and_biased_below(name, best):
    task = load(name)
    assert task.best == pytest.approx(best, abs=1e-5)
    assert task.regret(task.known_best) == 0.0
    assert task.observe(task.known_best, 100, 7) == task.true(task.known_best)
    low = [task.observe(task.known_best, 3, seed) for seed in range(20)]
    assert min(low) > task.best + 1
    assert len(set(low)) == 20
    assert low == [task.observe(task.known_best, 3, seed) for seed in range(20)]


def test_a_configspace_file_becomes_a_space():
    written = {
        "hyperparameters": [
            {"name": "task", "type": "categorical", "choices": ["1", "2"]},
            {"name": "rate", "type": "uniform_float", "log": True, "lower": 1e-3, "upper": 1.0},
            {"name": "booster", "type": "categorical", "choices": ["linear", "tree"]},
            {"name": "depth", "type": "uniform_int", "log": False, "lower": 1, "upper": 15},
        ],
        "conditions": [{"child": "depth", "parent": "booster", "type": "EQ", "value": "tree"}],
    }
    assert read_space(written, {"task"}) == {
        "parameters": [
            {"name": "rate", "type": "float", "low": 1e-3, "high": 1.0, "log": True},
            {"name": "booster", "type": "categorical", "choices": ["linear", "tree"]},
            {
                "name": "depth",
                "type": "int",
                "low": 1,
                "high": 15,
                "when": {"parameter": "booster", "equals": "tree"},
            },
        ]
    }


@pytest.mark.parametrize("name", SUITE)
def test_the_median_random_config_of_the_real_data_is_half_way(real_task, name):
    """Half of all random configs have a regret of one; and every space is one of ours."""
    task: Task = real_task(name)
    space, rng = Space.from_json(task.space), np.random.default_rng(1)
    regrets = np.array([task.regret(space.sample(rng)) for _ in range(300)])
    assert (regrets == 1).mean() == pytest.approx(0.5, abs=0.12)
    assert regrets.min() < 0.5
