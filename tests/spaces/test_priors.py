"""Priors: their laws, what they say about configs, and what is refused."""

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, SearchStrategy
from scipy import stats

from spaces import Bool, Categorical, Float, Integer, InvalidInput, Leaf, Ordinal, Parameter, Prior, Space
from spaces.laws import log_interval

Objects = SearchStrategy[dict[str, Any]]
law = settings(deadline=None, max_examples=40)


def _density(parameter: Parameter, value: Any) -> float:
    return math.exp(Space((parameter,)).log_prior({parameter.name: value}))


def _masses(parameter: Parameter) -> list[float]:
    space = Space((parameter,))
    return [math.exp(space.log_mass(config)) for config in space.enumerate()]


@pytest.mark.parametrize(
    ("mode", "sigma", "at", "density"),
    [
        (0.5, 0.25, 0.5, 1.671838),
        (0.5, 0.25, 0.1, 0.464833),
        (0.9, 0.25, 0.9, 2.435312),
        (0.5, 0.125, 0.5, 3.191740),
        (0.5, 0.5, 0.5, 1.168737),
    ],
)
def test_density_of_a_truncated_normal(mode: float, sigma: float, at: float, density: float) -> None:
    assert _density(Float("x", 0, 1, prior=Prior(mode, sigma=sigma)), at) == pytest.approx(density, abs=1e-6)


@pytest.mark.parametrize(("confidence", "sigma"), [("low", 0.5), ("medium", 0.25), ("high", 0.125), (None, 0.25)])
def test_confidence_is_a_width(confidence: Any, sigma: float) -> None:
    said = Float("x", 1e-5, 1e-1, log=True, prior=Prior(1e-3, confidence))
    meant = Float("x", 1e-5, 1e-1, log=True, prior=Prior(1e-3, sigma=sigma))
    for value in (1e-5, 3e-4, 1e-3, 0.1):
        assert _density(said, value) == pytest.approx(_density(meant, value), rel=1e-12)


def test_integers_have_the_mass_of_their_cell() -> None:
    masses = _masses(Integer("n", 1, 5, prior=Prior(3, sigma=0.25)))
    assert masses == pytest.approx([0.096720, 0.240449, 0.325661, 0.240449, 0.096720], abs=1e-6)
    # on a log scale: the normal law between the edges of the cells
    edges = [math.log((k + 0.5) / 0.5) / math.log(8.5 / 0.5) for k in range(9)]
    mode = math.log(2 / 0.5) / math.log(8.5 / 0.5)
    cdf = [stats.norm.cdf((edge - mode) / 0.25) for edge in edges]
    expected = np.diff(cdf) / (cdf[-1] - cdf[0])
    assert _masses(Integer("n", 1, 8, log=True, prior=Prior(2, "medium"))) == pytest.approx(expected, rel=1e-12)
    steps = Float("x", 0, 0.4, step=0.1, prior=Prior(0.2, sigma=0.25))
    assert _masses(steps) == pytest.approx([0.096720, 0.240449, 0.325661, 0.240449, 0.096720], abs=1e-6)
    ordinal = Ordinal("o", ("xs", "s", "m", "l", "xl"), prior=Prior("m", "medium"))
    assert _masses(ordinal) == pytest.approx([0.096720, 0.240449, 0.325661, 0.240449, 0.096720], abs=1e-6)


@pytest.mark.parametrize(
    ("choices", "confidence", "mass"),
    [
        (3, "low", 0.5), (3, "medium", 2 / 3), (3, "high", 0.75),
        (10, "low", 0.181818), (10, "medium", 0.307692), (10, "high", 0.4), (1, "high", 1.0),
    ],
)  # fmt: skip
def test_the_mode_of_a_choice(choices: int, confidence: Any, mass: float) -> None:
    masses = _masses(Categorical("c", tuple(range(choices)), prior=Prior(0, confidence)))
    assert masses[0] == pytest.approx(mass, abs=1e-6)
    assert masses[1:] == pytest.approx([(1 - mass) / max(choices - 1, 1)] * (choices - 1), abs=1e-6)


def test_weights() -> None:
    assert _masses(Categorical("c", ("a", "b", "c"), prior=Prior(weights=(1, 2, 5)))) == pytest.approx(
        [0.125, 0.25, 0.625]
    )
    assert _masses(Bool("b", prior=Prior(weights=(1, 3)))) == pytest.approx([0.25, 0.75])
    assert _masses(Bool("b", prior=Prior(True, "low"))) == pytest.approx([1 / 3, 2 / 3])


def test_log_density_is_with_respect_to_the_cube() -> None:
    """Whatever the type: the ratio to the uniform law, so that products of different types can be compared."""
    assert _density(Integer("n", 1, 5, prior=Prior(3, sigma=0.25)), 3) == pytest.approx(0.325661 * 5, abs=1e-5)
    log_integer = Integer("n", 1, 8, log=True, prior=Prior(1, sigma=100))
    assert [_density(log_integer, n) for n in range(1, 9)] == pytest.approx(
        [1] * 8, abs=1e-4
    )  # uniform, for a wide one
    assert Space((Integer("n", 1, 8, log=True), Float("x", 0, 1))).log_prior({"n": 3, "x": 0.2}) == 0


def test_log_mass_of_the_uniform_law() -> None:
    expected = [0.387762, 0.180299, 0.118760, 0.088703, 0.070828, 0.058963, 0.050508, 0.044177]
    assert _masses(Integer("n", 1, 8, log=True)) == pytest.approx(expected, abs=1e-6)
    with pytest.raises(ValueError, match="x is continuous"):
        Space((Float("x", 0, 1),)).log_mass({"x": 0.5})


def test_far_tails_and_narrow_cells_keep_their_digits() -> None:
    space = Space((Float("x", 0, 1, prior=Prior(0, sigma=0.001)),))
    assert space.log_prior({"x": 1.0}) == pytest.approx(-(1000**2) / 2 + math.log(2 / math.sqrt(2 * math.pi) / 0.001))
    fine, smooth = Integer("n", 0, 2**40 - 1, prior=Prior(0, "high")), Float("n", 0, 2**40 - 1, prior=Prior(0, "high"))
    assert _density(fine, 2**38) == pytest.approx(_density(smooth, 2**38), rel=1e-9)
    low, high = np.array([-40.0, 3.0, -1e-5, 30.0]), np.array([-39.0, 9.0, 1e-5, 30.5])
    expected = [
        stats.norm.logcdf(-39) + math.log1p(-math.exp(stats.norm.logcdf(-40) - stats.norm.logcdf(-39))),
        stats.norm.logsf(3),
        math.log(2e-5) + stats.norm.logpdf(0),
        stats.norm.logsf(30) + math.log1p(-math.exp(stats.norm.logsf(30.5) - stats.norm.logsf(30))),
    ]
    assert log_interval(low, high) == pytest.approx(expected, rel=1e-9)


def test_inactive_parameters_count_nothing() -> None:
    space = Space(
        (
            Categorical("opt", ("sgd", "adam"), prior=Prior("adam", "high")),
            Float("mom", 0, 1, when=Leaf("opt", "equals", "sgd"), prior=Prior(0.9, "high")),
        )
    )
    assert space.log_prior({"opt": "adam"}) == pytest.approx(math.log(6 / 7 * 2))
    alone = math.log(_density(Float("mom", 0, 1, prior=Prior(0.9, "high")), 0.3))
    assert space.log_prior({"opt": "sgd", "mom": 0.3}) == pytest.approx(math.log(1 / 7 * 2) + alone)


@law
@given(data=st.data())
def test_masses_sum_to_one(data: DataObject, finite_space_objects: Objects) -> None:
    space = Space.from_json(data.draw(finite_space_objects))
    if (space.size() or 0) <= 2_000:
        assert math.fsum(math.exp(space.log_mass(config)) for config in space.enumerate()) == pytest.approx(1, abs=1e-9)


@law
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_the_mode_is_valid_and_samples_are_too(data: DataObject, seed: int, space_objects: Objects) -> None:
    written = data.draw(space_objects)
    space = Space.from_json(written)
    config = space.sample_prior(np.random.default_rng(seed))
    space.validate(config)
    assert space.sample_prior(np.random.default_rng(seed)) == config
    assert space.has_prior == any("prior" in parameter for parameter in written["parameters"])
    assert math.isfinite(space.log_prior(config))
    mode = space.prior_mode()
    space.validate(mode)
    for parameter in space:
        if parameter.prior is not None and parameter.prior.mode is not None and parameter.name in mode:
            assert mode[parameter.name] == parameter.prior.mode


@pytest.mark.parametrize(
    "parameter",
    [
        Float("x", 0, 1, prior=Prior(0.9, sigma=0.25)),
        Float("x", 0, 1, prior=Prior(0, sigma=0.01)),
        Float("x", 0, 1, prior=Prior(1, sigma=0.01)),
        Float("x", 1e-5, 1e-1, log=True, prior=Prior(1e-4, "high")),
        Categorical("x", ("a", "b", "c"), prior=Prior(weights=(1, 2, 5))),
        Integer("x", 1, 9, log=True, prior=Prior(3, "medium")),
    ],
)
def test_quantiles_invert_the_distribution(parameter: Parameter) -> None:
    prior = Space((parameter,)).prior
    p = (np.arange(20_000) + 0.5) / 20_000
    u = prior.quantile(p[:, None])[:, 0]
    assert np.all(np.diff(u) >= 0)
    assert u.min() >= 0
    assert u.max() <= 1
    # the distribution function of the density at the quantiles is p; integers have it at the edges of their cells
    grid = np.linspace(0, 1, 200_001)
    middles = (grid[1:] + grid[:-1]) / 2
    cdf = np.concatenate(([0.0], np.cumsum(np.exp(prior.log_density(middles[:, None])) / 200_000)))
    assert cdf[-1] == pytest.approx(1, abs=1e-4)
    if parameter.domain.count is None:
        assert np.interp(u, grid, cdf) == pytest.approx(p, abs=2e-3)
    else:
        cells = np.array([parameter.domain.cells.from_unit(one) for one in u])
        assert np.bincount(cells) / 20_000 == pytest.approx(_masses(parameter), abs=2e-4)


def test_moments_of_draws() -> None:
    space = Space((Float("x", 0, 1, prior=Prior(0.5, "medium")), Float("y", 0, 1, prior=Prior(0.9, "medium"))))
    points = space.prior.quantile((np.arange(100_000)[:, None] + 0.5) / 100_000 * np.ones((1, 2)))
    assert points[:, 0].std() == pytest.approx(0.219906, abs=1e-5)
    assert (np.abs(points[:, 0] - 0.5) < 0.1).mean() == pytest.approx(0.325661, abs=2e-5)
    assert points[:, 1].mean() == pytest.approx(0.759729, abs=1e-5)


def test_the_prior_around_another_config() -> None:
    """PriorBand's weights: top configs .85, .8, .6, ranked 3, 2, 1."""
    space = Space((Float("x", 0, 1, prior=Prior(0.5, "medium")),))
    points = np.array([[0.85], [0.8], [0.6]])
    ranks = np.array([3, 2, 1])
    at_prior = float(ranks @ np.exp(space.prior.log_density(points)))
    at_incumbent = float(ranks @ np.exp(space.prior_around({"x": 0.9}).log_density(points)))
    assert (at_prior, at_incumbent) == pytest.approx((5.053222, 12.842816), abs=1e-5)
    assert at_prior / (at_prior + at_incumbent) == pytest.approx(0.282365, abs=1e-6)


def test_the_prior_around_keeps_the_form() -> None:
    space = Space(
        (
            Categorical("c", ("a", "b", "c"), prior=Prior("a", "high")),
            Categorical("w", ("a", "b", "c"), prior=Prior(weights=(1, 2, 5))),
            Integer("n", 1, 5, prior=Prior(3, sigma=0.25)),
            Float("free", 0, 1),
        )
    )
    around = space.prior_around({"c": "b", "w": "a", "n": 1, "free": 0.3})
    there = space.encode({"c": "b", "w": "a", "n": 1, "free": 0.9})[None]
    alone = _density(Integer("n", 1, 5, prior=Prior(1, sigma=0.25)), 1)
    assert around.log_density(there)[0] == pytest.approx(math.log(6 / 8 * 3) + math.log(5 / 8 * 3) + math.log(alone))


def test_a_space_without_priors_loads_no_scipy() -> None:
    program = (
        "import sys, numpy; from spaces import *; space = Space((Float('x', 0, 1), Integer('n', 1, 3)));"
        "rng = numpy.random.default_rng(0); space.log_prior(space.sample_prior(rng)); space.prior_mode();"
        "space.neighbours(space.mutate(space.sample(rng), rng), rng);"
        "print([name for name in sys.modules if name.startswith('scipy')])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.strip() == "[]"


FLOAT = {"type": "float", "low": 0, "high": 1}
CHOICE = {"type": "categorical", "choices": ["a", "b"]}


@pytest.mark.parametrize(
    ("fields", "prior", "path", "message"),
    [
        (FLOAT, 3, (), "must be an object such as"),
        (FLOAT, {}, ("mode",), "is required"),
        (FLOAT, {"mode": 2}, ("mode",), "must be between 0.0 and 1.0, got 2"),
        (FLOAT, {"mode": "x"}, ("mode",), "must be a number"),
        (FLOAT, {"mode": 1, "confidance": 1}, ("confidance",), '"confidence"?'),
        (FLOAT, {"mode": 1, "confidence": "hi"}, ("confidence",), 'unknown confidence "hi"'),
        (FLOAT, {"mode": 1, "confidence": ["low"]}, ("confidence",), "unknown confidence"),
        (FLOAT, {"mode": 1, "sigma": 0}, ("sigma",), "must be between 0.001 and 100"),
        (FLOAT, {"mode": 1, "sigma": "0"}, ("sigma",), "must be a number"),
        (
            FLOAT,
            {"mode": 1, "sigma": 1, "confidence": "low"},
            ("sigma",),
            "says the same as confidence",
        ),
        (FLOAT, {"weights": [1]}, ("weights",), "are for choices"),
        ({"type": "int", "low": 1, "high": 5}, {"mode": 1.5}, ("mode",), "must be an integer"),
        (CHOICE, {"mode": "c"}, ("mode",), 'must be one of "a", "b"'),
        (CHOICE, {"mode": "a", "sigma": 0.1}, ("sigma",), "values with an order"),
        (CHOICE, {"weights": [1, 2, 3]}, ("weights",), "must be 2, one per choice"),
        (CHOICE, {"weights": 3}, ("weights",), "must be a list of numbers"),
        (CHOICE, {"weights": [1, "2"]}, ("weights", 1), "must be a number"),
        (CHOICE, {"weights": [1, 0]}, ("weights", 1), "leave a choice out"),
        ({"type": "bool"}, {"weights": [1, 2], "mode": True}, ("weights",), "stand alone, got mode beside them"),
        ({"type": "constant", "value": 3}, {"mode": 3}, None, 'unknown field "prior"'),
    ],
)  # fmt: skip
def test_priors_that_are_refused(fields: dict[str, Any], prior: Any, path: Any, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Space.from_json({"parameters": [{"name": "x", **fields, "prior": prior}]})
    (problem,) = caught.value.problems
    assert problem.path == ("parameters", 0, "prior", *(path or ()))
    assert message in problem.message


def test_a_prior_in_python_is_checked_and_normalised() -> None:
    with pytest.raises(InvalidInput, match=r"prior\.mode"):
        Float("x", 0, 1, prior=Prior(2.0))
    said = Float("x", 0, 0.5, step=0.1, prior=Prior(0.1 + 0.2))
    assert said.prior == Prior(0.3, "medium")
    assert said.to_json()["prior"] == {"mode": 0.3, "confidence": "medium"}
    assert Categorical("c", (1, True), prior=Prior(True)).to_json()["prior"] == {"mode": True, "confidence": "medium"}
