from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import linalg, ndimage
from torch import Tensor

from workers.protocol import Failure, FailureClass
from workers.training.preprocessing import PART, Standardize, preprocessing_of

KINDS = ("none", "standard", "minmax", "whiten", "gcn", "lcn")


def layer(kind: str, shape: tuple[int, ...], **settings: Any) -> Standardize:
    return preprocessing_of({"preprocessing": kind, "preprocessing_eps": 1e-2, "lcn_window": 5, **settings}, shape)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_each_channel_gets_mean_zero_and_variance_one() -> None:
    images = torch.rand(50, 3, 4, 4, generator=torch.Generator().manual_seed(0)) * 7 + 2
    layer = Standardize((3, 4, 4))
    layer.fit(images)
    out = layer(images)
    torch.testing.assert_close(out.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.var(dim=(0, 2, 3), correction=0), torch.ones(3))


def test_a_constant_feature_is_only_centred() -> None:
    layer = Standardize((2,))
    layer.fit(torch.tensor([[5.0, 1.0], [5.0, 3.0]]))
    torch.testing.assert_close(layer(torch.tensor([[6.0, 3.0]])), torch.tensor([[1.0, 1.0]]))


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_fitted_travels_with_the_state(kind: str) -> None:
    one, other = layer(kind, (2, 4, 4)), layer(kind, (2, 4, 4))
    one.fit(3 * numbers(20, 2, 4, 4) + 1)
    other.load_state_dict(one.state_dict())
    x = numbers(3, 2, 4, 4, seed=1)
    assert torch.equal(one(x), other(x))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(3,), (7, 3), (2, 6, 5)], ids=["table", "sequence", "image"])
def test_what_is_missing_becomes_the_mean_and_leaves_no_trace(kind: str, shape: tuple[int, ...]) -> None:
    if len(shape) != 3 and kind in ("gcn", "lcn"):
        return
    x = 2 * numbers(30, *shape) + 1
    x[::4, 0] = torch.nan
    fitted = layer(kind, shape)
    fitted.fit(x)
    out = fitted(x)
    assert out.shape == x.shape
    assert torch.isfinite(out).all()
    over = tuple(axis for axis in range(x.ndim) if axis != (2 if len(shape) == 2 else 1))
    mean = torch.nanmean(x, dim=over)
    shown = mean.reshape((-1, 1, 1) if len(shape) == 3 else (-1,)).expand(shape)
    torch.testing.assert_close(out, fitted(torch.where(x.isnan(), shown, x)), atol=1e-5, rtol=1e-5)


def test_none_leaves_inputs_as_they_are() -> None:
    x = 5 * numbers(9, 4)
    fitted = layer("none", (4,))
    fitted.fit(x)
    assert torch.equal(fitted(x), x)
    torch.testing.assert_close(fitted.deviation, x.std(dim=0, correction=0), msg="how much inputs vary is known")


def test_the_training_examples_span_the_unit_interval() -> None:
    x = 5 * numbers(2 * PART + 5, 2) + 3  # in several parts
    x[:, 1] = 7
    fitted = layer("minmax", (2,))
    fitted.fit(x)
    out = fitted(x)
    assert out[:, 0].min() == 0
    assert out[:, 0].max() == 1
    torch.testing.assert_close(out[:, 0], (x[:, 0] - x[:, 0].min()) / (x[:, 0].max() - x[:, 0].min()))
    assert (out[:, 1] == 0).all(), "a constant feature"
    beyond = fitted(torch.tensor([[2 * float(x[:, 0].max()) - float(x[:, 0].min()), 7.0]]))
    assert float(beyond[0, 0]) == pytest.approx(2, abs=1e-5)


@pytest.mark.parametrize("shape", [(4,), (5, 4), (1, 2, 2)], ids=["table", "sequence", "image"])
def test_whitened_inputs_have_no_correlations(shape: tuple[int, ...]) -> None:
    mix = torch.tensor([[1.0, 0, 0, 0], [0.9, 0.5, 0, 0], [0, 0.3, 2, 0], [0.2, 0, 1, 0.5]])
    x = (numbers(2000, *shape).reshape(-1, 4) @ mix).reshape(-1, *shape) + 3
    fitted = layer("whiten", shape, preprocessing_eps=1e-9)
    fitted.fit(x)
    rows = fitted(x).reshape(-1, 4)
    torch.testing.assert_close(torch.cov(rows.T, correction=0), torch.eye(4), atol=2e-3, rtol=0)
    standard = layer("standard", shape)
    standard.fit(x)
    covariance = np.cov(standard(x).reshape(-1, 4).numpy().T.astype(np.float64), bias=True)
    wanted = np.linalg.inv(linalg.sqrtm(covariance + 1e-2 * np.eye(4)))
    damped = layer("whiten", shape)
    damped.fit(x)
    z = standard(x).reshape(-1, 4)
    expected = ((z - z.mean(dim=0)) @ torch.from_numpy(wanted).float()).reshape(x.shape)
    torch.testing.assert_close(damped(x), expected, atol=1e-4, rtol=1e-4)


def test_what_is_too_large_to_whiten_is_infeasible() -> None:
    with pytest.raises(Failure, match="5000 inputs") as caught:
        layer("whiten", (5000,))
    assert caught.value.failure is FailureClass.INFEASIBLE


def test_global_contrast() -> None:
    images = torch.rand(6, 2, 5, 4, generator=torch.Generator().manual_seed(0))
    images[5] = 0.3
    out = layer("gcn", (2, 5, 4), preprocessing_eps=0.01)(images)
    for image, found in zip(images[:5], out, strict=False):
        expected = (image - image.mean()) / (image.var(correction=0) + 0.01).sqrt()
        torch.testing.assert_close(found, expected)
    assert out[5].abs().max() < 1e-5, "an image of one brightness"
    brighter = layer("gcn", (2, 5, 4), preprocessing_eps=1e-12)(2 * images[:5] + 1)
    torch.testing.assert_close(brighter, layer("gcn", (2, 5, 4), preprocessing_eps=1e-12)(images[:5]))


@pytest.mark.parametrize("side", [3, 5, 7])
def test_local_contrast_is_that_of_its_formula(side: int) -> None:
    image = np.random.default_rng(0).uniform(size=(2, 6, 5))
    away = np.arange(side) - side // 2
    window = np.exp(-0.5 * (away[:, None] ** 2 + away**2) / (side / 4) ** 2)

    def around(planes: Any) -> Any:
        mass = ndimage.convolve(np.ones(planes.shape[1:]), window, mode="constant")
        return ndimage.convolve(planes.mean(axis=0), window, mode="constant") / mass

    centred = image - around(image)
    deviation = np.sqrt(around(centred**2))
    expected = centred / np.maximum(deviation, deviation.mean())
    found = layer("lcn", (2, 6, 5), lcn_window=side)(torch.from_numpy(image[None]).float())[0]
    torch.testing.assert_close(found, torch.from_numpy(expected).float(), atol=1e-5, rtol=1e-4)
    assert layer("lcn", (2, 6, 5), lcn_window=side)(torch.full((1, 2, 6, 5), 0.4)).abs().max() < 0.5


@pytest.mark.parametrize("kind", ["whiten", "lcn"])
def test_inputs_are_not_rounded_where_the_network_is(kind: str) -> None:
    x = numbers(50, 1, 6, 6)
    fitted = layer(kind, (1, 6, 6))
    fitted.fit(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(fitted(x), fitted(x).float())
        found = fitted(x)
    assert torch.equal(found, fitted(x))


def test_fitting_what_is_made_of_the_inputs() -> None:
    x = numbers(PART + 10, 3)
    direct, through = layer("whiten", (3,)), layer("whiten", (3,))
    direct.fit(x.square())
    through.fit(x, lambda part: part.square())
    assert all(torch.equal(a, b) for a, b in zip(direct.buffers(), through.buffers(), strict=True))
