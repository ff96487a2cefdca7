from __future__ import annotations

import torch

from workers.training.preprocessing import Standardize


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


def test_what_was_fitted_travels_with_the_state() -> None:
    layer, other = Standardize((2,)), Standardize((2,))
    layer.fit(torch.tensor([[1.0, 4.0], [3.0, 8.0]]))
    other.load_state_dict(layer.state_dict())
    x = torch.tensor([[2.0, 2.0]])
    assert torch.equal(layer(x), other(x))
