"""Learning-curve extrapolation: the shapes, the weights, and forecasts of curves whose end is known."""

import numpy as np
import pytest

from search.stopping.extrapolation import forecast, recency_weights
from search.stopping.families import FAMILIES

AT_1_10_100 = {
    "pow3": (0.320000, 0.331837, 0.343404),
    "ilog2": (0.159641, 0.600676, 0.686828),
    "janoschek": (0.267226, 0.492917, 0.695551),
    "hill3": (0.286500, 0.536541, 0.693359),
    "vap": (0.335519, 0.564631, 0.649321),
    "weibull": (0.105970, 0.157098, 0.479272),
    "mmf": (0.100000, 0.100006, 0.400000),
    "log_power": (0.138208, 0.319148, 0.536004),
    "exp4": (0.498103, 0.608938, 0.681405),
    "pow4": (0.211296, 0.332376, 0.428553),
}
STEPS = np.arange(1.0, 21.0)


@pytest.mark.parametrize("name", list(FAMILIES))
def test_the_families_at_their_default_parameters(name):
    family = FAMILIES[name]
    assert family.curve(np.array([1.0, 10.0, 100.0]), *family.start) == pytest.approx(AT_1_10_100[name], abs=5e-7)


def test_recent_points_count_more():
    assert recency_weights(5) == pytest.approx([1, 1.584893, 2.511886, 3.981072, 6.309573], abs=5e-7)


def test_the_end_of_a_power_law():
    ahead = forecast(list(STEPS), list(0.8 - 0.5 * STEPS**-0.5), 100)
    assert ahead.mean == pytest.approx(0.75, abs=0.05)
    assert ahead.probability_above(0.9) < 0.01
    assert ahead.probability_above(0.6) > 0.99


def test_the_probability_falls_with_the_threshold():
    ahead = forecast(list(STEPS), list(0.8 - 0.5 * STEPS**-0.5 + np.random.default_rng(0).normal(0, 0.01, 20)), 100)
    chances = [ahead.probability_above(score) for score in np.linspace(0.5, 1, 20)]
    assert chances == sorted(chances, reverse=True)
    assert ahead.weights.sum() == pytest.approx(1)


def test_the_unit_of_the_steps_does_not_matter():
    scores = list(0.8 - 0.5 * STEPS**-0.5)
    epochs, tenths = forecast(list(STEPS), scores, 100), forecast(list(STEPS * 0.125), scores, 12.5)
    assert epochs.mean == pytest.approx(tenths.mean)


def test_noise_widens_the_forecast():
    rng = np.random.default_rng(1)
    clean, noisy = (
        forecast(list(STEPS), list(0.8 - 0.5 * STEPS**-0.5 + rng.normal(0, sd, 20)), 100) for sd in (0.001, 0.03)
    )
    assert noisy.deviations.min() > clean.deviations.min()


def test_too_few_points_have_no_forecast():
    assert forecast([1, 2, 3], [0.1, 0.2, 0.3], 100) is None


def test_a_constant_curve_stays_where_it_is():
    for noise in (0.0, 0.0005):
        ahead = forecast(list(STEPS), list(0.1 + noise * (-1) ** STEPS), 100)
        assert ahead.mean == pytest.approx(0.1, abs=0.01)
        assert ahead.probability_above(0.9) < 0.01
