from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from workers.data.loading import Data, Examples
from workers.families.initialization import normalize_weights
from workers.rows import Facts
from workers.training.prior import log_prior
from workers.training.segmentation import Segmenter
from workers.training.supervised import supervised

COUNTS = [50, 5, 20, 1]


def labels() -> torch.Tensor:
    order = torch.randperm(sum(COUNTS), generator=torch.Generator().manual_seed(0))
    return torch.repeat_interleave(torch.arange(4), torch.tensor(COUNTS))[order]


def learner_of(task: str = "classification", outputs: int = 4, **settings: Any) -> Any:
    network = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, outputs))
    facts = Facts(task=task, inputs="table", shape=(3,), outputs=outputs)
    return supervised(network, {"prior_bias": True, **settings}, facts)


@pytest.mark.parametrize("smoothing", [0.0, 0.15])
def test_it_is_the_constant_answer_with_the_least_loss(smoothing: float) -> None:
    """Where nothing is known of the inputs, the biases have no slope."""
    learner = learner_of(label_smoothing=smoothing)
    train = Examples(torch.randn(len(labels()), 3, generator=torch.Generator().manual_seed(1)), labels())
    learner.begin(Data(train, train))
    head = learner.network[-1]
    nn.init.zeros_(head.weight)
    torch.autograd.backward(learner.loss(train, torch.Generator()))
    assert head.bias.grad.abs().max() < 1e-6
    if not smoothing:
        torch.testing.assert_close(head.bias.softmax(dim=0), torch.tensor(COUNTS) / sum(COUNTS))
    assert float(head.bias.detach().mean()) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("targets", "settings"),
    [
        (torch.arange(12) % 4, {}),
        (labels(), {"balanced": True}),
    ],
    ids=["equal classes", "classes that are drawn equally"],
)
def test_where_classes_occur_equally_often_there_is_nothing_to_begin_with(
    targets: torch.Tensor, settings: dict[str, Any]
) -> None:
    assert (log_prior(targets, 4, settings) == 0).all()


def test_a_class_without_examples_is_improbable_and_not_impossible() -> None:
    prior = log_prior(torch.tensor([0] * 8 + [1] * 2), 3, {}).exp()
    torch.testing.assert_close(prior / prior.sum(), torch.tensor([8, 2, 1]).double() / 11)


@pytest.mark.parametrize("change", [lambda network: None, normalize_weights], ids=["plain", "weight norm"])
def test_off_and_numbers_leave_the_biases(change: Any) -> None:
    x = torch.randn(len(labels()), 3, generator=torch.Generator().manual_seed(1))
    for learner, targets in (
        (learner_of(prior_bias=False), labels()),
        (learner_of("regression", outputs=1), x[:, :1] * 5 + 20),
    ):
        change(learner.network)
        before = learner.network[-1].bias.clone()
        learner.begin(Data(Examples(x, targets), Examples(x, targets)))
        assert torch.equal(learner.network[-1].bias, before)
    learner = learner_of()
    change(learner.network)
    learner.begin(Data(Examples(x, labels()), Examples(x, labels())))
    assert learner.network[-1].bias.softmax(dim=0)[0] > 0.6


def test_of_pixels() -> None:
    facts = Facts(task="segmentation", inputs="image", shape=(1, 4, 4), outputs=2)
    learner = Segmenter(nn.Sequential(nn.Conv2d(1, 2, 1)), {"prior_bias": True, "loss": "ce", "balanced": True}, facts)
    masks = torch.zeros(3, 4, 4, dtype=torch.int64)
    masks[:, 0, 0] = 1
    images = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    learner.begin(Data(Examples(images, masks), Examples(images, masks)))
    head = learner.network[0]
    assert isinstance(head, nn.Conv2d)
    assert head.bias is not None
    torch.testing.assert_close(head.bias.softmax(dim=0), torch.tensor([15 / 16, 1 / 16]))
