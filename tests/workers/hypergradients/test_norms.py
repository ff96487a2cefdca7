"""Batch norms that are written out, against torch's and against differences."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from workers.hypergradients.norms import by_batch, normalized, written_out


def layer_of(kind: type[nn.BatchNorm1d | nn.BatchNorm2d], affine: bool) -> nn.BatchNorm1d | nn.BatchNorm2d:
    layer = kind(4, affine=affine).double()
    rng = torch.Generator().manual_seed(0)
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, 0.5, 2, generator=rng)
    return layer


def an_input(*shape: int) -> Tensor:
    return 3 + 2 * torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


SHAPES = [(nn.BatchNorm1d, (6, 4)), (nn.BatchNorm1d, (6, 4, 5)), (nn.BatchNorm2d, (3, 4, 2, 5))]


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(("kind", "shape"), SHAPES)
def test_it_answers_as_torchs(
    kind: type[nn.BatchNorm1d | nn.BatchNorm2d], shape: tuple[int, ...], affine: bool
) -> None:
    layer, x = layer_of(kind, affine), an_input(*shape)
    torch.testing.assert_close(normalized(layer, x), layer(x))


def slope_of_slope(answer: Callable[[Tensor], Tensor], x: Tensor, along: Tensor) -> Tensor:
    """The derivative by x of the squared slope of a loss, in one direction: a sum of second derivatives."""
    (slope,) = torch.autograd.grad(answer(x).tanh().square().sum(), x, create_graph=True)
    (found,) = torch.autograd.grad(slope.square().sum(), x, create_graph=True)
    return (found * along).sum()


@pytest.mark.parametrize(("kind", "shape"), SHAPES)
def test_its_third_derivatives_are_those_of_differences(
    kind: type[nn.BatchNorm1d | nn.BatchNorm2d], shape: tuple[int, ...]
) -> None:
    layer, x = layer_of(kind, True), an_input(*shape).requires_grad_()
    rng = torch.Generator().manual_seed(2)
    along, other = (torch.randn(shape, generator=rng, dtype=torch.float64) for _ in range(2))
    step = 1e-5 * other
    above, below = (float(slope_of_slope(layer, x + sign * step, along).detach()) for sign in (1, -1))
    expected = (above - below) / 2e-5  # of torch's own norm, whose second derivatives are right

    with written_out(layer):
        (found,) = torch.autograd.grad(slope_of_slope(layer, x, along), x)
    assert float((found * other).sum()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("how", [by_batch, written_out])
def test_nothing_is_remembered_within_and_all_is_as_before_afterwards(how: Callable[..., object]) -> None:
    model, x = nn.Sequential(nn.BatchNorm1d(4), nn.Tanh()).double(), an_input(6, 4)
    expected = model(x)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(KeyError), how(model):  # type: ignore[attr-defined]
        torch.testing.assert_close(model(x), expected)
        assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
        raise KeyError
    model(x)
    assert not torch.equal(before["0.running_mean"], model.state_dict()["0.running_mean"])
    model.eval()
    assert not torch.allclose(model(x), expected)


def test_norms_in_evaluation_are_left_alone() -> None:
    layer, x = nn.BatchNorm1d(4).double().eval(), an_input(6, 4)
    with written_out(layer):
        torch.testing.assert_close(layer(x), x / (1 + layer.eps) ** 0.5)
