"""Advantage actor-critic (V. Mnih et al., Asynchronous methods for deep reinforcement learning, 2016; here the copies
of the environment go in step): after every n steps, what came of them and what the critic expects of the rest.

    R_t = (1 - gamma) r_t + gamma R_{t+1},     R of the last state = V(s), 0 where the world came to its end
    the policy ascends  log pi(a_t | s_t) (R_t - V(s_t)) + beta entropy,     V descends on (R_t - V(s_t))²
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from workers.data.environments import Environments
from workers.families.policy_gradient.network import EPOCH_STEPS, seeds
from workers.families.policy_gradient.stochastic import Stochastic
from workers.training.learner import Epoch, Optimizers


class ActorCritic(Stochastic):
    def train_epoch(self, epoch: Epoch) -> float:
        """The negative mean return of the episodes that ended, or of what there was of them where none did."""
        self.train()
        rng, turns = epoch.stream("loss"), epoch.stream("clip")
        copies, n = self.settings["environments"], self.settings["n_step"]
        environments = self.environments(copies)
        everyone = list(range(copies))
        environments.begin(everyone, seeds(copies, rng))
        totals, ended = np.zeros(copies), list[float]()
        for _ in range(math.ceil(EPOCH_STEPS / (copies * n))):
            self.learn(*self.collect(environments, n, rng, totals, ended), epoch.optimizers, turns)
        epoch.notes["lr"] = self.settings["lr"]
        return -float(np.mean(ended if ended else totals))

    def collect(
        self, environments: Environments, n: int, rng: torch.Generator, totals: np.ndarray, ended: list[float]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Scaled states, what was chosen in them and the returns R, [n · copies, ...] each.

        `totals` [copies] has the rewards of the running episodes so far; `ended` takes the return of each that ends.
        """
        everyone = list(range(len(environments)))
        states, choices, rewards, nexts, continues = [], [], [], [], []
        overs = []
        for _ in range(n):
            states.append(self.scaled(environments.states.copy()))
            chosen, actions = self.draw(environments.states, rng)
            moves = environments.step(everyone, actions)
            choices.append(chosen.to(self.scale.device))
            rewards.append(moves.rewards)
            nexts.append(self.scaled(environments.states.copy()))
            continues.append(~moves.terminal)
            overs.append(moves.over)
            totals += moves.rewards
            over = [copy for copy in everyone if moves.over[copy]]
            ended += [float(totals[copy]) for copy in over]
            totals[over] = 0
            environments.begin(over, seeds(len(over), rng))
        with torch.no_grad():
            expected = self.expected(torch.cat(nexts)).view(n, -1).cpu().numpy()
        ahead = expected[-1]
        returns = np.zeros((n, len(everyone)), np.float32)
        for t in reversed(range(n)):
            ahead = np.where(overs[t], expected[t], ahead)
            ahead = (1 - self.gamma) * rewards[t] + self.gamma * ahead * continues[t]
            returns[t] = ahead
        told = torch.from_numpy(returns).flatten().to(self.scale.device)
        return torch.cat(states), torch.cat(choices), told

    def learn(
        self, states: Tensor, chosen: Tensor, returns: Tensor, optimizers: Optimizers, turns: torch.Generator
    ) -> None:
        policy, critic = optimizers
        value = self.expected(states)
        advantage = returns - value.detach()
        self.descend_on(nn.functional.mse_loss(value, returns), critic, turns)
        logs, entropy = self.log_probability(states, chosen)
        worth = (logs * advantage).mean() + self.settings["entropy"] * entropy.mean()
        self.descend_on(-worth, policy, turns)
