"""How a training feels: gradient, step and units once per epoch, and the place where a divergence began."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, register_flop_formula

from workers.families.blocks import ACTIVATION_TYPES
from workers.training.timing import median_seconds

if TYPE_CHECKING:
    from workers.data.loading import Examples
    from workers.training.learner import Learner

WATCHED = 256  # validation examples that tell whether a unit is dead
WARM_UP, PASSES = 5, 30  # answers whose time is not taken, and those whose time is


@dataclass(frozen=True, slots=True)
class Pulse:
    """What one step does to the weights: made before it, read after it."""

    weights: tuple[Tensor, ...]
    gradient: float

    @classmethod
    def before(cls, model: nn.Module) -> Pulse:
        weights = tuple(p.detach().clone() for p in model.parameters())
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        return cls(weights, _norm(gradients))

    def after(self, model: nn.Module) -> Mapping[str, float]:
        """`grad_norm`, and `update_ratio`: the norm of the step over that of the weights."""
        moved = [new.detach() - old for new, old in zip(model.parameters(), self.weights, strict=True)]
        size = _norm(self.weights)
        return {"grad_norm": self.gradient, "update_ratio": _norm(moved) / size if size else 0.0}


@torch.no_grad()
def dead_units(learner: Learner, examples: Examples) -> float:
    """The share of the hidden units whose activation is the same for all examples; 0 without activations.

    A unit is one position of an activation's output, a channel where the output has positions in space.
    """
    dead, units = 0, 0

    def look(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal dead, units
        over = [0, *range(2, output.ndim)] if output.ndim == 4 else [0]
        spread = output.amax(dim=over) - output.amin(dim=over)
        dead, units = dead + int((spread == 0).sum()), units + spread.numel()

    hooks = [module.register_forward_hook(look) for module in learner.modules() if isinstance(module, ACTIVATION_TYPES)]
    try:
        learner.eval()
        if hooks:
            learner(_here(learner, examples[:WATCHED]).inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return dead / units if units else 0.0


@torch.no_grad()
def multiply_adds(learner: Learner, examples: Examples) -> int:
    """How many multiplications with an addition the learner's matrix products and convolutions take for one example."""
    learner.eval()
    with FlopCounterMode(display=False) as counter:
        learner(_here(learner, examples[:1]).inputs)
    return int(counter.get_total_flops()) // 2


@torch.no_grad()
def latency_ms(learner: Learner, examples: Examples) -> float:
    """How long the learner takes to answer for one example by itself, in milliseconds: the median of some answers, with
    the threads that the training has. A number of this machine, at this moment.

    Measured rather than counted, since networks with as many multiplications may differ much in time (M. Tan et al.,
    MnasNet: Platform-aware neural architecture search for mobile, 2019).
    """
    learner.eval()
    one = _here(learner, examples[:1]).inputs
    return 1e3 * median_seconds(lambda: learner(one), one.device, PASSES, WARM_UP)


@torch.no_grad()
def first_unsound(learner: Learner, batch: Examples) -> str:
    """In words: the first layer with weights that are not finite, or else the first that makes such values of this
    batch."""
    for name, parameter in learner.named_parameters():
        if not torch.isfinite(parameter).all():
            return f"the first weights that are not finite are {name}"
    found: list[str] = []
    names = {module: name for name, module in learner.named_modules()}

    def look(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if not found and isinstance(output, Tensor) and not torch.isfinite(output).all():
            found.append(f"{names[module]} ({type(module).__name__})")

    hooks = [module.register_forward_hook(look) for module in learner.modules() if not list(module.children())]
    try:
        learner(batch.inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return f"the first values that are not finite leave {found[0]}" if found else "every layer's values are finite"


def _here(learner: Learner, examples: Examples) -> Examples:
    """On the learner's device: what does not fit there stays elsewhere."""
    tensor = next(iter([*learner.parameters(), *learner.buffers()]), None)
    return examples if tensor is None else examples.to(tensor.device)


def _norm(tensors: list[Tensor] | tuple[Tensor, ...]) -> float:
    if not tensors:
        return 0.0
    return float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(list(tensors)))))


def _of_recurrence(inputs: Any, *weights: Any, **_: Any) -> int:
    """What torch's counter does not know: two operations per weight of the matrices, for each step of each example.

    `inputs` is the shape [steps, batch, features]; `weights` begin with those of the weights, or with their list.
    """
    steps, batch, _features = inputs
    matrices = weights[0] if isinstance(weights[0][0], list | tuple) else weights[:2]
    return int(2 * steps * batch * sum(shape[0] * shape[1] for shape in matrices if len(shape) == 2))


register_flop_formula([torch.ops.aten.mkldnn_rnn_layer, torch.ops.aten._cudnn_rnn])(_of_recurrence)
