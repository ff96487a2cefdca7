from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from workers.catalogue import Facts
from workers.families.blocks import initialize, parameter_count
from workers.families.transformer_enc import attention
from workers.families.transformer_enc.attention import Attention
from workers.families.transformer_enc.network import Block, Encoder, build, patches, sine_positions
from workers.protocol import Failure, FailureClass
from workers.training.settings import Settings
from workers.training.streams import stream


def attention_of(settings: Callable[..., Settings], similarity: str, heads: int = 2) -> Attention:
    layer = Attention(settings("transformer_enc", width=16, heads=heads, similarity=similarity))
    initialize(layer, "inverse_sqrt", stream(0, "initialization"))
    return layer.eval()


@pytest.fixture
def x() -> Tensor:
    return torch.randn(3, 5, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("similarity", ["dot", "scaled", "general", "additive"])
def test_attention_is_its_formula(similarity: str, x: Tensor, settings: Callable[..., Settings]) -> None:
    """Query by query, for each head."""
    layer = attention_of(settings, similarity)
    q, k, v = (project(x).chunk(2, dim=2) for project in (layer.query, layer.key, layer.value))
    heads = []
    for head in range(2):
        answers = torch.empty(3, 5, 8)
        for example in range(3):
            for i in range(5):
                query, keys = q[head][example, i], k[head][example]
                match similarity:
                    case "dot":
                        e = keys @ query
                    case "scaled":
                        e = keys @ query / math.sqrt(8)
                    case "general":
                        matrix = layer.compared()[head]
                        e = torch.stack([query @ matrix @ key for key in keys])
                    case _:
                        e = torch.tanh(query + keys) @ layer.compared()[head, 0]
                answers[example, i] = torch.softmax(e, dim=0) @ v[head][example]
        heads.append(answers)
    torch.testing.assert_close(layer(x), layer.out(torch.cat(heads, dim=2)))


def test_scaled_attention_is_torchs(x: Tensor, settings: Callable[..., Settings]) -> None:
    layer = attention_of(settings, "scaled", heads=4)
    theirs = nn.MultiheadAttention(16, 4, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([layer.query.weight, layer.key.weight, layer.value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([layer.query.bias, layer.key.bias, layer.value.bias]))
    theirs.out_proj.load_state_dict(layer.out.state_dict())
    torch.testing.assert_close(layer(x), theirs(x, x, x, need_weights=False)[0])


@pytest.mark.parametrize("similarity", ["scaled", "additive"])
def test_large_batches_are_taken_in_parts(
    similarity: str, x: Tensor, settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = attention_of(settings, similarity)
    whole = layer(x)
    monkeypatch.setattr(attention, "SLICE", 2)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), whole)


def test_without_positions_the_order_makes_no_difference(settings: Callable[..., Settings]) -> None:
    """Which shows that nothing but the positions tells a token where it is."""
    network = Encoder(settings("transformer_enc", patch=1, positions="learned"), (6, 2), 3)  # they begin with 0
    initialize(network, "xavier_uniform", stream(0, "initialization"))
    network.eval()
    x = torch.randn(4, 6, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(network(x), network(x.flip(1)))
    with torch.no_grad():
        network.positions.copy_(sine_positions(6, 64))
    assert (network(x) - network(x.flip(1))).abs().max() > 1e-3


def test_sine_positions_are_those_of_the_paper() -> None:
    table = sine_positions(50, 16)
    for position, i in ((0, 0), (7, 3), (49, 7)):
        angle = position / 10_000 ** (2 * i / 16)
        assert table[position, 2 * i] == pytest.approx(math.sin(angle), abs=1e-5)
        assert table[position, 2 * i + 1] == pytest.approx(math.cos(angle), abs=1e-5)


def test_patches_of_an_image_go_row_by_row() -> None:
    image = torch.arange(16).reshape(1, 1, 4, 4)
    assert patches(image, 2)[0].tolist() == [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]
    assert patches(image, 3)[0, 3].tolist() == [15, 0, 0, 0, 0, 0, 0, 0, 0]


def test_patches_of_a_sequence_end_with_it() -> None:
    sequence = torch.arange(1, 11).reshape(1, 5, 2)
    assert patches(sequence, 1)[0].tolist() == sequence[0].tolist()
    assert patches(sequence, 2)[0].tolist() == [[0, 0, 1, 2], [3, 4, 5, 6], [7, 8, 9, 10]]


@pytest.mark.parametrize("layer_norm", ["pre", "post"])
def test_blocks_normalize_where_they_are_told(layer_norm: str, x: Tensor, settings: Callable[..., Settings]) -> None:
    block = Block(settings("transformer_enc", width=16, layer_norm=layer_norm)).eval()
    initialize(block, "xavier_uniform", stream(0, "initialization"))
    attend, perceptron = block.parts
    first, second = block.norms
    if layer_norm == "pre":
        middle = x + attend(first(x))
        expected = middle + perceptron(second(middle))
    else:
        middle = first(x + attend(x))
        expected = second(middle + perceptron(middle))
    torch.testing.assert_close(block(x), expected)


def test_the_default_on_digits_has_its_parameters(settings: Callable[..., Settings]) -> None:
    network = Encoder(settings("transformer_enc"), (1, 8, 8), 10)
    d, hidden = 64, 128
    block = 4 * d * (d + 1) + hidden * (d + 1) + d * (hidden + 1) + 4 * d
    assert parameter_count(network) == d * (4 + 1) + 2 * block + 10 * (d + 1)


def facts(*shape: int) -> Facts:
    return Facts(task="classification", inputs="image" if len(shape) == 3 else "sequence", shape=shape, outputs=3)


@pytest.mark.parametrize(
    ("config", "shape", "reason"),
    [
        ({"patch": 9}, (1, 8, 12), "it is 8×12 pixels"),
        ({"patch": 4}, (3, 2), "it is 3 steps long"),
        ({"patch": 1, "batch_size": 512}, (1460, 1), "attention between 1460 tokens takes .* GiB"),
    ],
)
def test_what_cannot_be_built_is_said(
    config: dict[str, int], shape: tuple[int, ...], reason: str, settings: Callable[..., Settings]
) -> None:
    with pytest.raises(Failure, match=reason) as caught:
        build(settings("transformer_enc", **config), facts(*shape))
    assert caught.value.failure is FailureClass.INFEASIBLE


def test_heads_share_the_width_evenly(settings: Callable[..., Settings]) -> None:
    uneven = {**settings("transformer_enc"), "width": 20, "heads": 8}
    with pytest.raises(Failure, match="8 heads cannot share 20") as caught:
        build(uneven, facts(1, 8, 8))
    assert caught.value.failure is FailureClass.INFEASIBLE
