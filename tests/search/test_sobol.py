"""Sobol points: which one a trial is given, how evenly they lie, and what is skipped."""

import numpy as np
import pytest
from scipy.stats import qmc

from search import Added, History, Run, StudySpec, ask, ask_many
from search.samplers.sobol import FIRST_BLOCK

FLOATS = [{"name": name, "type": "float", "low": 0, "high": 1} for name in "xyz"]


def study(parameters=FLOATS, seed=0):
    return StudySpec.from_json(
        {
            "space": {"parameters": parameters},
            "algorithm": {"name": "sobol"},
            "metrics": [{"name": "loss", "direction": "minimize"}],
            "seed": seed,
        }
    )


def points(spec, count):
    runs, _ = ask_many(spec, History(), count)
    return np.array([spec.space.encode(run.config) for run in runs])


def test_the_sequence_that_is_scrambled():
    """Sobol's own points, of which the scrambled ones keep the balance."""
    plain = qmc.Sobol(2, scramble=False).random(4)
    assert plain.tolist() == [[0, 0], [0.5, 0.5], [0.75, 0.25], [0.25, 0.75]]


@pytest.mark.parametrize("exponent", [2, 5, 9])
def test_every_interval_of_a_power_of_two_has_one_point(exponent):
    cells = np.floor(points(study(), 2**exponent) * 2**exponent)
    for axis in cells.T:
        assert sorted(axis) == list(range(2**exponent))


def test_more_even_than_random_points():
    found = points(study(), 256)
    assert qmc.discrepancy(found) < qmc.discrepancy(np.random.default_rng(0).random((256, 3))) / 5


def test_trial_n_is_given_point_n_also_beyond_the_first_block():
    count = 2 * FIRST_BLOCK + 10
    runs, _ = ask_many(study(), History(), count)
    assert [run.origin["index"] for run in runs] == list(range(count))
    assert np.array_equal(points(study(), count)[:100], points(study(), 100))


def test_seeds_scramble_differently():
    assert not np.isclose(points(study(), 8), points(study(seed=1), 8)).any()


def test_taken_configs_are_skipped():
    choice = [{"name": "c", "type": "categorical", "choices": ["a", "b", "c"]}]
    runs, _ = ask_many(study(choice), History(), 3)
    assert {run.config["c"] for run in runs} == {"a", "b", "c"}
    indices = [run.origin["index"] for run in runs if run.origin["rule"] == "sobol"]
    assert indices == sorted(set(indices))


def test_a_trial_that_came_from_elsewhere_uses_up_no_point():
    spec, history = study(), History()
    history.append(Added(Run(0, 0, {"x": 0.5, "y": 0.5, "z": 0.5}, origin={"rule": "enqueued", "number": 0})))
    assert ask(spec, history).config == ask(spec, History()).config
