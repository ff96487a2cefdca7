"""Learners of which class every pixel is.

The losses read logits [n, classes, h, w] and classes [n, h, w]:

    ce        mean cross-entropy per pixel
    dice      1 - 2 Σ p y / (Σ p + Σ y), the sums over all pixels of the batch, the mean over the classes; p is the
              probability of a class and y is 1 where it is right  (after F. Milletari et al., V-Net, 2016)
    ce_dice   both, weighted

Dice counts a small region as much as a large one; its gradient fades where a region is missed altogether, that of the
cross-entropy does not. Pixels that came into view when an image was moved have no class; no loss looks at them.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from workers.data.loading import Examples
from workers.training.augmentation import UNSEEN
from workers.training.strengths import linear
from workers.training.supervised import Supervised


class Segmenter(Supervised):
    """`forward` answers logits [n, classes, h, w]; targets are classes [n, h, w]."""

    def loss(self, batch: Examples, rng: torch.Generator) -> Tensor:
        assert batch.targets is not None
        logits, targets, settings = self.answer(batch.inputs), batch.targets, self.settings
        if settings["loss"] == "dice":
            return dice_loss(logits, targets)
        entropy = linear(lambda s: entropy_loss(logits, targets, s), settings.get("label_smoothing", 0.0))
        if settings["loss"] == "ce":
            return entropy
        return torch.lerp(entropy, dice_loss(logits, targets), settings["dice_weight"])

    def evaluate(self, examples: Examples, rng: torch.Generator) -> Mapping[str, float]:
        classes = self.facts.outputs
        pixels, loss = 0, torch.zeros((), dtype=torch.float64)
        table = torch.zeros(classes, classes, dtype=torch.int64)  # [right class, answered class]
        for logits, targets in self.answers(examples):
            summed = nn.functional.cross_entropy(per_pixel(logits).float(), targets.flatten(), reduction="sum")
            loss += summed.double().cpu()
            pixels += targets.numel()
            pairs = classes * targets.flatten() + logits.argmax(dim=1).flatten()
            table += torch.bincount(pairs, minlength=classes**2).reshape(classes, classes).cpu()
        return {"iou": mean_iou(table), "loss": float(loss / pixels)}


def per_pixel(logits: Tensor) -> Tensor:
    """[n, classes, h, w] -> [n h w, classes]: the cross-entropy of images has no deterministic form on GPUs."""
    return logits.movedim(1, -1).flatten(0, -2)


def entropy_loss(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    summed = nn.functional.cross_entropy(
        per_pixel(logits), targets.flatten(), ignore_index=UNSEEN, reduction="sum", label_smoothing=smoothing
    )
    return summed / (targets != UNSEEN).sum().clamp(min=1)


def dice_loss(logits: Tensor, targets: Tensor) -> Tensor:
    seen = (targets != UNSEEN)[:, None]
    # the sum over many pixels wants more than bfloat16
    probabilities = logits.softmax(dim=1, dtype=torch.promote_types(logits.dtype, torch.float32)) * seen
    right = nn.functional.one_hot(targets.clamp(min=0), logits.shape[1]).permute(0, 3, 1, 2) * seen
    overlap = (probabilities * right).sum(dim=(0, 2, 3))  # [classes]
    total = (probabilities + right).sum(dim=(0, 2, 3))
    # nothing of a class and nothing said of it, as where no pixel is seen, is right
    return ((total - 2 * overlap) / total.clamp(min=torch.finfo(total.dtype).tiny)).mean()


def mean_iou(table: Tensor) -> float:
    """Of counts [right class, answered class]: intersection over union, the mean over the classes that occur."""
    both = table.diagonal().double()
    either = table.sum(dim=0) + table.sum(dim=1) - both
    return float((both / either)[either > 0].mean())
