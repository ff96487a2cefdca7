from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from workers.families.activations import RadialBasis
from workers.families.blocks import (
    ACTIVATIONS,
    Dropout,
    Noise,
    activation,
    attach_noise,
    dense,
    initialize,
    norm,
    pieces,
    unit,
)
from workers.protocol import Failure, FailureClass
from workers.training.recipe import MODULES
from workers.training.settings import Settings
from workers.training.streams import stream


def test_the_recipe_offers_the_activations_that_exist() -> None:
    (parameter,) = (each.to_json() for each in MODULES["activation"] if each.name == "activation")
    assert parameter["choices"] == list(ACTIVATIONS)


def test_dropout_keeps_the_mean_and_follows_its_stream() -> None:
    layer, x = Dropout(0.25), torch.ones(200, 200)
    attach_noise(layer, stream(0, "dropout", 1))
    out = layer(x)
    torch.testing.assert_close(out.unique(), torch.tensor([0, 4 / 3]))
    assert out.mean() == pytest.approx(1, abs=0.01)
    attach_noise(layer, stream(0, "dropout", 1))
    assert torch.equal(layer(x), out)
    layer.eval()
    assert torch.equal(layer(x), x)


def test_first_weights_follow_from_the_stream_alone() -> None:
    def weights(seed: int) -> torch.Tensor:
        model = nn.Linear(4, 4)
        initialize(model, "he", stream(seed, "initialization"))
        return model.weight

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


@pytest.mark.parametrize("kind", ["batch", "layer", "instance"])
@pytest.mark.parametrize("dimensions", [1, 2])
def test_norms_normalize(kind: str, dimensions: int, settings: Callable[..., Settings]) -> None:
    x = torch.rand(32, 12, *[5] * dimensions, generator=torch.Generator().manual_seed(0)) * 9
    out = norm(settings("lenet", norm=kind), 12, dimensions)(x)
    positions = tuple(range(2, 2 + dimensions))
    over = {"batch": (0, *positions), "layer": (1, *positions), "instance": positions}[kind]
    torch.testing.assert_close(out.mean(dim=over), torch.zeros_like(out.mean(dim=over)), atol=1e-4, rtol=0)


def test_groups_are_lowered_to_a_divisor(settings: Callable[..., Settings]) -> None:
    layer = norm(settings("lenet", norm="group", norm_groups=8), 21, dimensions=2)
    assert isinstance(layer, nn.GroupNorm)
    assert layer.num_groups == 7


def test_batches_of_one_cannot_be_normalized(settings: Callable[..., Settings]) -> None:
    with pytest.raises(Failure, match="batch_size of 3 at least") as caught:
        norm(settings("mlp", norm="batch", batch_size=1), 12, dimensions=0)
    assert caught.value.failure is FailureClass.INFEASIBLE


def test_gaussian_dropout_has_the_mean_and_variance_of_dropout() -> None:
    layer, x = Dropout(0.25), torch.ones(300, 300)
    attach_noise(layer, stream(0, "dropout", 1), "gaussian")
    out = layer(x)
    assert out.mean() == pytest.approx(1, abs=0.01)
    assert out.var() == pytest.approx(1 / 3, rel=0.03)


def test_noise_is_added_in_training_only() -> None:
    layer, x = Noise("input_noise", 0.5), torch.zeros(200, 200)
    attach_noise(layer, stream(0, "dropout", 1))
    assert layer(x).std() == pytest.approx(0.5, rel=0.03)
    layer.eval()
    assert torch.equal(layer(x), x)


def test_activations_have_their_parameters(settings: Callable[..., Settings]) -> None:
    x = torch.tensor([-2.0, 3.0])

    def answer(**config: object) -> list[float]:
        found: list[float] = activation(settings("mlp", **config))(x).tolist()
        return found

    assert answer(activation="leaky_relu", leaky_slope=0.25) == [-0.5, 3]
    assert answer(activation="elu", elu_alpha=2.0) == pytest.approx([2 * (torch.e**-2 - 1), 3])
    assert answer(activation="swish", swish_beta=2.0) == pytest.approx((x * torch.sigmoid(2 * x)).tolist())


def test_maxout_is_the_largest_of_its_affine_pieces(settings: Callable[..., Settings]) -> None:
    config = settings("mlp", activation="maxout", maxout_pieces=4, norm="none", dropout=0)
    layer = dense(config, 5, 3)
    initialize(layer, "he", stream(0, "initialization"))
    x = torch.rand(7, 5, generator=torch.Generator().manual_seed(0))
    affine = layer[0]
    assert pieces(config) == 4
    torch.testing.assert_close(layer(x), affine(x).reshape(7, 3, 4).max(dim=2).values)
    with pytest.raises(Failure, match="maxout"):
        activation(config)


def test_a_radial_unit_answers_by_distance(settings: Callable[..., Settings]) -> None:
    layer = RadialBasis(4, 3, width=0.5)
    initialize(layer, "he", stream(0, "initialization"))
    x = torch.rand(6, 4, generator=torch.Generator().manual_seed(0))
    distance = torch.cdist(x, layer.centre).square()
    torch.testing.assert_close(layer(x), torch.exp(-distance / (2 * 4 * 0.25)))
    assert isinstance(dense(settings("mlp", activation="rbf"), 4, 3)[0], RadialBasis)


def test_the_norm_stands_where_it_is_asked_for(settings: Callable[..., Settings]) -> None:
    def kinds(place: str) -> list[type]:
        return [type(module) for module in unit(settings("mlp", norm_place=place, norm="batch"), 4, dimensions=0)]

    assert kinds("before") == [nn.BatchNorm1d, nn.ReLU]
    assert kinds("after") == [nn.ReLU, nn.BatchNorm1d]


def test_hidden_noise_follows_every_activation(settings: Callable[..., Settings]) -> None:
    noisy = dense(settings("mlp", hidden_noise=0.3), 4, 3)
    assert [module.deviation for module in noisy.modules() if isinstance(module, Noise)] == [0.3]
