"""The deterministic policy gradient (D. Silver et al. 2014) with networks that follow slowly and a memory of steps
(T. Lillicrap et al., Continuous control with deep reinforcement learning, 2016).

    Q descends on (Q(s, a) - (1 - gamma) r - gamma Q'(s', mu'(s')))²,      mu ascends Q(s, mu(s))

Q' and mu' follow Q and mu by a small part of the way at every step. The memory is part of the checkpoint.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from workers.data.environments import Environments
from workers.families.blocks import Settings
from workers.families.policy_gradient.network import EPOCH_STEPS, Agent, layers, seeds
from workers.rows import Facts
from workers.training.learner import Epoch, Optimizers

COPIES = 4
BATCH = 64
MEMORY = 20_000
FIRST_STEPS = 1000  # at random, before anything is learnt
FOLLOW = 0.005


class Steps(NamedTuple):
    """[n, ...] each; `states` and `nexts` are scaled, `controls` range from -1 to 1, `continues` is 0 at the end."""

    states: Tensor
    controls: Tensor
    rewards: Tensor
    nexts: Tensor
    continues: Tensor


class Deterministic(Agent):
    memory: Tensor
    remembered: Tensor

    def __init__(self, settings: Settings, facts: Facts) -> None:
        super().__init__(settings, facts)
        size, hidden, controls = self.size, settings["hidden"], facts.outputs
        self.actor = nn.Sequential(layers(size, hidden, controls, nn.ReLU, depth=2), nn.Tanh())
        self.critic = layers(size + controls, hidden, 1, nn.ReLU, depth=2)
        self.slow_actor = nn.Sequential(layers(size, hidden, controls, nn.ReLU, depth=2), nn.Tanh()).requires_grad_(
            False
        )
        self.slow_critic = layers(size + controls, hidden, 1, nn.ReLU, depth=2).requires_grad_(False)
        self.register_buffer("memory", torch.zeros(MEMORY, 2 * size + controls + 2))
        self.register_buffer("remembered", torch.zeros((), dtype=torch.int64))

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return [self.adam(self.actor.parameters()), self.adam(self.critic.parameters())]

    def policy(self, states: Tensor) -> Tensor:
        said: Tensor = self.actor(states)
        return said

    def train_epoch(self, epoch: Epoch) -> float:
        """The negative mean return of the episodes that ended, or of what there was of them where none did."""
        self.train()
        if epoch.number == 0:
            self.slow_actor.load_state_dict(self.actor.state_dict())
            self.slow_critic.load_state_dict(self.critic.state_dict())
        rng, turns = epoch.stream("loss"), epoch.stream("clip")
        environments = self.environments(COPIES)
        environments.begin(range(COPIES), seeds(COPIES, rng))
        totals, ended = np.zeros(COPIES), list[float]()
        for _ in range(EPOCH_STEPS // COPIES):
            over = self.act(environments, totals, rng)
            ended += [float(totals[copy]) for copy in over]
            totals[over] = 0
            environments.begin(over, seeds(len(over), rng))
            if int(self.remembered) >= FIRST_STEPS:
                self.learn(self.recall(rng), epoch.optimizers, turns)
        epoch.notes["lr"] = self.settings["lr"]
        return -float(np.mean(ended if ended else totals))

    @torch.no_grad()
    def act(self, environments: Environments, totals: np.ndarray, rng: torch.Generator) -> list[int]:
        """One step of all copies, remembered; their rewards are added to `totals`. Returns whose episode is over."""
        states = self.scaled(environments.states.copy())
        shape = (len(states), self.facts.outputs)
        if int(self.remembered) < FIRST_STEPS:
            chosen = torch.rand(shape, generator=rng).to(states.device) * 2 - 1
        else:
            noise = torch.randn(shape, generator=rng).to(states.device)
            chosen = (self.policy(states) + self.settings["explore_sd"] * noise).clamp(-1, 1)
        moves = environments.step(range(len(states)), self.controls(chosen))
        rewards, ended = (torch.from_numpy(each).to(states)[:, None] for each in (moves.rewards, moves.terminal))
        nexts = self.scaled(environments.states.copy())
        rows = (self.remembered + torch.arange(len(states), device=states.device)) % MEMORY
        self.memory[rows] = torch.cat([states, chosen, rewards, nexts, 1 - ended], dim=1)
        self.remembered += len(states)
        totals += moves.rewards
        return [int(copy) for copy in moves.over.nonzero()[0]]

    def recall(self, rng: torch.Generator) -> Steps:
        rows = torch.randint(min(int(self.remembered), MEMORY), (BATCH,), generator=rng).to(self.memory.device)
        sizes = [self.size, self.facts.outputs, 1, self.size, 1]
        return Steps(*torch.split(self.memory[rows], sizes, dim=1))

    def learn(self, steps: Steps, optimizers: Optimizers, turns: torch.Generator) -> None:
        actor, critic = optimizers
        with torch.no_grad():
            ahead = self.slow_critic(torch.cat([steps.nexts, self.slow_actor(steps.nexts)], dim=1))
            target = (1 - self.gamma) * steps.rewards + self.gamma * steps.continues * ahead
        value = self.critic(torch.cat([steps.states, steps.controls], dim=1))
        self.descend_on(nn.functional.mse_loss(value, target), critic, turns)
        worth = self.critic(torch.cat([steps.states, self.policy(steps.states)], dim=1)).mean()
        self.descend_on(-worth, actor, turns)
        with torch.no_grad():
            for slow, fast in ((self.slow_actor, self.actor), (self.slow_critic, self.critic)):
                torch._foreach_lerp_(list(slow.parameters()), list(fast.parameters()), FOLLOW)
