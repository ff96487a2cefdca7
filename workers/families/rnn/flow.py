"""A penalty that keeps gradients from growing or shrinking on their way back through time.

    sum over t of (|dE/dh[t+1] dh[t+1]/dh[t]| / |dE/dh[t+1]| - 1)^2, mean over the examples

E is the loss. States and their gradients count as constants, so only the weights between states feel the penalty
(R. Pascanu, T. Mikolov and Y. Bengio, On the difficulty of training recurrent neural networks, 2013).
"""

from __future__ import annotations

import torch
from torch import Tensor

from workers.data.loading import Examples
from workers.families.rnn.recurrence import Recurrence, Trace
from workers.training.supervised import Classifier, Forecaster, Supervised

SMALLEST = 1e-12  # gradients below it count as none


class FlowClassifier(Classifier):
    def loss(self, batch: Examples, rng: torch.Generator) -> Tensor:
        return regularized(self, super().loss(batch, rng))


class FlowForecaster(Forecaster):
    def loss(self, batch: Examples, rng: torch.Generator) -> Tensor:
        return regularized(self, super().loss(batch, rng))


def regularized(learner: Supervised, loss: Tensor) -> Tensor:
    """The loss of the pass that the recurrences of the learner's network just made, with their penalties."""
    total = loss
    for module in learner.network.modules():
        if isinstance(module, Recurrence) and module.trace is not None and loss.requires_grad:
            total = total + learner.settings["flow_regularizer"] * penalty(module.trace, loss)
            module.trace = None
    return total


def penalty(trace: Trace, loss: Tensor) -> Tensor:
    if len(trace.states) < 2:
        return loss.new_zeros(())
    gradients = torch.autograd.grad(loss, trace.states, retain_graph=True, materialize_grads=True)
    after = torch.stack(gradients[1:])  # [steps - 1, batch, width]: dE/dh[t+1]
    through = after * (1 - torch.stack(trace.states[1:]).detach().square())  # before the tanh
    before = torch.stack(trace.states[:-1]).detach().requires_grad_()
    (back,) = torch.autograd.grad(trace.read(before), before, through, create_graph=True)
    size = torch.linalg.vector_norm(after, dim=2)
    flows = size > SMALLEST
    ratio = torch.linalg.vector_norm(back, dim=2)[flows] / size[flows]
    total: Tensor = (ratio - 1).square().sum() / after.shape[1]
    return total
