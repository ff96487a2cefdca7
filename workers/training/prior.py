"""The first answer of a classifier leans to the classes that occur often.

So the first steps need not learn that (I. Goodfellow, Y. Bengio and A. Courville, Deep learning, section 8.4).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from workers.families.initialization import AFFINE
from workers.training.settings import Settings


@torch.no_grad()
def begin_with_the_prior(network: nn.Module, targets: Tensor, classes: int, settings: Settings) -> None:
    """Sets the biases of the last affine layer, whose outputs are the logits, to those of the constant answer with the
    least loss on targets of any shape; classes that occur equally often leave it at 0."""
    head = [module for module in network.modules() if isinstance(module, AFFINE)][-1]
    if isinstance(head.bias, Tensor):
        head.bias.copy_(log_prior(targets, classes, settings))


def log_prior(targets: Tensor, classes: int, settings: Settings) -> Tensor:
    """[classes], with mean 0: a softmax looks at differences. A class that does not occur counts as one example."""
    counts = torch.zeros(classes, dtype=torch.float64, device=targets.device)
    if not (settings.get("balanced") and targets.ndim == 1):  # else all are drawn equally often
        counts.index_add_(0, targets.flatten(), torch.ones_like(targets.flatten(), dtype=counts.dtype))
    counts = counts.clamp(min=1)
    smoothing = settings.get("label_smoothing", 0.0)
    logs = torch.log((1 - smoothing) * counts / counts.sum() + smoothing / classes)
    return logs - logs.mean()
