from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from workers.families.blocks import Gate, initialize
from workers.families.initialization import normalize_weights, scale_by_data
from workers.training.streams import stream


@pytest.mark.parametrize(
    ("init", "std"),
    [
        ("he", math.sqrt(2 / 400)),
        ("xavier_normal", math.sqrt(2 / 600)),
        ("xavier_uniform", math.sqrt(2 / 600)),
        ("inverse_sqrt", math.sqrt(1 / 400 / 3)),
        ("orthogonal", math.sqrt(1 / 400)),
        ("sparse", math.sqrt(1 / 400)),
    ],
)
def test_first_weights_have_the_variance_of_the_paper(init: str, std: float) -> None:
    hidden, gate = nn.Linear(400, 200), Gate(200, 200, bias=-2.0)
    model = nn.Sequential(hidden, gate, nn.Linear(200, 10))
    initialize(model, init, stream(0, "initialization"))
    assert hidden.weight.std().item() == pytest.approx(std, rel=0.03)
    assert hidden.bias.abs().max() == 0
    assert (gate.bias == -2).all()


def test_gain_and_first_bias_are_read_where_they_are_given() -> None:
    model = nn.Sequential(nn.Linear(400, 200), nn.ReLU(), nn.Linear(200, 10))
    initialize(model, "he", stream(0, "initialization"), {"init_gain": 2.0, "first_bias": 0.1})
    hidden, last = model[0], model[2]
    assert isinstance(hidden, nn.Linear)
    assert isinstance(last, nn.Linear)
    assert hidden.weight.std().item() == pytest.approx(2 * math.sqrt(2 / 400), rel=0.03)
    assert last.weight.std().item() == pytest.approx(2 * math.sqrt(1 / 200), rel=0.05)
    assert (hidden.bias == 0.1).all()
    assert (last.bias == 0).all()


def test_sparse_units_read_a_few_inputs() -> None:
    layer = nn.Linear(100, 30)
    initialize(layer, "sparse", stream(0, "initialization"), {"sparse_inputs": 7})
    assert ((layer.weight != 0).sum(dim=1) == 7).all()


KINDS = [
    nn.Linear(3, 4),
    nn.Conv1d(4, 6, 3, groups=2),
    nn.Conv2d(3, 4, 3),
    nn.Conv3d(2, 2, 2),
    nn.ConvTranspose1d(3, 4, 2),
    nn.ConvTranspose2d(3, 4, 2, stride=2),
    nn.RNN(3, 4, num_layers=2, bidirectional=True),
    nn.LSTM(3, 4),
    nn.GRU(3, 4),
    nn.LSTMCell(3, 4),
    nn.GRUCell(3, 4),
    nn.Embedding(5, 4),
    nn.MultiheadAttention(4, 2),
    nn.TransformerEncoderLayer(4, 2, 8),
    nn.BatchNorm2d(3),
    nn.LayerNorm(3),
    nn.PReLU(),
]


@pytest.mark.parametrize("module", KINDS, ids=lambda module: type(module).__name__)
@pytest.mark.parametrize("init", ["he", "xavier_uniform", "orthogonal", "sparse", "data_scaled"])
def test_no_weight_comes_from_the_global_generator(module: nn.Module, init: str) -> None:
    def drawn(seed: int) -> list[Tensor]:
        initialize(module, init, stream(seed, "initialization"))
        return [parameter.detach().clone() for parameter in module.parameters()]

    before = torch.get_rng_state()
    first = drawn(0)
    for parameter in module.parameters():
        nn.init.constant_(parameter, 7.0 if parameter.ndim > 1 else float(parameter.detach().flatten()[0]))
    assert all(torch.equal(a, b) for a, b in zip(first, drawn(0), strict=True))
    matrices = [index for index, each in enumerate(first) if each.ndim > 1]
    other = drawn(1)
    assert all(not torch.equal(first[index], other[index]) for index in matrices)
    assert torch.equal(before, torch.get_rng_state())


def test_what_draws_its_own_weights_is_refused_unless_it_says_how() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(3))

        def initialize(self, rng: torch.Generator) -> None:
            nn.init.normal_(self.weight, generator=rng)

    own = Own()
    initialize(own, "he", stream(0, "initialization"))
    assert own.weight.abs().sum() > 0
    with pytest.raises(AssertionError, match="Bilinear"):
        initialize(nn.Bilinear(2, 2, 2), "he", stream(0, "initialization"))


def test_recurrent_weights_are_orthogonal_gate_by_gate() -> None:
    cell = nn.LSTM(3, 5)
    initialize(cell, "he", stream(0, "initialization"))
    for gate in torch.chunk(cell.get_parameter("weight_hh_l0"), 4):
        torch.testing.assert_close(gate @ gate.T, torch.eye(5), atol=1e-5, rtol=0)


def test_scaled_by_data_every_layer_has_variance_one() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 36, 8), nn.ReLU(), nn.Linear(8, 3))
    initialize(model, "data_scaled", stream(0, "initialization"), {"first_bias": 0.1})
    images = torch.rand(200, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 5
    scale_by_data(model, images, gain=1.5)
    outputs = {}
    for name, module in model.named_children():
        images = module(images)
        outputs[name] = images.std().item()
    assert [outputs[name] for name in ("0", "3", "5")] == pytest.approx([1.5] * 3, rel=1e-3)


def test_scaled_by_data_biases_that_are_far_apart_count_for_nothing() -> None:
    head = nn.Linear(10, 10)
    initialize(head, "data_scaled", stream(0, "initialization"))
    prior = torch.tensor([5.0, *[-1.0] * 5, *[0.0] * 4])
    with torch.no_grad():
        head.bias.copy_(prior)
    inputs = torch.randn(200, 10, generator=torch.Generator().manual_seed(0))
    scale_by_data(head, inputs, gain=1.5)
    assert torch.equal(head.bias, prior)
    assert (head(inputs) - prior).std().item() == pytest.approx(1.5, rel=1e-3)


def test_normalized_weights_answer_as_before_and_share_what_was_shared() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4), nn.Linear(4, 4))
    last, other = model[3], model[2]
    assert isinstance(last, nn.Linear)
    assert isinstance(other, nn.Linear)
    last.weight = other.weight
    initialize(model, "he", stream(0, "initialization"))
    x = torch.rand(5, 3)
    before = model(x)
    normalize_weights(model)
    torch.testing.assert_close(model(x), before)
    assert {name for name, _ in model.named_parameters() if name.startswith("0")} == {
        "0.bias",
        "0.parametrizations.weight.original0",
        "0.parametrizations.weight.original1",
    }
    assert last.weight is other.weight
