from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from workers.families.blocks import ACTIVATIONS, Dropout, Gate, attach_noise, initialize, norm
from workers.protocol import Failure, FailureClass
from workers.training.recipe import RECIPE
from workers.training.settings import Settings
from workers.training.streams import stream


def test_the_recipe_offers_the_activations_that_exist() -> None:
    (parameter,) = (each.to_json() for each in RECIPE if each.name == "activation")
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


@pytest.mark.parametrize(
    ("init", "std"),
    [
        ("he", math.sqrt(2 / 400)),
        ("xavier_normal", math.sqrt(2 / 600)),
        ("xavier_uniform", math.sqrt(2 / 600)),
        ("inverse_sqrt", math.sqrt(1 / 400 / 3)),
        ("orthogonal", math.sqrt(1 / 400)),
    ],
)
def test_first_weights_have_the_variance_of_the_paper(init: str, std: float) -> None:
    hidden, gate = nn.Linear(400, 200), Gate(200, 200, bias=-2.0)
    model = nn.Sequential(hidden, gate, nn.Linear(200, 10))
    initialize(model, init, stream(0, "initialization"))
    assert hidden.weight.std().item() == pytest.approx(std, rel=0.02)
    assert hidden.bias.abs().max() == 0
    assert (gate.bias == -2).all()


def test_first_weights_follow_from_the_stream_alone() -> None:
    def weights(seed: int) -> torch.Tensor:
        model = nn.Linear(4, 4)
        initialize(model, "he", stream(seed, "initialization"))
        return model.weight

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


@pytest.mark.parametrize("kind", ["batch", "layer"])
def test_norms_normalize(kind: str, settings: Callable[..., Settings]) -> None:
    x = torch.rand(32, 12, 5, 5, generator=torch.Generator().manual_seed(0)) * 9
    out = norm(settings("lenet", norm=kind), 12, dimensions=2)(x)
    over = (0, 2, 3) if kind == "batch" else (1, 2, 3)
    torch.testing.assert_close(out.mean(dim=over), torch.zeros_like(out.mean(dim=over)), atol=1e-4, rtol=0)


def test_groups_are_lowered_to_a_divisor(settings: Callable[..., Settings]) -> None:
    layer = norm(settings("lenet", norm="group", norm_groups=8), 21, dimensions=2)
    assert isinstance(layer, nn.GroupNorm)
    assert layer.num_groups == 7


def test_batches_of_one_cannot_be_normalized(settings: Callable[..., Settings]) -> None:
    with pytest.raises(Failure, match="batch_size is 1") as caught:
        norm(settings("mlp", norm="batch", batch_size=1), 12, dimensions=0)
    assert caught.value.failure is FailureClass.INFEASIBLE
