"""How far apart architectures are: the laws of a distance, by exact transport."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from search.transport import APART, STRUCTURE, distance, layers, mismatch
from spaces import Space
from spaces.architectures import of_entry

PRESETS = ("nas-bench-201", "darts", "nasnet", "hierarchical", "chain")
ARCHITECTURES = {preset: of_entry({"name": "cell", "type": "cell", "preset": preset}) for preset in PRESETS}
SPACES = {preset: Space.from_json({"parameters": [each.entry()]}) for preset, each in ARCHITECTURES.items()}
NB201 = ARCHITECTURES["nas-bench-201"]


def encoded(preset, seed):
    config = SPACES[preset].sample(np.random.default_rng(seed))
    return [layers(graph) for graph in ARCHITECTURES[preset].operations(config)]


def cell(*ops):
    config = {"cell": "nas-bench-201", **dict(zip((p["name"] for p in NB201.parameters()[1:]), ops, strict=True))}
    return [layers(graph) for graph in NB201.operations(config)]


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(PRESETS), st.integers(0, 10**6))
def test_it_is_a_distance(preset, seed):
    one, two, three = (encoded(preset, seed + step) for step in range(3))
    assert distance(one, one) == pytest.approx(0, abs=1e-9)
    assert distance(one, two) == pytest.approx(distance(two, one), abs=1e-9)
    assert distance(one, three) <= distance(one, two) + distance(two, three) + 1e-8
    assert distance(one, two) >= -1e-9


def test_mismatches_are_a_distance_too():
    for architecture in ARCHITECTURES.values():
        ops = ["input", "output", *architecture.operations(SPACES[architecture.preset].default())[0].ops]
        table = np.array([[mismatch(a, b) for b in ops] for a in ops])
        assert (table == table.T).all()
        assert (np.diag(table) == 0).all()
        assert (table[:, :, None] <= table[:, None] + table.T[None] + 1e-12).all()
        assert table.max() <= APART


def test_one_more_skip_is_less_than_poolings_for_all_convolutions():
    conv, pool, none, skip = "nor_conv_3x3", "avg_pool_3x3", "none", "skip_connect"
    net = cell(conv, none, conv, none, none, conv)
    with_skip = cell(conv, none, conv, skip, none, conv)
    of_pools = cell(pool, none, pool, none, none, pool)
    smaller = cell("nor_conv_1x1", none, conv, none, none, conv)
    assert 0 < distance(net, smaller) < distance(net, with_skip) < distance(net, of_pools)


def test_the_assignment_is_the_cheapest_plan_of_transport():
    """By linear programming on the masses, with one to make from and to do away with."""
    one, other = encoded("nas-bench-201", 3)[0], encoded("nas-bench-201", 8)[0]
    n, m = len(one), len(other)
    cost = np.zeros((n + 1, m + 1))
    cost[:n, :m] = [
        [
            mismatch(one.kinds[a], other.kinds[b]) + STRUCTURE * np.abs(x - y).mean()
            for b, y in zip(other.labels, other.lengths, strict=True)
        ]
        for a, x in zip(one.labels, one.lengths, strict=True)
    ]
    cost[:n, m] = cost[n, :m] = 1
    rows = [np.repeat(np.eye(n + 1)[i], m + 1) for i in range(n + 1)]
    columns = [np.tile(np.eye(m + 1)[j], n + 1) for j in range(m + 1)]
    masses = [*[1] * n, m, *[1] * m, n]
    solved = linprog(cost.ravel(), A_eq=np.array(rows + columns), b_eq=masses)
    assert distance([one], [other]) == pytest.approx(solved.fun, abs=1e-7)


def test_what_leads_nowhere_makes_no_difference():
    conv, none = "nor_conv_3x3", "none"
    assert distance(cell(none, none, none, conv, none, none), cell(conv, none, none, conv, none, none)) == 0
    assert distance(cell(*[none] * 6), cell(*[none] * 6)) == 0
    assert distance(cell(*[none] * 6), cell(*[conv] * 6)) > 0
