"""The laws of a space once more, by counting and by integrating instead of by formula."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, stats

from search.streams import stream
from spaces import Bool, Categorical, Float, Integer, Leaf, Ordinal, Prior, Space

TREE = Space(
    (
        Categorical("opt", ("sgd", "adam"), prior=Prior("sgd", "high")),
        Categorical("mom", (0.0, 0.5, 0.9), when=Leaf("opt", "equals", "sgd"), prior=Prior(0.9, "low")),
        Ordinal("beta", (0.9, 0.99), when=Leaf("opt", "equals", "adam"), prior=Prior(weights=(1, 3))),
        Integer("bs", 1, 4, prior=Prior(2, sigma=0.25)),
    )
)


def test_a_tree_has_as_many_configs_as_it_has_and_not_the_product():
    configs = list(TREE.enumerate())
    assert TREE.size() == len(configs) == 4 * (3 + 2) == 20 < 2 * 3 * 2 * 4
    for config in configs:
        assert ("mom" in config) == (config["opt"] == "sgd")
        assert ("beta" in config) == (config["opt"] == "adam")


def test_densities_times_the_uniform_masses_sum_to_one():
    """The density is with respect to the cube: 1 where nothing is known, and times the cells' widths a probability."""
    widths = {"opt": 1 / 2, "mom": 1 / 3, "beta": 1 / 2, "bs": 1 / 4}
    total = 0.0
    for config in TREE.enumerate():
        mass = math.exp(TREE.log_prior(config)) * math.prod(widths[name] for name in config)
        assert mass == pytest.approx(math.exp(TREE.log_mass(config)), rel=1e-12)
        total += mass
    assert total == pytest.approx(1, abs=1e-9)


def test_an_inactive_parameter_never_changes_the_density():
    without = Space((TREE["opt"], TREE["beta"], TREE["bs"]))
    for config in without.enumerate():
        if config["opt"] == "adam":
            assert TREE.log_prior(config) == pytest.approx(without.log_prior(config), abs=1e-12)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize(("mode", "sigma"), [(2, 0.25), (8, 0.125), (1, 0.5)])
def test_the_mass_of_an_integer_is_the_integral_over_its_cell(log, mode, sigma):
    space = Space((Integer("n", 1, 8, log=log, prior=Prior(mode, sigma=sigma)),))
    edges = [math.log((k + 0.5) / 0.5) / math.log(8.5 / 0.5) if log else k / 8 for k in range(9)]
    centre = math.log(mode / 0.5) / math.log(8.5 / 0.5) if log else (mode - 0.5) / 8
    law = stats.truncnorm(-centre / sigma, (1 - centre) / sigma, centre, sigma)
    expected = [integrate.quad(law.pdf, *cell)[0] for cell in pairwise(edges)]
    found = [math.exp(space.log_mass({"n": n})) for n in range(1, 9)]
    assert found == pytest.approx(expected, abs=1e-9)
    draws = np.array([space.sample_prior(stream(0, i, "prior"))["n"] for i in range(4000)])
    assert np.bincount(draws, minlength=9)[1:] / 4000 == pytest.approx(expected, abs=0.03)


def test_log_integers_are_neither_rounded_nor_those_of_another_law():
    """Rounding ln-uniform draws would give 1 half a cell: 0.195. The other usual law is ln((x + 1) / x): 0.315."""
    space = Space((Integer("n", 1, 8, log=True),))
    rng = np.random.default_rng(0)
    counts = np.bincount([space.sample(rng)["n"] for _ in range(20_000)], minlength=9)[1:] / 20_000
    exact = [math.log((n + 0.5) / (n - 0.5)) / math.log(8.5 / 0.5) for n in range(1, 9)]
    assert exact[0] == pytest.approx(0.387762, abs=1e-6)
    assert counts == pytest.approx(exact, abs=0.012)


def test_a_grid_starts_at_its_low_end():
    assert [config["n"] for config in Space((Integer("n", 1, 7, step=2),)).enumerate()] == [1, 3, 5, 7]


def test_the_ends_of_an_integer_have_whole_cells():
    """lo + (hi - lo) u, rounded, would give them half of the others: 1/6, 1/3, 1/3, 1/6."""
    space = Space((Integer("n", 1, 4), Bool("b")))
    u = (np.arange(6000) + 0.5) / 6000
    counts = np.bincount([space.decode([x, 0.5])["n"] for x in u], minlength=5)[1:]
    assert counts.tolist() == [1500] * 4


def test_confident_modes_are_the_likeliest_choice_however_few_there_are():
    """With P(mode) = 0.25 for low confidence the other of two choices would be three times as likely."""
    for count in (2, 3, 10):
        for confidence, weight in (("low", 2), ("medium", 4), ("high", 6)):
            space = Space((Categorical("c", tuple(range(count)), prior=Prior(0, confidence)),))
            masses = [math.exp(space.log_mass({"c": c})) for c in range(count)]
            assert masses[0] == pytest.approx(weight / (count - 1 + weight))
            assert masses[0] > max(masses[1:])


def test_neighbours_are_four_normal_steps_of_a_fifth_of_the_range():
    space = Space((Float("x", 0, 1), Categorical("c", ("a", "b", "c")), Ordinal("o", (1, 2, 3))))
    rng = np.random.default_rng(1)
    steps = []
    for _ in range(600):
        found = space.neighbours({"x": 0.5, "c": "a", "o": 2}, rng)
        assert [n["c"] for n in found if n["c"] != "a"] == ["b", "c"]
        assert [n["o"] for n in found if n["o"] != 2] == [1, 3]
        steps += [n["x"] - 0.5 for n in found if n["x"] != 0.5]
    assert len(steps) == 4 * 600
    # N(0, 0.2) within half a unit of 0
    assert np.std(steps) == pytest.approx(stats.truncnorm(-2.5, 2.5, 0, 0.2).std(), abs=0.006)
    assert abs(np.mean(steps)) < 0.015
