"""The minimum of a penalized convex loss, by L-BFGS-B (R. Byrd, P. Lu, J. Nocedal and C. Zhu 1995, as SciPy has it).

|w| has a corner at 0, where L-BFGS does not see its way. So weights with an l1 penalty are written as the difference of
two numbers that are not negative, w = u - v, which cost l1 (u + v): smooth, and exactly 0 where both end at 0.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from torch import Tensor, nn

Vector = npt.NDArray[np.float64]

STEPS = 500
TOLERANCE = 1e-5  # of the gradient's largest component


def minimum(affine: nn.Linear, loss: Callable[[Tensor, Tensor], Tensor], l1: float, l2: float) -> float:
    """Leaves in `affine` the weights [outputs, inputs] and biases [outputs] that minimize
    loss(weight, bias) + l1 |weight|_1 + l2/2 |weight|², and returns that minimum. `loss` computes in float64."""
    weight, bias = affine.weight.detach().double().cpu(), affine.bias.detach().double().cpu()
    parts = (1, -1) if l1 > 0 else (1,)  # u and v, or w itself
    size = weight.numel()

    def opened(point: Vector) -> tuple[Tensor, Tensor]:
        numbers = torch.from_numpy(point).to(affine.weight.device)
        blocks = numbers[: len(parts) * size].view(len(parts), *weight.shape)
        signs = torch.tensor(parts, dtype=torch.float64, device=blocks.device)
        return (signs[:, None, None] * blocks).sum(dim=0), numbers[len(parts) * size :]

    def value(point: Vector) -> tuple[float, Vector]:
        """The objective and its gradient, in terms of u, v and the biases."""
        w, b = (each.requires_grad_() for each in opened(point))
        objective = loss(w, b) + l2 / 2 * w.square().sum()
        slope, bias_slope = torch.autograd.grad(objective, (w, b))
        slopes = [(sign * slope + l1).flatten() for sign in parts]
        cost = float(objective.detach()) + l1 * float(point[: len(parts) * size].sum())
        return cost, torch.cat([*slopes, bias_slope]).cpu().numpy()

    start = [(sign * weight).clamp(min=0).flatten() for sign in parts] if l1 > 0 else [weight.flatten()]
    bounds = [(0, None)] * (2 * size) + [(None, None)] * len(bias) if l1 > 0 else None
    found = minimize(
        value,
        torch.cat([*start, bias]).numpy(),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": STEPS, "maxfun": 2 * STEPS, "ftol": 1e-10, "gtol": TOLERANCE},
    )
    with torch.no_grad():
        w, b = opened(found.x)
        affine.weight.copy_(w)
        affine.bias.copy_(b)
    return float(found.fun)
