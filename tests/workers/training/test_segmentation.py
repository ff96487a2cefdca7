from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from workers.data.loading import Examples
from workers.rows import Facts
from workers.training.augmentation import UNSEEN
from workers.training.segmentation import Segmenter, dice_loss, mean_iou

CLASSES = 3


def targets() -> torch.Tensor:
    return torch.randint(CLASSES, (4, 5, 6), generator=torch.Generator().manual_seed(0))


def segmenter(**settings: object) -> Segmenter:
    """Answers its input."""
    facts = Facts(task="segmentation", inputs="image", shape=(CLASSES, 5, 6), outputs=CLASSES)
    return Segmenter(nn.Identity(), {"loss": "ce", **settings}, facts)


def logits() -> torch.Tensor:
    return torch.randn(4, CLASSES, 5, 6, generator=torch.Generator().manual_seed(1))


def test_the_losses_are_those_of_their_formulas() -> None:
    batch, rng = Examples(logits(), targets()), torch.Generator()
    probabilities = logits().softmax(dim=1)
    entropy, overlap = 0.0, []
    for i in range(4):
        for row in range(5):
            for column in range(6):
                right = targets()[i, row, column]
                entropy -= math.log(float(probabilities[i, right, row, column])) / 120
    for label in range(CLASSES):
        p, y = probabilities[:, label], (targets() == label).float()
        overlap.append(float(2 * (p * y).sum() / (p.sum() + y.sum())))
    dice = 1 - sum(overlap) / CLASSES
    assert float(segmenter().loss(batch, rng)) == pytest.approx(entropy, rel=1e-5)
    assert float(segmenter(loss="dice").loss(batch, rng)) == pytest.approx(dice, rel=1e-5)
    both = segmenter(loss="ce_dice", dice_weight=0.3).loss(batch, rng)
    assert float(both) == pytest.approx(0.7 * entropy + 0.3 * dice, rel=1e-5)


@pytest.mark.parametrize("loss", ["ce", "dice", "ce_dice"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_pixels_without_a_class_count_for_nothing(loss: str, smoothing: float) -> None:
    """Those of two columns are taken away, or have no class and any logits."""
    given = {"loss": loss, "dice_weight": 0.3, "label_smoothing": smoothing}
    masked, strange = targets(), logits()
    masked[:, :, 4:] = UNSEEN
    strange[:, :, :, 4:] = 100
    smaller = Examples(logits()[..., :4].contiguous(), targets()[..., :4].contiguous())
    found = segmenter(**given).loss(Examples(strange, masked), torch.Generator())
    assert float(found) == pytest.approx(float(segmenter(**given).loss(smaller, torch.Generator())), rel=1e-5)
    given_logits = logits().requires_grad_()
    nothing = segmenter(**given).loss(Examples(given_logits, torch.full_like(masked, UNSEEN)), torch.Generator())
    assert float(nothing.detach()) == 0
    (slope,) = torch.autograd.grad(nothing, given_logits)
    assert (slope == 0).all()


def test_the_right_answer_has_no_dice_loss() -> None:
    right = 50 * nn.functional.one_hot(targets(), CLASSES).permute(0, 3, 1, 2).float()
    assert float(dice_loss(right, targets())) == pytest.approx(0, abs=1e-6)


def test_scores_are_of_all_pixels_together() -> None:
    """More examples than one evaluation batch has, so that they are summed up."""
    many = Examples(logits().repeat(300, 1, 1, 1), targets().repeat(300, 1, 1))
    learner = segmenter()
    learner.eval()
    scores = learner.evaluate(many, torch.Generator())
    answers, right = logits().argmax(dim=1), targets()
    shares = [
        float(((answers == label) & (right == label)).sum() / ((answers == label) | (right == label)).sum())
        for label in range(CLASSES)
    ]
    assert scores["iou"] == pytest.approx(sum(shares) / CLASSES)
    assert scores["loss"] == pytest.approx(float(nn.functional.cross_entropy(logits(), right)), rel=1e-5)


def test_a_class_that_neither_occurs_nor_is_answered_does_not_count() -> None:
    assert mean_iou(torch.tensor([[3, 1, 0], [0, 2, 0], [0, 0, 0]])) == pytest.approx((3 / 4 + 2 / 3) / 2)
