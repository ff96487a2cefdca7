from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from workers.supernets import perturbation
from workers.supernets.curvature import Rule, dominant_eigenvalue
from workers.supernets.mixture import Mix
from workers.supernets.setup import drop_of

RULE = Rule(window=5, patience=4, start=10, rise=1.3)


def first_rise(curve: Callable[[int], float]) -> tuple[int, int] | None:
    """The epoch of the first rise, and the one to go back to, with a look every second of 50 epochs."""
    looks = []
    for epoch in range(0, 50, 2):
        looks.append((epoch, curve(epoch)))
        if (back := RULE.risen_from(looks)) is not None:
            return epoch, back
    return None


@pytest.mark.parametrize(
    ("curve", "wanted"),
    [
        (lambda epoch: 0.1, None),
        (lambda epoch: 0.1 * 1.05**epoch, (22, 10)),
        (lambda epoch: 0.1 if epoch < 24 else 0.5, (24, 12)),
        (lambda epoch: 0.1 + 0.01 * epoch, (22, 10)),
    ],
)
def test_a_rise_is_seen_and_led_back(curve: Callable[[int], float], wanted: tuple[int, int] | None) -> None:
    assert first_rise(curve) == wanted


@pytest.mark.parametrize("largest", [5.0, -5.0])
def test_the_eigenvalue_is_that_of_the_hessian(largest: float) -> None:
    """Of a quadratic form in two tensors, and of a function whose Hessian is computed whole."""
    basis, _ = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    hessian = basis @ torch.diag(torch.tensor([largest, 2.0, -1.0, 0.5, 0.1, 0.0], dtype=torch.float64)) @ basis.T
    alphas = [torch.zeros(2, dtype=torch.float64, requires_grad=True) for _ in range(3)]

    def loss() -> torch.Tensor:
        x = torch.cat(alphas)
        return 0.5 * x @ hessian @ x

    assert dominant_eigenvalue(loss, alphas, torch.Generator().manual_seed(1)) == pytest.approx(largest, rel=1e-6)
    x = torch.randn(5, generator=torch.Generator().manual_seed(2), dtype=torch.float64, requires_grad=True)

    def bent(x: torch.Tensor) -> torch.Tensor:
        return (x.softmax(dim=0) * torch.arange(5)).sum() ** 2 + 4 * x[0] ** 2

    whole = torch.linalg.eigvalsh(torch.autograd.functional.hessian(bent, x.detach()))
    found = dominant_eigenvalue(lambda: bent(x), [x], torch.Generator().manual_seed(3), times=60)
    assert found == pytest.approx(float(max(whole, key=abs)), rel=1e-4)


def test_perturbations_grow_and_stay_small() -> None:
    assert [perturbation.size(epoch, 50, 0.03, 0.3) for epoch in (0, 25)] == pytest.approx([0.03, 0.165])
    weights = torch.full((4, 3), 1 / 3, requires_grad=True)
    mixes = {"cell": Mix(weights, ((0, 1, 2),) * 4)}
    slope = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))

    def loss(moved: perturbation.Mixes) -> torch.Tensor:
        return (moved["cell"].weights * slope).sum() - moved["cell"].weights.square().sum()

    before = float(loss(mixes).detach())
    for moved in (
        perturbation.random(mixes, 0.1, torch.Generator().manual_seed(1)),
        perturbation.adversarial(mixes, 0.1, 7, loss),
    ):
        apart = (moved["cell"].weights - weights).detach()
        assert 0 < float(apart.abs().max()) <= 0.1 + 1e-6
    worst = perturbation.adversarial(mixes, 0.1, 7, loss)
    assert float(loss(worst).detach()) > before
    assert torch.equal(weights.detach(), torch.full((4, 3), 1 / 3)), "what is perturbed is a copy"


def test_drops_grow_to_their_most() -> None:
    growing = {"drop": 0.3, "drop_schedule": "linear"}
    assert [drop_of(growing, epoch, 51) for epoch in (0, 25, 50)] == pytest.approx([0, 0.15, 0.3])
    assert drop_of({"drop": 0.3, "drop_schedule": "constant"}, 0, 50) == 0.3
    assert drop_of({}, 5, 50) == 0
