"""How most families spend an epoch: descent on one loss, batch by batch, as the recipe says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from workers.families.blocks import attach_noise
from workers.protocol import Failure, FailureClass
from workers.training.adversarial import robust_loss
from workers.training.augmentation import augmented
from workers.training.averaging import find_batch_statistics
from workers.training.decay import decaying, penalty
from workers.training.health import Pulse, first_unsound
from workers.training.optimizers import clip_gradients, set_lr, set_momentum
from workers.training.weight_noise import disturbed

if TYPE_CHECKING:
    from workers.data.loading import Examples
    from workers.training.learner import Epoch, Learner

LOOK_EVERY = 32  # steps between looks at the loss on a GPU, which each look makes wait


def descend(learner: Learner, epoch: Epoch) -> float:
    """One pass over the epoch's examples: the mean training loss. Raises Failure DIVERGED at the first loss that is not
    finite (on a GPU: within LOOK_EVERY steps), with the step and the layer."""
    settings, optimizer = epoch.settings, epoch.optimizers[0]
    if isinstance(optimizer, torch.optim.LBFGS):
        return descend_on_all(learner, epoch, optimizer)
    attach_noise(learner, epoch.stream("dropout", epoch.device), settings["dropout_kind"])
    changes, draws, directions = epoch.stream("augmentation"), epoch.stream("loss"), epoch.stream("adversarial")
    disturbance, turns = epoch.stream("weight_noise"), epoch.stream("clip")
    losses, sizes = torch.empty(epoch.steps, device=epoch.device), list[int]()
    learner.train()
    lr = 0.0
    for step, (done, batch) in enumerate(epoch.batches()):
        lr = epoch.lr(done)
        set_lr(optimizer, lr)
        set_momentum(optimizer, settings, epoch.progress(done))
        if learner.committee is not None:
            learner.committee.catch_up(settings, epoch.progress(done))
        batch = augmented(batch, settings, changes)
        with disturbed(learner, settings["weight_noise"], disturbance):
            with epoch.autocast():
                loss = robust_loss(learner, batch, settings, draws, directions)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
        pulse = Pulse.before(learner) if step == epoch.steps // 2 else None
        clip_gradients(learner.parameters(), settings, turns)
        optimizer.step()
        if pulse:
            epoch.notes.update(pulse.after(learner))
        losses[step] = loss.detach()
        sizes.append(len(batch))
        epoch.hear(losses[step])
        if step == epoch.steps - 1 or epoch.device.type == "cpu" or step % LOOK_EVERY == LOOK_EVERY - 1:
            _require_finite(learner, batch, losses[: step + 1], epoch, lr)
    epoch.notes["lr"] = lr
    weights = torch.tensor(sizes, device=epoch.device, dtype=torch.float64)
    return float((losses.double() * weights).sum() / weights.sum())


def descend_on_all(learner: Learner, epoch: Epoch, optimizer: torch.optim.LBFGS) -> float:
    """Some steps of L-BFGS, each on all examples at once: the loss and its penalty before the first of them. The loss
    must be the same function at every look, so nothing is drawn anew; precision is full."""
    settings, batch = epoch.settings, epoch.examples.to(epoch.device)
    weights, _ = decaying(learner, settings)
    lr = epoch.lr(1)  # at its end: a step of the length 0 would be none
    set_lr(optimizer, lr)
    learner.train()
    looks = list[float]()

    def look() -> Tensor:
        attach_noise(learner, epoch.stream("dropout", epoch.device))
        loss = robust_loss(learner, batch, settings, epoch.stream("loss"), epoch.stream("adversarial"))
        loss = loss + penalty(weights, settings)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        looks.append(float(loss.detach()))
        return loss

    pulse = Pulse.before(learner)
    optimizer.step(look)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        find_batch_statistics(learner, batch)  # what the looks of the line search left behind is of no use
    gradients = [p.grad for p in learner.parameters() if p.grad is not None]
    epoch.notes.update(pulse.after(learner))
    epoch.notes["grad_norm"] = float(torch.nn.utils.get_total_norm(gradients))
    epoch.notes["lr"] = lr
    _require_finite(learner, batch, torch.tensor([looks[0], looks[-1]]), epoch, lr)
    return looks[0]


def _require_finite(learner: Learner, batch: Examples, losses: Tensor, epoch: Epoch, lr: float) -> None:
    sound = torch.isfinite(losses)
    if sound.all():
        return
    step = int((~sound).nonzero()[0])
    where = f"at step {step + 1} of {epoch.steps} in epoch {epoch.number + 1}"
    raise Failure(
        FailureClass.DIVERGED,
        f"the training loss is {float(losses[step])} {where} (lr {lr:.3g}); {first_unsound(learner, batch)}",
    )
