"""Which weights are the result of a training: those of the last epoch or of the best one, as they are or their mean.

A checkpoint holds the result as its model, and as `live` the weights that the training goes on with, where these are
others; and with them what the mean, the early end and the schedule must remember.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor

from workers.checkpoints import Checkpoint
from workers.data.loading import Examples
from workers.training.averaging import Averaging
from workers.training.course import Course
from workers.training.learner import Learner, Optimizers
from workers.training.optimizer_state import memories, remember
from workers.training.optimizers import begin_momentum
from workers.training.plan import Plan


class Keeping:
    """Of one training. `metrics` are those of the result so far."""

    def __init__(self, plan: Plan, learner: Learner, optimizers: Optimizers) -> None:
        settings = plan.settings
        if plan.part.whole:  # the validation examples are trained on: their scores end nothing
            settings = {**settings, "early_stopping": False}
        self.plan, self.learner, self.optimizers = plan, learner, optimizers
        self.averaging = Averaging(learner, optimizers, settings)
        self.score = f"val_{plan.task.scores[0].name}"
        self.course = Course(settings, plan.horizon, plan.task.scores[0].direction)
        self.stopping = settings["early_stopping"]
        self.apart = self.stopping or settings["averaging"] in ("ema", "swa")
        self.epoch, self.metrics = 0, dict[str, float]()
        self.result: Mapping[str, Tensor] = {}

    @contextmanager
    def judging(self, train: Examples) -> Iterator[None]:
        """After each epoch. Within, the learner has the weights that answer; `keep` belongs in here."""
        self.epoch += 1
        progress = self.epoch / self.plan.horizon
        self.averaging.end_epoch(progress)
        if self.learner.committee is not None:
            self.learner.committee.catch_up(self.plan.settings, progress)
        with self.averaging.in_effect(train):
            yield

    def keep(self, metrics: Mapping[str, float]) -> None:
        better = self.course.look(metrics[self.score])
        if better or not self.stopping:
            self.metrics = dict(metrics)
            if self.apart:
                self.result = {name: tensor.clone() for name, tensor in self.learner.state_dict().items()}

    def checkpoint(self) -> Checkpoint:
        live = self.learner.state_dict()
        extra = {f"mean/{name}": tensor for name, tensor in self.averaging.state().items()}
        if self.stopping or self.plan.settings["schedule"] == "plateau":
            extra |= {f"course/{name}": tensor for name, tensor in self.course.state().items()}
        if self.result:
            extra |= {f"live/{name}": tensor for name, tensor in live.items()}
        return Checkpoint(
            self.plan.identity(), self.epoch, self.metrics, self.result or live, memories(self.optimizers), extra
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Weights and what the optimizers remember come from the checkpoint, their settings from the config, which may
        be another one."""
        live = _under("live", checkpoint.extra)
        self.learner.load_state_dict(live or dict(checkpoint.model))
        if self.apart:
            self.result = {name: tensor.clone() for name, tensor in checkpoint.model.items()}
        remember(self.optimizers, checkpoint.optimizer)
        for optimizer in self.optimizers:
            begin_momentum(optimizer)
        self.epoch, self.metrics = checkpoint.epoch, dict(checkpoint.metrics)
        self.averaging.restore(_under("mean", checkpoint.extra))
        self.course.epoch = checkpoint.epoch
        if course := _under("course", checkpoint.extra):
            self.course.restore(course)


def _under(kind: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(f"{kind}/"): t for name, t in tensors.items() if name.startswith(f"{kind}/")}
