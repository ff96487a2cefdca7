"""REINFORCE (R. Williams 1992): raise the log probability of what was done, by what came of it.

    gradient = mean over steps of  grad log pi(a_t | s_t) · (G_t - b(s_t)),     G_t = (1 - gamma) r_t + gamma G_{t+1}

The baseline b, 0 or a critic's expectation, leaves the mean of the gradient as it is and makes its variance smaller.
With a critic, the differences are standardized over the update.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from workers.data.environments import Floats
from workers.families.policy_gradient.network import EPOCH_STEPS, seeds
from workers.families.policy_gradient.stochastic import Stochastic
from workers.training.learner import Epoch, Optimizers

MOST_COPIES = 8


@dataclass(slots=True)
class Episode:
    """What was seen, chosen and rewarded, step by step."""

    states: list[Floats] = field(default_factory=list)
    chosen: list[Tensor] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)

    def returns(self, gamma: float) -> list[float]:
        """G_t of each step."""
        found, ahead = list[float](), 0.0
        for reward in reversed(self.rewards):
            ahead = (1 - gamma) * reward + gamma * ahead
            found.append(ahead)
        return found[::-1]


class Reinforce(Stochastic):
    def has_critic(self) -> bool:
        return bool(self.settings["baseline"] == "value")

    def train_epoch(self, epoch: Epoch) -> float:
        """The negative mean return of the epoch's episodes."""
        self.train()
        rng, turns = epoch.stream("loss"), epoch.stream("clip")
        budget = min(EPOCH_STEPS, self.settings["steps_per_update"])
        updates, taken, totals = max(1, round(EPOCH_STEPS / budget)), 0, list[float]()
        for update in range(updates):
            last = update == updates - 1
            episodes = self.collect(max(1, EPOCH_STEPS - taken) if last else budget, rng)
            self.learn(episodes, epoch.optimizers, turns)
            taken += sum(len(episode.rewards) for episode in episodes)
            totals += [sum(episode.rewards) for episode in episodes]
        epoch.notes["lr"] = self.settings["lr"]
        return -float(np.mean(totals))

    def collect(self, steps: int, rng: torch.Generator) -> list[Episode]:
        """Whole episodes, begun until there are so many steps."""
        limit = self.environments(1).limit
        environments = self.environments(max(1, min(MOST_COPIES, steps // limit)))
        done, taken = list[Episode](), 0
        running: dict[int, Episode] = {}
        idle = list(range(len(environments)))
        while running or taken < steps:
            if idle and taken < steps:
                environments.begin(idle, seeds(len(idle), rng))
                running |= {copy: Episode() for copy in idle}
            who = sorted(running)
            seen = environments.states[who]
            chosen, actions = self.draw(seen, rng)
            moves = environments.step(who, actions)
            taken += len(who)
            idle = []
            for row, copy in enumerate(who):
                episode = running[copy]
                episode.states.append(seen[row])
                episode.chosen.append(chosen[row])
                episode.rewards.append(float(moves.rewards[row]))
                if moves.over[row]:
                    done.append(running.pop(copy))
                    idle.append(copy)
        return done

    def learn(self, episodes: list[Episode], optimizers: Optimizers, turns: torch.Generator) -> None:
        """One step of the policy, and one of the critic."""
        policy, *critic = optimizers
        device = self.scale.device
        states = self.scaled(np.stack([state for episode in episodes for state in episode.states]))
        chosen = torch.stack([choice for episode in episodes for choice in episode.chosen]).to(device)
        returns = torch.tensor([g for episode in episodes for g in episode.returns(self.gamma)], device=device)
        worth = returns
        if self.critic is not None:
            value = self.expected(states)
            worth = returns - value.detach()
            worth = (worth - worth.mean()) / worth.std(correction=0).clamp(min=1e-8)
            self.descend_on(nn.functional.mse_loss(value, returns), critic[0], turns)
        logs, _ = self.log_probability(states, chosen)
        self.descend_on(-(logs * worth).mean(), policy, turns)
