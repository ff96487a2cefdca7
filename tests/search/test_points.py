"""No config is given twice while the space has others, and looking for one ends."""

import numpy as np
import pytest

from search import Added, History, Run
from search.points import Points, points
from spaces import Space

GRID = Space.from_json({"parameters": [{"name": "x", "type": "int", "low": 1, "high": 5}]})


def taken(*configs):
    return History(Added(Run(number, number, config)) for number, config in enumerate(configs))


def draw_one(rng):
    return {"x": 1}


def test_a_draw_that_is_new_is_taken_as_it_is():
    view = points(GRID, taken({"x": 2}))
    assert view.new(np.random.default_rng(0), draw_one) == ({"x": 1}, None)


def test_when_drawing_finds_nothing_new_one_of_the_rest_is_picked_uniformly():
    history = taken({"x": 1}, {"x": 3})
    picked = [points(GRID, history).new(np.random.default_rng(seed), draw_one) for seed in range(300)]
    assert {left for _, left in picked} == {3}
    counts = [sum(config["x"] == value for config, _ in picked) for value in (2, 4, 5)]
    assert sum(counts) == 300
    assert min(counts) > 70


def test_the_list_follows_the_history():
    history = taken({"x": 1})
    points(GRID, history).new(np.random.default_rng(0), draw_one)  # makes the list
    for trial, x in enumerate((2, 4, 5), start=1):
        history.append(Added(Run(trial, trial, {"x": x})))
    assert points(GRID, history).new(np.random.default_rng(0), draw_one) == ({"x": 3}, 1)
    history.append(Added(Run(4, 4, {"x": 3})))
    assert points(GRID, history).exhausted


def test_a_promotion_and_a_supernet_take_no_config():
    history = taken({"x": 1})
    history.append(Added(Run(1, 0, {"x": 1}, resume_from=0)))
    history.append(Added(Run(2, 1, {"cell": "any"}, kind="supernet")))
    view = points(GRID, history)
    assert not view.exhausted
    assert view.new(np.random.default_rng(0), lambda rng: {"x": 2}) == ({"x": 2}, None)


@pytest.mark.parametrize(
    "parameter",
    [{"name": "x", "type": "float", "low": 0, "high": 2}, {"name": "x", "type": "int", "low": 0, "high": 10**7}],
)
def test_in_a_space_that_cannot_be_listed_the_search_for_a_new_config_ends(parameter):
    space = Space.from_json({"parameters": [parameter]})
    view = Points(space)
    view.apply(Added(Run(0, 0, {"x": 1})), History())
    assert view.new(np.random.default_rng(0), draw_one) == ({"x": 1}, None)
