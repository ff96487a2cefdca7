"""What a training makes of its own scores: when the learning rate of schedule plateau falls, and when it is over.

The score is the task's first one, on the validation split. An early end forgets nothing: the best epoch is the result
(L. Prechelt, Early stopping - but when?, 1998).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from workers.tasks import Direction
from workers.training.settings import Settings


class Course:
    """All that it remembers is four numbers. Epochs count from 1."""

    def __init__(self, settings: Settings, horizon: int, direction: Direction) -> None:
        self.settings, self.horizon = settings, horizon
        self.sign = 1 if direction == "maximize" else -1
        self.epoch, self.best_epoch, self.dropped, self.drops = 0, 0, 0, 0
        self.best = -math.inf

    def look(self, score: float) -> bool:
        """Whether the score of one more epoch is better than all before."""
        self.epoch += 1
        better = self.sign * score > self.best
        if better:
            self.best, self.best_epoch = self.sign * score, self.epoch
        plateau = self.settings["schedule"] == "plateau"
        if plateau and self.epoch - max(self.best_epoch, self.dropped) >= self._epochs(self.settings["lr_wait"]):
            self.dropped, self.drops = self.epoch, self.drops + 1
        return better

    @property
    def lr_scale(self) -> float:
        return float(self.settings["lr_drop"] ** self.drops) if self.drops else 1.0

    @property
    def over(self) -> bool:
        stopping = self.settings["early_stopping"] and self.best_epoch > 0
        return stopping and self.epoch - self.best_epoch >= self._epochs(self.settings["patience"])

    def _epochs(self, part: float) -> int:
        return max(1, math.ceil(part * self.horizon - 1e-9))

    def state(self) -> dict[str, Tensor]:
        counts = torch.tensor([self.epoch, self.best_epoch, self.dropped, self.drops])
        return {"counts": counts, "best": torch.tensor(self.best, dtype=torch.float64)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.epoch, self.best_epoch, self.dropped, self.drops = state["counts"].tolist()
        self.best = float(state["best"])
