"""Several copies of one of Gymnasium's worlds, that an agent acts in side by side: one look at the network answers for
all of them.

Every episode has a seed of its own, so that it depends on nothing that happened before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from workers.data.packages import require

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Moves:
    """What one step brought to each copy that took it: `rewards` [n]; `terminal` [n], the world came to its end;
    `over` [n], it did, or the time for an episode was up."""

    rewards: Floats
    terminal: Flags
    over: Flags


class Environments:
    """`states` [copies, state size] are where the copies are now."""

    def __init__(self, context: Mapping[str, Any], copies: int) -> None:
        """`context` is a dataset's: its `environment` has the bytes of the world's name."""
        name = bytes(context["environment"].tolist()).decode()
        require("gymnasium", "data")
        gymnasium = import_module("gymnasium")
        self.worlds = [gymnasium.make(name, disable_env_checker=True) for _ in range(copies)]
        self.states: Floats = np.zeros((copies, *self.worlds[0].observation_space.shape), np.float32)

    def __len__(self) -> int:
        return len(self.worlds)

    @property
    def limit(self) -> int:
        """Steps of the longest episode."""
        return int(self.worlds[0].spec.max_episode_steps)

    @property
    def scale(self) -> Floats:
        """[state size]: the largest absolute value of each part of a state; 1 where there is no bound."""
        space = self.worlds[0].observation_space
        most = np.maximum(np.abs(space.low), np.abs(space.high))
        return np.where(np.isfinite(most), most, 1).astype(np.float32)

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        """[controls] each: the lowest and the highest control, where actions are no choices."""
        space = self.worlds[0].action_space
        return space.low, space.high

    def begin(self, which: Sequence[int], seeds: Sequence[int]) -> None:
        """New episodes in these copies."""
        for copy, seed in zip(which, seeds, strict=True):
            self.states[copy] = self.worlds[copy].reset(seed=seed)[0]

    def step(self, which: Sequence[int], actions: npt.NDArray[Any]) -> Moves:
        """`actions` [n] int64 choices, or [n, controls]; of the n copies named."""
        rewards, terminal, over = np.zeros(len(which), np.float32), *np.zeros((2, len(which)), np.bool_)
        for row, (copy, action) in enumerate(zip(which, actions, strict=True)):
            state, reward, ended, late, _ = self.worlds[copy].step(action)
            self.states[copy] = state
            rewards[row], terminal[row], over[row] = reward, ended, ended or late
        return Moves(rewards, terminal, over)


def mean_return(environments: Environments, seeds: Sequence[int], act: Callable[[Floats], npt.NDArray[Any]]) -> float:
    """The mean over one episode per copy of the sum of its rewards. `act` maps states [n, size] to actions [n, ...]."""
    running = list(range(len(environments)))
    environments.begin(running, seeds)
    total = 0.0
    while running:
        moves = environments.step(running, act(environments.states[running]))
        total += float(moves.rewards.sum())
        running = [copy for copy, over in zip(running, moves.over, strict=True) if not over]
    return total / len(environments)
