"""Acquisition values against numbers computed once to many digits, and against BoTorch's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_ndtr, ndtr

from search.acquisition import (
    LEAST_PRIOR,
    confidence_bound,
    expected_improvement,
    exploration,
    log_acquisition,
    log_expected_improvement,
    log_expected_improvement_of_logs,
    log_gain,
    log_h,
    prior_weight,
    probability_of_improvement,
)

LOG_H = {
    0: -0.918938533,
    -1: -2.485121026,
    -5: -16.744301163,
    -10: -55.553122036,
    -20: -206.917838509,
    -38: -730.196183403,
    -100: -5010.129578801,
}


def test_known_values():
    assert expected_improvement(0.5, 0.2, 1.0) == pytest.approx(0.500400828, abs=1e-9)
    assert expected_improvement(1.0, 1.0, 1.0) == pytest.approx(0.398942, abs=1e-6)
    assert probability_of_improvement(0.5, 0.2, 1.0) == pytest.approx(0.993790, abs=1e-6)
    assert confidence_bound(1.0, 0.5, 4.0) == 0.0
    assert exploration(1, 5) == pytest.approx(np.log(2))


@pytest.mark.parametrize(("u", "expected"), LOG_H.items())
def test_the_log_of_h_is_exact_far_into_the_tail(u, expected):
    assert log_h(u) == pytest.approx(expected, abs=1e-8)


def test_the_log_of_h_has_no_seams():
    """Where one formula takes over from another they agree, and the slope is Phi(u) / h(u), which tends to -u."""
    for seam in (-1.0, -300.0):
        left, right = log_h(np.array([seam * (1 + 1e-12), seam * (1 - 1e-12)]))
        assert left == pytest.approx(right, rel=1e-11)
    for u in (2.0, 0.3, -0.999, -1.001, -7.0, -299.0, -301.0, -5000.0):
        step = 1e-5 * max(1, abs(u))
        slope = (log_h(u + step) - log_h(u - step)) / (2 * step)
        assert slope == pytest.approx(np.exp(log_ndtr(u) - log_h(u)), rel=1e-5)
    assert (log_h(-2e6) - log_h(-2e6 - 1)) == pytest.approx(2e6, rel=1e-6)
    assert log_h(-1e9) == pytest.approx(-5e17, rel=1e-12)


@given(st.floats(-3, 3), st.floats(1e-3, 10), st.floats(-3, 3))
def test_the_log_form_is_the_log(mean, sd, best):
    plain = expected_improvement(mean, sd, best)
    assert plain >= 0
    if plain > 1e-280:
        assert np.exp(log_expected_improvement(mean, sd, best)) == pytest.approx(plain, rel=1e-6)


@pytest.mark.parametrize("u", [3.0, 0.0, -0.9, -1.1, -4.0, -40.0, -400.0])
@pytest.mark.parametrize("sd", [0.01, 1.0, 25.0])
def test_the_gradients_of_the_log_form(u, sd):
    """d/dmean = -Phi(u) / (sd h(u)) and d/dsd = phi(u) / (sd h(u)), as slopes, also where h(u) is zero in floats."""
    best = 0.3
    mean, log_density = best - u * sd, -(u**2) / 2 - np.log(2 * np.pi) / 2
    step = 1e-6 * sd / max(1, abs(u))
    by_mean = np.diff(log_expected_improvement(mean + np.array([-step, step]), sd, best))[0] / (2 * step)
    by_sd = np.diff(log_expected_improvement(mean, sd + np.array([-step, step]), best))[0] / (2 * step)
    assert by_mean == pytest.approx(-np.exp(log_ndtr(u) - log_h(u)) / sd, rel=1e-4)
    assert by_sd == pytest.approx(np.exp(log_density - log_h(u)) / sd, rel=1e-4)


def test_improvements_underflow_where_their_logs_do_not():
    far = np.array([40.0, 60.0, 1e4])
    assert (expected_improvement(far, 1.0, 0.0) == 0).all()
    logs = log_expected_improvement(far, 1.0, 0.0)
    assert np.isfinite(logs).all()
    assert (np.diff(logs) < 0).all()


def test_a_certain_loss_improves_by_what_it_improves():
    assert expected_improvement(0.25, 0.0, 1.0) == 0.75
    assert expected_improvement(2.0, 0.0, 1.0) == 0
    assert log_expected_improvement(0.25, 0.0, 1.0) == np.log(0.75)
    assert log_expected_improvement(2.0, 0.0, 1.0) == -np.inf


def test_the_improvement_of_a_log_normal_loss_is_its_integral():
    z = np.linspace(-12, 12, 400_001)
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    for mean, sd, best in ((0.3, 0.5, 0.0), (-1.0, 0.2, -1.5), (2.0, 1.0, 1.9)):
        gain = np.maximum(np.exp(best) - np.exp(mean + sd * z), 0)
        integral = np.trapezoid(gain * density, z)
        assert np.exp(log_expected_improvement_of_logs(mean, sd, best)) == pytest.approx(integral, rel=1e-5)


def test_the_improvement_of_logs_survives_where_its_difference_cancels():
    values = log_expected_improvement_of_logs(np.array([5.0, 20.0, 0.0]), np.array([0.1, 0.01, 1e-5]), 0.0)
    assert np.isfinite(values[[0, 2]]).all()
    assert not np.isnan(values).any()


def test_the_log_of_h_is_that_of_botorch():
    torch = pytest.importorskip("torch")
    analytic = pytest.importorskip("botorch.acquisition.analytic")
    u = np.concatenate((np.linspace(-60, 5, 131), [-1e3, -1e5]))
    assert log_h(u) == pytest.approx(analytic._log_ei_helper(torch.from_numpy(u)).numpy(), rel=1e-9)


def test_every_kind_prefers_the_better_and_the_less_certain():
    for kind in ("ei", "pi", "bound"):
        good, bad = log_acquisition(kind, np.array([0.5, 1.5]), 0.4, best=1.0, beta=4.0)
        assert good > bad
        sure, unsure = log_acquisition(kind, 1.1, np.array([0.1, 0.4]), best=1.0, beta=4.0)
        assert unsure > sure


def test_the_kinds_are_the_logs_of_what_they_are():
    mean, sd, best = np.array([0.5, 1.2]), np.array([0.2, 0.4]), 1.0
    assert np.exp(log_acquisition("ei", mean, sd, best, 1.0)) == pytest.approx(expected_improvement(mean, sd, best))
    assert np.exp(log_acquisition("pi", mean, sd, best, 1.0)) == pytest.approx(
        probability_of_improvement(mean, sd, best)
    )
    assert probability_of_improvement(mean, sd, best) == pytest.approx(ndtr([2.5, -0.5]))
    bound = log_acquisition("bound", mean, sd, best, 4.0)
    assert np.exp(bound) == pytest.approx(np.log1p(np.exp([1.0 - (0.5 - 0.4), 1.0 - (1.2 - 0.8)])))


def test_a_bound_that_promises_no_gain_still_ranks():
    """Far above the best loss there is no plateau, and far below it no overflow."""
    differences = np.array([-1e5, -5000.0, -31.0, -30.0, -29.0, -1.0, 0.0, 3.0, 1e5])
    values = log_gain(differences)
    assert np.isfinite(values).all()
    assert (np.diff(values) > 0).all()
    assert values[1] == -5000
    assert values[-1] == pytest.approx(np.log(1e5))
    assert np.diff(log_gain([-30 - 1e-9, -30 + 1e-9])) == pytest.approx(2e-9, rel=1e-3)


def test_the_schedule_of_the_bound():
    """0.2 d ln(2 t): it explores more the longer the study, and the more dimensions."""
    assert [exploration(t, 6) for t in (1, 10, 100)] == pytest.approx([0.831777, 3.594879, 6.357981], abs=1e-6)


@pytest.mark.parametrize(("suggestion", "exponent"), [(1, 10), (10, 1), (50, 0.2)])
def test_a_belief_fades(suggestion, exponent):
    weighted = prior_weight(np.log([0.3, 0.2]), np.log([0.5, 2.0]), beta=10, suggestion=suggestion)
    assert np.exp(weighted) == pytest.approx([0.3 * 0.5**exponent, 0.2 * 2**exponent])


@given(st.integers(1, 1000), st.lists(st.integers(-30, 3), min_size=2, max_size=5, unique=True))
def test_no_belief_changes_no_ranking(suggestion, values):
    for constant in (0.0, 1.0):
        weighted = prior_weight(values, np.full(len(values), constant), 10, suggestion)
        assert weighted.argmax() == np.argmax(values)


def test_evidence_wins_over_an_impossible_belief():
    weighted = prior_weight(np.log([1.0, 1e-9]), np.array([-np.inf, 0.0]), beta=10, suggestion=100)
    assert weighted[0] == pytest.approx(0.1 * np.log(LEAST_PRIOR))
    assert weighted.argmax() == 0
