from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from workers.families.blocks import attach_noise, initialize
from workers.families.lenet.network import PartialConv2d, TrainablePool, connection_table, network
from workers.protocol import Failure, FailureClass
from workers.training.settings import Settings
from workers.training.streams import stream

# Table I of LeCun et al. 1998: for each map of C3, the maps of S2 that it reads.
LENET5 = ["012", "123", "234", "345", "045", "015", "0123", "1234", "2345", "0345", "0145", "0125"]
LENET5 += ["0134", "1245", "0235", "012345"]


def test_the_connections_are_those_of_lenet5() -> None:
    table = connection_table(6, 16)
    assert ["".join(str(i) for i in row.nonzero().flatten().tolist()) for row in table] == LENET5


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 2), (2, 5), (12, 32), (96, 256)])
def test_other_sizes_leave_no_map_unread(inputs: int, outputs: int) -> None:
    table = connection_table(inputs, outputs)
    assert (table.sum(dim=0) > 0).all()
    assert (table.sum(dim=1) > 0).all()


def test_a_partial_convolution_does_not_see_the_other_maps() -> None:
    conv = PartialConv2d(6, 16, 3)
    initialize(conv, "he", stream(0, "initialization"))
    x = torch.rand(1, 6, 4, 4, generator=torch.Generator().manual_seed(0))
    changed = x.clone()
    changed[:, 5] += 1
    same = (conv(x) == conv(changed)).all(dim=-1).all(dim=-1)[0]
    assert same.tolist() == ["5" not in row for row in LENET5]


def test_lenet5_has_its_sixty_thousand_parameters(settings: Callable[..., Settings]) -> None:
    """On 32×32 images; our convolutions keep the size, so C5 reads 8×8 maps where the paper's reads 5×5."""
    lenet5 = settings("lenet", width=16, kernel_size=5, pool="avg_trainable", c3_table=True, norm="none")
    counts = [sum(p.numel() for p in m.parameters()) for m in network(lenet5, (1, 32, 32), 10).children()]
    c1, c3 = 6 * (25 + 1), 16 * (6 * 25 + 1)
    assert counts == [c1 + 12, c3 + 32, 0, 0, 120 * (16 * 64 + 1), 84 * (120 + 1), 10 * (84 + 1)]


@pytest.mark.parametrize("pool", ["avg", "avg_trainable", "max"])
@pytest.mark.parametrize("width", [2, 17, 64])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 13), (1, 4, 4)])
def test_all_forms_answer_logits(
    pool: str, width: int, shape: tuple[int, ...], settings: Callable[..., Settings]
) -> None:
    model = network(settings("lenet", pool=pool, width=width, c3_table=width == 17), shape, 10)
    initialize(model, "he", stream(0, "initialization"))
    attach_noise(model, stream(0, "dropout"))
    assert model(torch.rand(5, *shape)).shape == (5, 10)


def test_a_trainable_pool_starts_as_the_mean_of_its_window() -> None:
    x = torch.rand(2, 3, 4, 4)
    torch.testing.assert_close(TrainablePool(3)(x), nn.AvgPool2d(2)(x))


def test_too_small_an_image_is_infeasible(settings: Callable[..., Settings]) -> None:
    with pytest.raises(Failure, match="3×8") as caught:
        network(settings("lenet"), (1, 3, 8), 10)
    assert caught.value.failure is FailureClass.INFEASIBLE
