from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression, Ridge
from sklearn.preprocessing import PolynomialFeatures
from torch import nn

from workers.catalogue import FAMILIES, Facts
from workers.data.loading import Data, Examples
from workers.families.linear.network import Monomials, Penalized, build
from workers.families.linear.solver import minimum
from workers.protocol import Failure
from workers.training.settings import resolve
from workers.training.streams import stream

N, D = 80, 5


def table() -> tuple[torch.Tensor, torch.Tensor]:
    """Standardized inputs [N, D] and targets [N] with mean 0 and variance 1, of which two inputs tell nothing."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N, D))
    x = (x - x.mean(0)) / x.std(0)
    y = x @ np.array([1.0, -2.0, 0.0, 0.0, 0.5]) + rng.standard_normal(N)
    return torch.from_numpy(x), torch.from_numpy((y - y.mean()) / y.std())


def solved(loss: Callable[..., torch.Tensor], outputs: int, l1: float, l2: float) -> nn.Linear:
    affine = nn.Linear(D, outputs)
    nn.init.zeros_(affine.weight)
    nn.init.zeros_(affine.bias)
    minimum(affine, loss, l1, l2)
    return affine


@pytest.mark.parametrize(
    ("l1", "l2", "reference"),
    [
        (0.0, 0.6, Ridge(alpha=0.3 * N)),  # |e|² / N + l2/2 |w|²
        (0.4, 0.0, Lasso(alpha=0.2, tol=1e-10)),  # |e|² / 2N + alpha |w|
        (0.2, 0.2, ElasticNet(alpha=0.2, l1_ratio=0.5, tol=1e-10)),
    ],
)
def test_least_squares_with_a_penalty_is_that_of_scikit_learn(l1: float, l2: float, reference: Any) -> None:
    x, y = table()
    affine = solved(lambda w, b: nn.functional.mse_loss((x @ w.T + b)[:, 0], y), 1, l1, l2)
    expected = reference.fit(x.numpy(), y.numpy()).coef_
    np.testing.assert_allclose(affine.weight.detach().numpy()[0], expected, atol=2e-4)
    np.testing.assert_array_equal(affine.weight.detach().numpy()[0] == 0, expected == 0)


def test_logistic_regression_with_a_penalty_is_that_of_scikit_learn() -> None:
    x, y = table()
    labels = (y > 0).long() + (y > 1).long()
    affine = solved(lambda w, b: nn.functional.cross_entropy(x @ w.T + b, labels), 3, 0.0, 0.02)
    expected = LogisticRegression(C=1 / (0.02 * N), tol=1e-8, max_iter=1000).fit(x.numpy(), labels.numpy())
    np.testing.assert_allclose(affine.weight.detach().numpy(), expected.coef_, atol=1e-3)


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_monomials_are_all_products(degree: int) -> None:
    x, _ = table()
    expected = PolynomialFeatures(degree, include_bias=False).fit_transform(x.numpy())
    monomials = Monomials((D,), degree)
    np.testing.assert_allclose(monomials.products(x).numpy(), expected, rtol=1e-10, atol=1e-12)
    assert expected.shape[1] == math.comb(D + degree, degree) - 1


def test_the_loss_has_the_penalty_in_it() -> None:
    facts = Facts(task="regression", inputs="table", shape=(D,), outputs=1)
    config = {"penalty": "elastic", "lam": 0.3, "l1_ratio": 0.25}
    learner = build(resolve(FAMILIES["linear"].hyperparameters("table"), config), facts)
    assert isinstance(learner, Penalized)
    x, y = (each.float() for each in table())
    examples = Examples(x, y[:, None])
    learner.prepare(Data(examples, examples))
    w = learner.affine.weight
    misfit = nn.functional.mse_loss(learner.answer(x)[:, 0], (y - y.mean()) / y.std(correction=0))
    expected = misfit + 0.3 * (0.25 * w.abs().sum() + 0.75 / 2 * w.square().sum())
    torch.testing.assert_close(learner.loss(examples, stream(0, "loss")), expected)


def test_too_many_monomials_are_refused() -> None:
    facts = Facts(task="classification", inputs="image", shape=(1, 28, 28), outputs=10)
    settings = resolve(FAMILIES["linear"].hyperparameters("image"), {"poly": 2})
    with pytest.raises(Failure, match="784 inputs have 308504 monomials"):
        build(settings, facts)
