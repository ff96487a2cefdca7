"""Policies that choose by chance: a probability for each action, or a Gaussian around each control's mean; and a critic
that expects the return.

Returns are counted in units of a steady reward of 1, which with discount gamma is worth 1 / (1 - gamma): the critic
answers something as large as a reward, whatever gamma is.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from workers.data.environments import Floats
from workers.families.blocks import Settings
from workers.families.policy_gradient.network import Agent, layers
from workers.rows import Facts

FIRST_DEVIATION = 0.5  # of a control whose range is from -1 to 1


class Stochastic(Agent):
    def __init__(self, settings: Settings, facts: Facts) -> None:
        super().__init__(settings, facts)
        self.actor = layers(self.size, settings["hidden"], facts.outputs)
        if not self.discrete:
            self.log_deviation = nn.Parameter(torch.full((facts.outputs,), math.log(FIRST_DEVIATION)))
        self.critic = layers(self.size, settings["hidden"], 1) if self.has_critic() else None

    def has_critic(self) -> bool:
        return True

    def policy(self, states: Tensor) -> Tensor:
        said: Tensor = self.actor(states)
        return said

    def expected(self, states: Tensor) -> Tensor:
        """[n]: the critic's expectation of the return."""
        assert self.critic is not None
        value: Tensor = self.critic(states)[:, 0]
        return value

    def optimizers(self) -> list[torch.optim.Optimizer]:
        own = list(self.actor.parameters()) + ([] if self.discrete else [self.log_deviation])
        critic = [] if self.critic is None else [self.adam(self.critic.parameters(), self.settings["value_lr"])]
        return [self.adam(own), *critic]

    @torch.no_grad()
    def draw(self, states: Floats, rng: torch.Generator) -> tuple[Tensor, npt.NDArray[np.int64 | np.float32]]:
        """What is chosen for each state: as the policy has it, and as the environment takes it."""
        said = self.policy(self.scaled(states)).cpu()
        if self.discrete:
            chosen = torch.multinomial(said.softmax(dim=1), 1, generator=rng)[:, 0]
            return chosen, chosen.numpy()
        noise = torch.randn(said.shape, generator=rng)
        chosen = said + self.log_deviation.exp().cpu() * noise
        return chosen, self.controls(chosen.to(self.reach.device))

    def log_probability(self, states: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Of what was chosen, [n], and the policy's entropy, [n], in nats; scaled states [n, size]."""
        said = self.policy(states)
        if self.discrete:
            logs = said.log_softmax(dim=1)
            return logs.gather(1, chosen[:, None])[:, 0], -(logs.exp() * logs).sum(dim=1)
        z = (chosen - said) / self.log_deviation.exp()
        constant = math.log(2 * math.pi) / 2
        logs = (-z.square() / 2 - self.log_deviation - constant).sum(dim=1)
        return logs, (self.log_deviation + constant + 0.5).sum().expand(len(states))
