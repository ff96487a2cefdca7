"""From the settings to one of torch's optimizers, and what surrounds its steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from workers.training.decay import attach_decay, decaying
from workers.training.recipe import OFF

LBFGS_STEPS = 10  # per epoch; each looks at all examples once or a few times


def make_optimizer(model: nn.Module, settings: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Its weights decay as the settings say (`workers.training.decay`). The learning rate is set step by step.

    adam: D. Kingma and J. Ba 2015; adamw: I. Loshchilov and F. Hutter 2019; adagrad: J. Duchi et al. 2011;
    adadelta: M. Zeiler 2012; rmsprop: T. Tieleman and G. Hinton 2012; lbfgs: D. Liu and J. Nocedal 1989, with a line
    search that fulfils the strong Wolfe conditions.
    """
    settings = {**OFF, **settings}
    decays, others = decaying(model, settings)
    optimizer = _optimizer(decays, others, settings)
    attach_decay(optimizer, decays, settings)
    return optimizer


def _optimizer(
    decays: list[nn.Parameter], others: list[nn.Parameter], settings: Mapping[str, Any]
) -> torch.optim.Optimizer:
    name = settings["optimizer"]
    inside = settings["decay"] == ("decoupled" if name == "adamw" else "l2")  # what the optimizer does by itself
    groups = [
        {"params": decays, "weight_decay": settings["weight_decay"] if inside else 0.0},
        {"params": others, "weight_decay": 0.0},
    ]
    momentum, betas, rho = settings["momentum"], (settings["beta1"], settings["beta2"]), settings["rho"]
    eps = settings["eps"]
    match name:
        case "sgd":
            nesterov = settings["nesterov"] and momentum > 0
            return torch.optim.SGD(groups, momentum=momentum, nesterov=nesterov, fused=True)
        case "adam":
            return torch.optim.Adam(groups, betas=betas, eps=eps, fused=True)
        case "adamw":
            return torch.optim.AdamW(groups, betas=betas, eps=eps, fused=True)
        case "adamax":
            return torch.optim.Adamax(groups, betas=betas, eps=eps)
        case "rmsprop":
            return torch.optim.RMSprop(groups, alpha=rho, momentum=momentum, eps=eps)
        case "adagrad":
            return torch.optim.Adagrad(groups, eps=eps)
        case "adadelta":
            return torch.optim.Adadelta(groups, rho=rho)
        case "lbfgs":
            return torch.optim.LBFGS(
                decays + others,
                max_iter=LBFGS_STEPS,
                max_eval=2 * LBFGS_STEPS,
                history_size=settings["lbfgs_history"],
                line_search_fn="strong_wolfe",
            )
        case unknown:
            raise AssertionError(f"no optimizer {unknown!r}")


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr


def set_momentum(optimizer: torch.optim.Optimizer, settings: Mapping[str, Any], progress: float) -> None:
    """With `momentum_ramp` it rises evenly over the first half of the training (I. Sutskever et al., On the importance
    of initialization and momentum in deep learning, 2013)."""
    if settings["momentum_ramp"]:
        last = settings["momentum"]
        first = min(0.5, last)
        for group in optimizer.param_groups:
            group["momentum"] = first + (last - first) * min(1.0, 2 * progress)


def begin_momentum(optimizer: torch.optim.Optimizer) -> None:
    """Where a training goes on with momentum and had none before, it starts from rest."""
    for group in optimizer.param_groups:
        for parameter in group["params"] if group.get("momentum", 0) > 0 else ():
            state = optimizer.state[parameter]
            if state.get("momentum_buffer") is None:
                state["momentum_buffer"] = torch.zeros_like(parameter)


def clip_gradients(
    parameters: Iterable[nn.Parameter], settings: Mapping[str, Any], rng: torch.Generator | None = None
) -> None:
    """norm: R. Pascanu, T. Mikolov and Y. Bengio, On the difficulty of training recurrent neural networks, 2013.

    random_step: a gradient beyond `clip_norm`, or one that is not finite, says little of where to go: any direction is
    as good (I. Goodfellow, Y. Bengio and A. Courville, Deep learning, section 10.11.1). `rng`, on the CPU, is for it.
    """
    match settings.get("clip", "none"):
        case "norm":
            nn.utils.clip_grad_norm_(parameters, settings["clip_norm"])
        case "value":
            nn.utils.clip_grad_value_(parameters, settings["clip_value"])
        case "random_step":
            assert rng is not None, "random steps are drawn from a stream"
            random_step([p.grad for p in parameters if p.grad is not None], settings["clip_norm"], rng)


def random_step(gradients: list[Tensor], most: float, rng: torch.Generator) -> None:
    length = nn.utils.get_total_norm(gradients)
    if torch.isfinite(length) and length <= most:
        return
    draws = [torch.randn(gradient.shape, generator=rng) for gradient in gradients]
    scale = most / float(nn.utils.get_total_norm(draws))
    for gradient, draw in zip(gradients, draws, strict=True):
        gradient.copy_(draw * scale)
