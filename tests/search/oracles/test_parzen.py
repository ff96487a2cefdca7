"""TPE's densities against the plain definition, and against Optuna's own estimator with the same options."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from search.density.axes import Axes, Cells
from search.density.parzen import Law, Parzen
from spaces import Space

OPTUNA = {"floor": 0.01, "exponent": 1.0}
X = {"name": "x", "type": "float", "low": 0, "high": 1}
MIXED = Space.from_json(
    {
        "parameters": [
            X,
            {**X, "name": "y"},
            {"name": "n", "type": "int", "low": 1, "high": 12},
            {"name": "c", "type": "categorical", "choices": ["a", "b", "c"]},
            {"name": "b", "type": "bool"},
        ]
    }
)


def parzen(space, points, weights=None, **law):
    axes = Axes.of(space, range(len(space)), lambda domain: Cells.of(domain).widest <= 1e-3)
    density = Parzen(axes, Law(**law))
    density.add(axes.read(np.asarray(points, dtype=float)))
    density.select(np.ones(len(points), dtype=bool), np.ones(len(points)) if weights is None else weights)
    return lambda at: density.log_density(axes.read(np.asarray(at, dtype=float)))


def widths(means, least):
    """The larger gap to a neighbour; the outermost have one, an only one measures to the ends of the range."""
    order, found = np.argsort(means), np.empty(len(means))
    for rank, index in enumerate(order):
        gaps = [abs(means[index] - means[order[other]]) for other in (rank - 1, rank + 1) if 0 <= other < len(means)]
        found[index] = max(gaps) if gaps else max(means[index], 1 - means[index])
    return np.clip(found, least, 1)


def truncated(mean, sd):
    return stats.truncnorm(-mean / sd, (1 - mean) / sd, mean, sd)


def plain_density(points, weights, at, least):
    """A mixture of products, one component per observation and a broad one: term by term, in the space MIXED."""
    n = len(points)
    sds = [widths(points[:, column], least) for column in range(3)]
    total = 0.0
    for i in range(n + 1):
        product = 1.0
        for column in range(3):
            law = truncated(*((points[i, column], sds[column][i]) if i < n else (0.5, 1.0)))
            if column == 2:  # the mass of a cell
                cell = min(int(at[2] * 12), 11)
                product *= law.cdf((cell + 1) / 12) - law.cdf(cell / 12)
            else:
                product *= law.pdf(at[column])
        for column, count in ((3, 3), (4, 2)):
            share = 1 / (n + 1)
            same = i < n and points[i, column] == at[column]
            product *= (same + share) / (1 + count * share) if i < n else 1 / count
        total += (weights[i] if i < n else 1.0) * product
    return total / (weights.sum() + 1)


@pytest.mark.parametrize("observed", [1, 2, 3, 7, 12])
@pytest.mark.parametrize(("floor", "exponent"), [(0.01, 1.0), (0.03, 2.0)])
def test_the_density_is_the_plain_one(observed, floor, exponent):
    rng = np.random.default_rng(observed)
    numbers = rng.permutation(12)[:observed]  # none twice: widths of equal ones are a matter of order
    points = np.array([MIXED.encode({**MIXED.sample(rng), "n": int(number) + 1}) for number in numbers])
    weights = rng.random(observed) + 0.1
    at = np.array([MIXED.encode(MIXED.sample(rng)) for _ in range(20)])
    least = max(floor, (observed + 2) ** -exponent)
    found = parzen(MIXED, points, weights, floor=floor, exponent=exponent)(at)
    assert np.exp(found) == pytest.approx([plain_density(points, weights, row, least) for row in at], rel=1e-9)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), observed=st.integers(0, 40))
def test_it_is_the_density_of_optuna(seed, observed):
    """Version 5, multivariate, with its usual widths; in its own units, on linear and logarithmic scales."""
    estimator = pytest.importorskip("optuna.samplers._tpe.parzen_estimator")
    distributions = pytest.importorskip("optuna.distributions")
    space = Space.from_json(
        {
            "parameters": [
                {"name": "x", "type": "float", "low": -3, "high": 5},
                {"name": "lr", "type": "float", "low": 1e-5, "high": 1e-1, "log": True},
                {"name": "c", "type": "categorical", "choices": ["a", "b", "c"]},
            ]
        }
    )
    rng = np.random.default_rng(seed)
    configs, others = ([space.sample(rng) for _ in range(count)] for count in (observed, 9))

    def columns(of):
        return {
            "x": np.array([config["x"] for config in of], dtype=float),
            "lr": np.array([config["lr"] for config in of], dtype=float),
            "c": np.array(["abc".index(config["c"]) for config in of], dtype=float),
        }

    theirs = estimator._ParzenEstimator(
        columns(configs),
        {
            "x": distributions.FloatDistribution(-3, 5),
            "lr": distributions.FloatDistribution(1e-5, 1e-1, log=True),
            "c": distributions.CategoricalDistribution(("a", "b", "c")),
        },
        estimator._ParzenEstimatorParameters(
            prior_weight=1.0, consider_magic_clip=True, consider_endpoints=False, weights=np.ones, multivariate=True,
        ),
    ).log_pdf(columns(others))  # fmt: skip
    points = np.array([space.encode(config) for config in configs]).reshape(observed, 3)
    ours = parzen(space, points, **OPTUNA)(np.array([space.encode(config) for config in others]))
    volume = np.log(5 - -3) + np.log(np.log(1e-1 / 1e-5))  # theirs is per unit of x and of ln(lr)
    assert np.asarray(theirs) == pytest.approx(ours - volume, abs=1e-8)
