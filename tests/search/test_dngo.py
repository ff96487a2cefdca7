"""The network with a Bayesian last layer."""

import numpy as np
import pytest

from search import Added, Ended, History, Outcome, RunState, StudySpec, ask, ask_many
from search.samplers.dngo import Network, Regression, log_evidence
from search.simulation import simulate
from search.testbed import box, sphere

BASIS = np.array([[1.0, 0], [1, 1], [1, 2]])
TARGETS = np.array([0.0, 1, 2])
ONE = np.ones(1)


def study(space, runs=40, seed=0, **options):
    return StudySpec.from_json(
        {
            "space": space, "algorithm": {"name": "dngo", **options}, "seed": seed, "budget": {"max_runs": runs},
            "metrics": [{"name": "loss", "direction": "minimize"}],
        }
    )  # fmt: skip


def test_the_regression_on_three_points():
    model = Regression.of(BASIS, TARGETS, ONE, 10 * ONE, ONE)
    assert model.axes @ model.means[:, 0] == pytest.approx([0.044053, 0.954479], abs=1e-6)
    mean, variance = model.predict(np.array([[1.0, 3.0]]))
    assert mean == pytest.approx([2.907489], abs=1e-6)
    assert variance == pytest.approx([0.220264], abs=1e-6)
    assert log_evidence(BASIS, TARGETS, ONE, 10 * ONE) == pytest.approx([-3.041958], abs=1e-6)


def test_the_evidence_is_that_of_the_targets_as_one_normal_vector():
    rng = np.random.default_rng(0)
    basis, targets = rng.normal(size=(6, 9)), rng.normal(size=6)
    alpha, beta = np.array([0.3, 2.0]), np.array([5.0, 0.7])
    for pair, evidence in enumerate(log_evidence(basis, targets, alpha, beta)):
        covariance = basis @ basis.T / alpha[pair] + np.eye(6) / beta[pair]
        _, determinant = np.linalg.slogdet(covariance)
        direct = -(targets @ np.linalg.solve(covariance, targets) + determinant + 6 * np.log(2 * np.pi)) / 2
        assert evidence == pytest.approx(direct)


def test_a_mixture_has_the_moments_of_its_parts():
    alpha, beta, shares = np.array([1.0, 4.0]), np.array([10.0, 2.0]), np.array([0.3, 0.7])
    at = np.array([[1.0, 3.0], [1.0, -2.0]])
    mean, variance = Regression.of(BASIS, TARGETS, alpha, beta, shares).predict(at)
    parts = [Regression.of(BASIS, TARGETS, alpha[[k]], beta[[k]], ONE).predict(at) for k in range(2)]
    first = sum(share * m for share, (m, _) in zip(shares, parts, strict=True))
    second = sum(share * (v + m**2) for share, (m, v) in zip(shares, parts, strict=True))
    assert mean == pytest.approx(first)
    assert variance == pytest.approx(second - first**2)


def test_the_precisions_found_are_those_of_the_data():
    rng = np.random.default_rng(1)
    basis = rng.normal(size=(400, 10))
    targets = basis @ rng.normal(size=10) + rng.normal(size=400) * 0.1
    model = Regression.integrated(basis, targets)
    assert 50 < model.shares @ model.beta < 200
    assert 0.2 < model.shares @ model.alpha < 5


def test_the_gradient_is_the_slope():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(7, 3)), rng.normal(size=7)
    network = Network(x, rng)
    gradient = np.empty_like(network._parameters)
    network._backward(x, y, gradient)

    def error():
        hidden = network._hidden(x)[-1]
        return ((hidden @ network._layers[-1][:-1] + network._layers[-1][-1] - y[:, None]) ** 2).mean()

    for index in rng.integers(len(gradient), size=20).tolist():
        slope = 0.0
        for sign in (1, -1):
            network._parameters[index] += sign * 1e-6
            slope += sign * error() / 2e-6
            network._parameters[index] -= sign * 1e-6
        assert gradient[index] == pytest.approx(slope, abs=1e-6)


def test_the_network_and_the_regression_fit_a_curve():
    x = np.linspace(0, 1, 40)[:, None]
    y = np.sin(6 * x[:, 0])
    network = Network.trained(x, y, 300, np.random.default_rng(0))
    mean, variance = Regression.integrated(network.basis(x), y).predict(network.basis(x))
    assert np.abs(mean - y).max() < 0.1
    far = Regression.integrated(network.basis(x), y).predict(network.basis(np.array([[2.0]])))[1]
    assert far > 5 * variance.max()


def test_draws_have_the_moments_of_the_mixture():
    alpha, beta, shares = np.array([1.0, 4.0]), np.array([10.0, 2.0]), np.array([0.3, 0.7])
    model, at, rng = Regression.of(BASIS, TARGETS, alpha, beta, shares), np.array([1.0, 3.0]), np.random.default_rng(0)
    values = np.array([at @ model.draw(rng) for _ in range(20_000)])
    (mean,), (variance,) = model.predict(at[None])
    assert values.mean() == pytest.approx(mean, abs=5 * np.sqrt(variance / 20_000))
    assert values.var() == pytest.approx(variance, rel=0.05)


def test_the_regression_is_the_closed_form():
    """K = beta B'B + alpha I, m = beta K^-1 B'y; mean b'm, variance b'K^-1 b."""
    rng = np.random.default_rng(2)
    basis, targets, at = rng.normal(size=(12, 5)), rng.normal(size=12), rng.normal(size=(4, 5))
    precision = 3.0 * basis.T @ basis + 0.7 * np.eye(5)
    weights = 3.0 * np.linalg.solve(precision, basis.T @ targets)
    mean, variance = Regression.of(basis, targets, 0.7 * ONE, 3 * ONE, ONE).predict(at)
    assert mean == pytest.approx(at @ weights)
    assert variance == pytest.approx((at * np.linalg.solve(precision, at.T).T).sum(axis=1))


def test_it_learns_the_sphere():
    def best(seed):
        history = simulate(
            study(box(2, -5, 5), 35, seed, epochs=150), lambda run: Outcome(RunState.SUCCEEDED, (sphere(run.config),))
        ).history
        return min(history.outcome(run.number).loss for run in history.runs)

    assert np.median([best(seed) for seed in range(3)]) < 0.1


@pytest.mark.parametrize("acquisition", ["ei", "pi", "bound", "thompson"])
def test_open_trials_are_taken_into_account(acquisition):
    spec, history = study(box(1), acquisition=acquisition, epochs=100), History()
    while len(history.runs) < 14:
        run = ask(spec, history)
        history.append(Added(run))
        history.append(Ended(run.number, Outcome(RunState.SUCCEEDED, ((run.config["x0"] - 0.4) ** 2,))))
    runs, _ = ask_many(spec, history, 3)
    assert [run.origin["pending"] for run in runs] == [0, 1, 2]
    assert len({run.config["x0"] for run in runs}) == 3
