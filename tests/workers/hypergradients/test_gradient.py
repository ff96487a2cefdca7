"""Hypergradients where they have closed forms.

training loss ½wᵀAw - wᵀBα,  held-out loss ½|w - t|²,  so that the weights rest at A⁻¹Bα
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from workers.hypergradients.gradient import Decay, Method, Weights
from workers.hypergradients.solvers import conjugate_gradients, neumann

A = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
B = torch.tensor([[1.0, 0.0], [0.5, 2.0]], dtype=torch.float64)
TARGET = torch.tensor([1.0, -1.0], dtype=torch.float64)
ALPHA = torch.tensor([0.3, -0.2], dtype=torch.float64)
REST = torch.linalg.solve(A, B @ ALPHA)
EXACT = [-0.144898, 1.869388]


def bent(direction: Tensor) -> Tensor:
    return A @ direction


def crossed(direction: Tensor) -> Tensor:
    return -B.T @ direction


def hypergradient(method: Method, lr: float = 1.0, terms: int = 10, **more: Tensor) -> list[float]:
    weights = Weights(bent, crossed, lr, **more)
    by_strength, by_decay = weights.by_hyperparameters(weights.answer(REST - TARGET, method, terms, 0.0))
    assert not by_decay
    found: list[float] = (-by_strength).tolist()
    return found


def unrolled(steps: int, lr: float = 0.1) -> list[float]:
    """Through so many steps of descent from 0, by differentiating them."""
    alpha, w = ALPHA.clone().requires_grad_(), torch.zeros(2, dtype=torch.float64)
    for _ in range(steps):
        w = w - lr * (A @ w - B @ alpha)
    (found,) = torch.autograd.grad((w - TARGET).square().sum() / 2, alpha)
    listed: list[float] = found.tolist()
    return listed


def test_the_weights_rest_where_they_should() -> None:
    assert REST.tolist() == pytest.approx([0.242857, -0.371429], abs=1e-6)


def test_one_step() -> None:
    assert hypergradient("t1t2") == pytest.approx([-0.442857, 1.257143], abs=1e-6)


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        (0, [-0.177143, 0.502857]),
        (1, [-0.182286, 0.925714]),
        (5, [-0.153718, 1.663748]),
        (20, [-0.144927, 1.868715]),
        (100, EXACT),
    ],
)
def test_terms_of_neumann(terms: int, expected: list[float]) -> None:
    assert hypergradient("neumann", lr=0.4, terms=terms) == pytest.approx(expected, abs=1e-6)


def test_conjugate_gradients_are_exact_after_as_many_products_as_there_are_weights() -> None:
    assert hypergradient("cg", terms=2) == pytest.approx(EXACT, abs=1e-6)


@pytest.mark.parametrize(
    ("steps", "expected"), [(1, [-0.04825, 0.195]), (10, [-0.156251, 1.242497]), (100, [-0.144909, 1.869126])]
)
def test_unrolled_descent_comes_to_the_same(steps: int, expected: list[float]) -> None:
    assert unrolled(steps) == pytest.approx(expected, abs=1e-6)
    if steps == 100:
        assert unrolled(steps) == pytest.approx(hypergradient("cg"), abs=1e-3)


@pytest.mark.parametrize(("method", "terms"), [("neumann", 2000), ("cg", 2)])
def test_where_weights_rest_does_not_depend_on_how_the_optimizer_stretches(method: Method, terms: int) -> None:
    stretch = torch.tensor([3.0, 0.2], dtype=torch.float64)
    assert hypergradient(method, lr=0.2, terms=terms, stretch=stretch) == pytest.approx(EXACT, abs=1e-6)


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("method", ["neumann", "cg"])
def test_the_strength_of_decay_at_rest(decoupled: bool, method: Method) -> None:
    """Against a difference of held-out losses at rest: P (Aw - Bα) + cw = 0, or P (Aw - Bα + cw) = 0."""
    stretch, strength = torch.tensor([3.0, 0.2], dtype=torch.float64), 0.3
    eye = torch.eye(2, dtype=torch.float64)

    def rest(c: float) -> Tensor:
        scaled = c * eye / stretch if decoupled else c * eye
        return torch.linalg.solve(A + scaled, B @ ALPHA)

    def held(c: float) -> float:
        return float((rest(c) - TARGET).square().sum() / 2)

    w = rest(strength)
    weights = Weights(bent, crossed, 0.2, stretch, Decay(strength, 0.0, decoupled, w, torch.ones_like(w)))
    _, found = weights.by_hyperparameters(weights.answer(w - TARGET, method, 2000, 0.0))
    expected = (held(strength + 1e-5) - held(strength - 1e-5)) / 2e-5
    assert -found["weight_decay"] == pytest.approx(expected, rel=1e-6)


@settings(max_examples=25)
@given(
    factors=st.lists(st.floats(-2, 2), min_size=9, max_size=9),
    b=st.lists(st.floats(-5, 5), min_size=3, max_size=3),
)
def test_both_solvers_agree_with_the_inverse(factors: list[float], b: list[float]) -> None:
    factor = torch.tensor(factors, dtype=torch.float64).view(3, 3)
    matrix, vector = factor @ factor.T + torch.eye(3, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)
    expected = torch.linalg.solve(matrix, vector).tolist()
    by_directions = conjugate_gradients(lambda x: matrix @ x, vector, 12)
    assert by_directions is not None
    assert by_directions.tolist() == pytest.approx(expected, abs=1e-6)
    lr = 1 / float(torch.linalg.matrix_norm(matrix, 2))
    assert neumann(lambda x: matrix @ x, vector, lr, 3000).tolist() == pytest.approx(expected, abs=1e-6)


def test_a_series_that_grows_is_stopped() -> None:
    b = torch.ones(2, dtype=torch.float64)
    assert neumann(lambda x: 10 * x, b, 0.4, 100).tolist() == [0.4, 0.4]
    assert neumann(lambda x: -x, b, 0.4, 100).tolist() == [0.4, 0.4]


def test_a_loss_that_bends_downwards_has_no_rest() -> None:
    b = torch.ones(2, dtype=torch.float64)
    assert conjugate_gradients(lambda x: -x, b, 10) is None
    saddle = torch.tensor([1.0, -0.5], dtype=torch.float64)
    found = conjugate_gradients(lambda x: saddle * x, b, 10)
    assert found is not None
    assert found.tolist() == pytest.approx([4.0, 4.0])
    weights = Weights(lambda x: -x, crossed, lr=0.1)
    assert weights.answer(b, "cg", 10, 0.0).tolist() == pytest.approx([0.1, 0.1])


def test_damping_is_a_penalty_more() -> None:
    weights = Weights(bent, crossed, lr=0.1)
    v = REST - TARGET
    found = weights.answer(v, "cg", 10, 0.5)
    assert found.tolist() == pytest.approx(torch.linalg.solve(A + 0.5 * torch.eye(2).double(), v).tolist())


def test_the_decay_is_that_of_the_penalty() -> None:
    w = torch.tensor([0.5, -2.0, 1.0], dtype=torch.float64, requires_grad=True)
    strength, share = torch.tensor(0.3, dtype=torch.float64), torch.tensor(0.4, dtype=torch.float64)
    decaying, direction = torch.tensor([1.0, 1.0, 0.0]).double(), torch.tensor([1.0, 2.0, 3.0]).double()

    def slope(c: Tensor, a: Tensor) -> Tensor:
        penalty = (decaying * c * (a * w.abs() + (1 - a) / 2 * w.square())).sum()
        (found,) = torch.autograd.grad(penalty, w, create_graph=True)
        return found @ direction

    strength.requires_grad_()
    share.requires_grad_()
    by_strength, by_share, by_weights = torch.autograd.grad(slope(strength, share), (strength, share, w))
    decay = Decay(0.3, 0.4, False, w.detach(), decaying)
    assert float(decay.by_strength @ direction) == pytest.approx(float(by_strength))
    assert float(decay.by_share @ direction) == pytest.approx(float(by_share))
    assert decay.bend(direction).tolist() == pytest.approx(by_weights.tolist())
