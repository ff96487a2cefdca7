"""What the two players play for, from the discriminator's logits of examples and of samples.

minimax          D: -log D(x) - log(1 - D(G(z)));  G: log(1 - D(G(z)))      I. Goodfellow et al. 2014
non_saturating   D: the same;  G: -log D(G(z))                              the same paper, section 3
wgan_clip        D: D(G(z)) - D(x), weights within ± a limit;  G: -D(G(z))  M. Arjovsky et al. 2017
wgan_gp          D: the same + penalty · (|slope of D| - 1)²;  G: the same  I. Gulrajani et al. 2017

With smoothing s, the discriminator's target for an example is 1 - s (T. Salimans et al. 2016, one-sided).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.nn.functional import logsigmoid


def discriminator_loss(kind: str, real: Tensor, fake: Tensor, smoothing: float) -> Tensor:
    """Of logits [n] of examples and [m] of samples; without the gradient penalty."""
    if kind in ("wgan_clip", "wgan_gp"):
        return fake.mean() - real.mean()
    return cross_entropy(real, torch.full_like(real, 1 - smoothing)) + cross_entropy(fake, torch.zeros_like(fake))


def generator_loss(kind: str, fake: Tensor) -> Tensor:
    match kind:
        case "minimax":
            return logsigmoid(-fake).mean()
        case "non_saturating":
            return -logsigmoid(fake).mean()
        case _:
            return -fake.mean()


def slope_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor:
    """(|gradient of the critic| - 1)², mean over points drawn between examples and samples [n, *shape]. `rng` is on
    the CPU."""
    u = torch.rand((len(real), *(1,) * (real.ndim - 1)), generator=rng, dtype=real.dtype).to(real.device)
    between = torch.lerp(fake.to(real.dtype), real, u).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (slope.flatten(1).square().sum(dim=1).add(1e-12).sqrt() - 1).square().mean()
