"""The learning-rate range test: one training whose learning rate rises exponentially from step to step, until the loss
does (L. Smith, Cyclical learning rates for training neural networks, 2017)."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace

from torch import Tensor

from workers.families.blocks import infeasible
from workers.protocol import Assignment, Job, Result
from workers.training.devices import prepare_device
from workers.training.loop import begun, epoch_of
from workers.training.plan import Plan

LOW, HIGH, STEPS = 1e-6, 10.0, 120
SMOOTHING = 0.9  # of the exponential mean of the losses
LAG = round(SMOOTHING / (1 - SMOOTHING))  # steps: the mean age of what the smoothed loss is made of
DIVERGED = 1.0  # times its size above the least smoothed loss: there the rate is too large
BELOW, ABOVE = 100.0, 3.0  # the range is from the divergence over BELOW to the divergence over ABOVE


def work(plan: Plan, assignment: Assignment, job: Job) -> Result:
    """details: {lrs, losses: smoothed, diverged: the rate at which the loss rose, LAG steps before the smoothed one
    told, or null, low, high: the proposal, seconds}. Raises Failure INFEASIBLE where no learning rate has a say."""
    if plan.settings["optimizer"] == "lbfgs":
        raise infeasible("lbfgs finds the length of its steps itself: there is no learning rate to look for")
    started = time.monotonic()
    settings = {**plan.settings, "averaging": "none"}
    plan = replace(plan, settings=settings, horizon=max(plan.horizon, STEPS))  # an epoch has a step at least
    device = prepare_device(assignment.resources, plan.options)
    learner, data = begun(plan, assignment.seed, device)
    optimizers, rising, number = learner.optimizers(), Rising(), 0
    while not rising.over:
        epoch = epoch_of(plan, data.train, optimizers, assignment.seed, number, device)
        with suppress(Over):
            learner.train_epoch(replace(epoch, rate=rising.rate, hear=rising.hear))
            if not rising.lrs:
                raise infeasible("what is solved without steps of descent has no learning rate to look for")
        number += 1
    end = rising.diverged if rising.diverged is not None else HIGH
    proposal = {"low": _rounded(end / BELOW), "high": _rounded(end / ABOVE)}
    found = {"lrs": rising.lrs, "losses": rising.losses, "diverged": rising.diverged}
    return Result({}, details={**found, **proposal, "seconds": time.monotonic() - started})


class Over(Exception):
    """The rate has risen far enough: the epoch need not go on."""


@dataclass
class Rising:
    """The rate from step to step, and what becomes of the loss, smoothed."""

    lrs: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    mean: float = 0.0
    diverged: float | None = None

    @property
    def over(self) -> bool:
        return self.diverged is not None or len(self.lrs) == STEPS

    def rate(self) -> float:
        return _rate(len(self.lrs))

    def hear(self, loss: Tensor) -> None:
        """Of a step at this rate. Raises Over."""
        step = len(self.lrs)
        self.mean = SMOOTHING * self.mean + (1 - SMOOTHING) * float(loss)
        smoothed = self.mean / (1 - SMOOTHING ** (step + 1))
        if not math.isfinite(smoothed) or (self.losses and smoothed > _too_much(self.losses)):
            self.diverged = _rate(max(0, step - LAG))
        else:
            self.lrs.append(_rate(step))
            self.losses.append(smoothed)
        if self.over:
            raise Over


def _rate(step: int) -> float:
    return float(LOW * (HIGH / LOW) ** (step / (STEPS - 1)))


def _too_much(losses: list[float]) -> float:
    """The loss at which the rate is too large. Losses may be negative: what counts is how far they had come down."""
    least = min(losses)
    return least + DIVERGED * max(abs(least), losses[0] - least) + 1e-12


def _rounded(lr: float) -> float:
    """To one digit: 0.0034 is 0.003."""
    return float(f"{lr:.0e}")
