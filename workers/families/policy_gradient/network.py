"""What all agents have: a policy on scaled states, and the episodes by which it is judged."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from workers.data.environments import Environments, Floats, mean_return
from workers.data.loading import Data, Examples
from workers.families.blocks import Settings, infeasible
from workers.rows import Facts
from workers.training.learner import Learner
from workers.training.optimizers import clip_gradients

EPOCH_STEPS = 5000
JUDGED_EPISODES = 20


def build(settings: Settings, facts: Facts) -> Learner:
    from workers.families.policy_gradient import actor_critic, deterministic, reinforce

    kinds: Mapping[str, type[Agent]] = {
        "reinforce": reinforce.Reinforce,
        "a2c": actor_critic.ActorCritic,
        "deterministic": deterministic.Deterministic,
    }
    if settings["algorithm"] == "deterministic" and "actions" in facts.sizes:
        raise infeasible(
            f"algorithm deterministic needs continuous controls, and this environment has {facts.sizes['actions']} "
            "actions to choose from: take reinforce or a2c"
        )
    return kinds[settings["algorithm"]](settings, facts)


def layers(inputs: int, hidden: int, outputs: int, activation: type[nn.Module] = nn.Tanh, depth: int = 1) -> nn.Module:
    """[n, inputs] -> [n, outputs] through `depth` hidden layers."""
    widths = [inputs, *[hidden] * depth]
    inner = [part for a, b in pairwise(widths) for part in (nn.Linear(a, b), activation())]
    return nn.Sequential(*inner, nn.Linear(widths[-1], outputs))


class Agent(Learner):
    """`forward` answers what the policy says of states [n, size]: the actions' logits [n, actions], or the controls'
    means [n, controls] in units of the environment. It is judged by what it thinks best, without any chance."""

    scale: Tensor
    middle: Tensor
    reach: Tensor

    def __init__(self, settings: Settings, facts: Facts) -> None:
        super().__init__(settings, facts)
        self.discrete = "actions" in facts.sizes
        self.gamma = 1 - settings["one_minus_gamma"]
        (self.size,) = facts.shape
        self.register_buffer("scale", torch.ones(self.size))
        self.register_buffer("middle", torch.zeros(facts.outputs))  # of the range of controls
        self.register_buffer("reach", torch.ones(facts.outputs))
        self.context: Mapping[str, Tensor] = {}

    def prepare(self, data: Data) -> None:
        self.context = data.context
        one = self.environments(1)
        self.scale.copy_(torch.from_numpy(one.scale))
        if not self.discrete:
            low, high = (torch.from_numpy(bound) for bound in one.bounds)
            self.middle.copy_((low + high) / 2)
            self.reach.copy_((high - low) / 2)

    def environments(self, copies: int) -> Environments:
        return Environments(self.context, copies)

    @abstractmethod
    def policy(self, states: Tensor) -> Tensor:
        """Logits, or the controls' means where their range is from -1 to 1, for scaled states [n, size]."""

    def scaled(self, states: Floats | Tensor) -> Tensor:
        return torch.as_tensor(states, device=self.scale.device) / self.scale

    def forward(self, inputs: Tensor) -> Tensor:
        said = self.policy(self.scaled(inputs))
        return said if self.discrete else self.middle + self.reach * said.clamp(-1, 1)

    def controls(self, chosen: Tensor) -> npt.NDArray[np.float32]:
        """What the environment takes for controls whose range is from -1 to 1; what is beyond is cut off."""
        taken: npt.NDArray[np.float32] = (self.middle + self.reach * chosen.clamp(-1, 1)).cpu().numpy()
        return taken

    @torch.no_grad()
    def best(self, states: Floats) -> npt.NDArray[np.int64 | np.float32]:
        said = self(torch.as_tensor(states, device=self.scale.device))
        chosen: npt.NDArray[np.int64 | np.float32] = (said.argmax(dim=1) if self.discrete else said).cpu().numpy()
        return chosen

    def loss(self, batch: Examples, rng: torch.Generator) -> Tensor:
        raise AssertionError("an agent learns from what it does, not from examples")

    def evaluate(self, examples: Examples, rng: torch.Generator) -> Mapping[str, float]:
        """Over the same episodes every time."""
        self.eval()
        return {"return": mean_return(self.environments(JUDGED_EPISODES), seeds(JUDGED_EPISODES, rng), self.best)}

    def adam(self, parameters: Iterable[nn.Parameter], times: float = 1.0) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=times * self.settings["lr"], fused=True)

    def descend_on(self, loss: Tensor, optimizer: torch.optim.Optimizer, turns: torch.Generator) -> None:
        """One step of one network on its loss. `turns` is there for gradients that are replaced by chance."""
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        clip_gradients([p for group in optimizer.param_groups for p in group["params"]], self.settings, turns)
        optimizer.step()


def seeds(episodes: int, rng: torch.Generator) -> Sequence[int]:
    """One of its own for each episode."""
    return [int(seed) for seed in torch.randint(2**31 - 1, (episodes,), generator=rng)]
