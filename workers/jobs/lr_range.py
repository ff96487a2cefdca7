"""The learning-rate range test: one training whose learning rate rises exponentially from step to step, until the loss
does (L. Smith, Cyclical learning rates for training neural networks, 2017)."""

from __future__ import annotations

import math
import time
from dataclasses import replace

from workers.families.blocks import attach_noise, infeasible
from workers.protocol import Assignment, Job, Result
from workers.training.devices import prepare_device
from workers.training.learner import Epoch
from workers.training.loop import begun, epoch_of
from workers.training.optimizers import set_lr
from workers.training.plan import Plan

LOW, HIGH, STEPS = 1e-6, 10.0, 120
SMOOTHING = 0.9  # of the exponential mean of the losses
LAG = round(SMOOTHING / (1 - SMOOTHING))  # steps: the mean age of what the smoothed loss is made of
DIVERGED = 1.0  # times its size above the least smoothed loss: there the rate is too large
BELOW, ABOVE = 100.0, 3.0  # the range is from the divergence over BELOW to the divergence over ABOVE


def work(plan: Plan, assignment: Assignment, job: Job) -> Result:
    """details: {lrs, losses: smoothed, diverged: the rate at which the loss rose, LAG steps before the smoothed one
    told, or null, low, high: the proposal, seconds}."""
    if plan.settings["optimizer"] == "lbfgs":
        raise infeasible("lbfgs finds the length of its steps itself: there is no learning rate to look for")
    started = time.monotonic()
    plan = replace(plan, settings={**plan.settings, "warmup": 0.0, "schedule": "constant", "averaging": "none"})
    device = prepare_device(assignment.resources, plan.options)
    learner, data = begun(plan, assignment.seed, device)
    optimizers = learner.optimizers()
    learner.train()

    lrs, losses = list[float](), list[float]()
    mean, diverged, number = 0.0, None, 0
    while len(lrs) < STEPS and diverged is None:
        epoch: Epoch = epoch_of(plan, data.train, optimizers, assignment.seed, number, device)
        attach_noise(learner, epoch.stream("dropout", device))
        draws = epoch.stream("loss")
        for _, batch in epoch.batches():
            step = len(lrs)
            lr = _rate(step)
            set_lr(optimizers[0], lr)
            loss = learner.loss(batch, draws)
            optimizers[0].zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizers[0].step()
            mean = SMOOTHING * mean + (1 - SMOOTHING) * float(loss.detach())
            smoothed = mean / (1 - SMOOTHING ** (step + 1))
            if not math.isfinite(smoothed) or (losses and smoothed > _too_much(losses)):
                diverged = _rate(max(0, step - LAG))
                break
            lrs.append(lr)
            losses.append(smoothed)
            if len(lrs) == STEPS:
                break
        number += 1
    end = diverged if diverged is not None else HIGH
    proposal = {"low": _rounded(end / BELOW), "high": _rounded(end / ABOVE)}
    seconds = time.monotonic() - started
    return Result({}, details={"lrs": lrs, "losses": losses, "diverged": diverged, **proposal, "seconds": seconds})


def _rate(step: int) -> float:
    return float(LOW * (HIGH / LOW) ** (step / (STEPS - 1)))


def _too_much(losses: list[float]) -> float:
    """The loss at which the rate is too large. Losses may be negative: what counts is how far they had come down."""
    least = min(losses)
    return least + DIVERGED * max(abs(least), losses[0] - least) + 1e-12


def _rounded(lr: float) -> float:
    """To one digit: 0.0034 is 0.003."""
    return float(f"{lr:.0e}")
