"""A loss that also looks at inputs nearby. Sizes are in units of standardized inputs.

fgsm             L(x) + c L(x + e sign(∇L))            I. Goodfellow, J. Shlens and C. Szegedy, Explaining and
                                                       harnessing adversarial examples, 2015
vat              L(x) + c D(f(x), f(x + r))            r of length e √inputs in the direction that changes the answer f
                                                       most: T. Miyato et al., Virtual adversarial training, 2018; D is
                                                       the divergence of the classes' probabilities, or the mean square
double_backprop  L(x) + c |∇L(x)|², per example        H. Drucker and Y. LeCun, Improving generalization performance
                                                       using double backpropagation, 1992
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from workers.training.settings import Settings

if TYPE_CHECKING:
    from workers.data.loading import Examples
    from workers.training.learner import Learner

PROBE = 1e-2  # length of the probe that finds the direction of vat, as a part of the change itself


def robust_loss(
    learner: Learner, batch: Examples, settings: Settings, draws: torch.Generator, rng: torch.Generator
) -> Tensor:
    """The learner's loss of the batch, and what the settings add. `rng`, on the CPU, is for the direction of vat."""
    kind = settings["adversarial"]
    if kind == "none":
        return learner.loss(batch, draws)
    weight: float = settings["adversarial_weight"]
    if kind == "vat":
        return learner.loss(batch, draws) + weight * sensitivity(
            learner, batch.inputs, settings["adversarial_eps"], rng
        )
    batch = replace(batch, inputs=batch.inputs.detach().requires_grad_())
    loss = learner.loss(batch, draws)
    if kind == "fgsm":
        (slope,) = torch.autograd.grad(loss, batch.inputs, retain_graph=True)
        changed = batch.inputs + settings["adversarial_eps"] * learner.input_scale * slope.sign()
        return loss + weight * learner.loss(replace(batch, inputs=changed.detach()), draws)
    (slope,) = torch.autograd.grad(loss, batch.inputs, create_graph=True)
    # the loss is a mean: the slope of an example's own loss is as many times as large as there are examples
    return loss + weight * len(batch) * (slope * learner.input_scale).square().sum()


def sensitivity(learner: Learner, inputs: Tensor, eps: float, rng: torch.Generator) -> Tensor:
    """How far the answers move when the inputs [n, *shape] move by eps in the worst direction (one power iteration)."""
    with torch.no_grad():
        answers = learner.response(inputs)
    most = eps * inputs[0].numel() ** 0.5
    probe = unit_length(torch.randn(inputs.shape, generator=rng).to(inputs.device)).requires_grad_()
    moved = divergence(learner, answers, learner.response(inputs + PROBE * most * learner.input_scale * probe))
    (slope,) = torch.autograd.grad(moved, probe)
    return divergence(learner, answers, learner.response(inputs + most * learner.input_scale * unit_length(slope)))


def unit_length(x: Tensor) -> Tensor:
    """[n, ...], each with norm 1."""
    length = torch.linalg.vector_norm(x.flatten(1), dim=1).clamp(min=1e-12)
    unit: Tensor = x / length.reshape(-1, *[1] * (x.ndim - 1))
    return unit


def divergence(learner: Learner, fixed: Tensor, other: Tensor) -> Tensor:
    if learner.facts.task == "classification":
        logs = nn.functional.log_softmax(fixed.float(), dim=1)
        target = nn.functional.log_softmax(other.float(), dim=1)
        return nn.functional.kl_div(target, logs, log_target=True, reduction="batchmean")
    return nn.functional.mse_loss(other, fixed)
