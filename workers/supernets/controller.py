"""A controller that writes architectures choice by choice and is rewarded for those that do well (H. Pham et al.,
Efficient neural architecture search via parameter sharing, 2018; its constants are those of NAS-Bench-201's authors).

The reward of an architecture a is R = accuracy + entropy weight · H, the loss -(R - b) log p(a), where b is the mean of
rewards that came before: a baseline that has seen R would leak it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from spaces.architectures import OneShot
from spaces.values import Config
from workers.supernets.mixture import Mixes
from workers.supernets.relaxation import Relaxation, of_config

HIDDEN, LAYERS = 32, 2
COLD, BOUND = 5.0, 2.5  # logits are BOUND tanh(logits / COLD)
LOOKS = 64  # architectures that show what it writes, for reports


class Controller(Relaxation):
    single = True

    def __init__(self, architecture: OneShot, rng: torch.Generator, hidden: int = HIDDEN) -> None:
        super().__init__(architecture)
        parameters = architecture.parameters()
        self.fixed = {each["name"]: each["value"] for each in parameters if "choices" not in each}
        self.open = [(each["name"], list(each["choices"])) for each in parameters if "choices" in each]
        self.writer = Writer([len(choices) for _, choices in self.open], hidden)
        for parameter in self.writer.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1, generator=rng)
        self.register_buffer("baseline", torch.zeros((), dtype=torch.float64))
        self.register_buffer("rewards", torch.zeros((), dtype=torch.int64))

    baseline: Tensor
    rewards: Tensor

    def config(self, choices: Sequence[int]) -> Config:
        chosen = {name: values[index] for (name, values), index in zip(self.open, choices, strict=True)}
        return {**self.fixed, **chosen}

    def mixes(self, rng: torch.Generator) -> Mixes:
        with torch.no_grad():
            choices, _, _ = self.writer(1, rng)
        return of_config(self.architecture, self.config(choices[0].tolist()), choices.device)

    def discretized(self) -> Config:
        """The most probable choice each time; where constraints do not allow that, what its shares speak for."""
        with torch.no_grad():
            choices, _, _ = self.writer(1, None)
        config = self.config(choices[0].tolist())
        return config if self.architecture.allows(config) else super().discretized()

    def means(self) -> dict[str, Tensor]:
        """Shares among what it writes, with one more of each operation that is left, so that no edge is without."""
        with torch.no_grad():
            choices, _, _ = self.writer(LOOKS, torch.Generator().manual_seed(0))
        counts = {kind: mask.float().cpu() for kind, mask in self.masks.items()}
        for row in choices.tolist():
            for kind, ops in self.architecture.paths(self.config(row)).items():
                for edge, op in enumerate(ops):
                    if op is not None:
                        counts[kind][edge, op] += 1
        return {kind: count / count.sum(dim=1, keepdim=True) for kind, count in counts.items()}

    def learn(
        self,
        optimizer: torch.optim.Optimizer,
        samples: int,
        reward: Callable[[Config], float],
        rng: torch.Generator,
        entropy: float,
        memory: float,
    ) -> float:
        """One step, on so many architectures: their mean reward. `memory` is the decay of the baseline."""
        choices, chances, entropies = self.writer(samples, rng)
        loss, total = torch.zeros(()), 0.0
        for row, chance, spread in zip(choices.tolist(), chances, entropies.tolist(), strict=True):
            gained = reward(self.config(row)) + entropy * spread
            total += gained
            loss = loss - chance.cpu() * (gained - self.expected(memory))
            self.remember(gained, memory)
        optimizer.zero_grad()
        torch.autograd.backward(loss / samples)
        nn.utils.clip_grad_norm_(self.parameters(), 5.0)
        optimizer.step()
        return total / samples

    def expected(self, memory: float) -> float:
        """The mean of the rewards so far, later ones counting more; 0 before any."""
        seen = int(self.rewards)
        return float(self.baseline) / (1 - memory**seen) if seen else 0.0

    def remember(self, reward: float, memory: float) -> None:
        self.baseline.mul_(memory).add_((1 - memory) * reward)
        self.rewards.add_(1)


class Writer(nn.Module):
    """Recurrent: reads its last choice, answers logits of the next one. `sizes` are the numbers of choices."""

    def __init__(self, sizes: Sequence[int], hidden: int) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        self.begin = nn.Parameter(torch.zeros(hidden))
        self.read = nn.ModuleList(nn.Embedding(size, hidden) for size in sizes[:-1])
        self.cells = nn.ModuleList(nn.LSTMCell(hidden, hidden) for _ in range(LAYERS))
        self.answer = nn.ModuleList(nn.Linear(hidden, size) for size in sizes)

    def forward(self, samples: int, rng: torch.Generator | None) -> tuple[Tensor, Tensor, Tensor]:
        """[samples, choices] indices, [samples] log-probabilities and entropies; without `rng` the most probable."""
        device = self.begin.device
        x = self.begin.expand(samples, -1)
        states = [(torch.zeros_like(x), torch.zeros_like(x)) for _ in self.cells]
        chosen, chance, entropy = (
            list[Tensor](),
            torch.zeros(samples, device=device),
            torch.zeros(samples, device=device),
        )
        for position, answer in enumerate(self.answer):
            for layer, cell in enumerate(self.cells):
                states[layer] = cell(x, states[layer])
                x = states[layer][0]
            law = (BOUND * torch.tanh(answer(x) / COLD)).log_softmax(dim=1)
            if rng is None:
                index = law.argmax(dim=1)
            else:
                index = torch.multinomial(law.detach().exp().cpu(), 1, generator=rng)[:, 0].to(device)
            chosen.append(index)
            chance = chance + law.gather(1, index[:, None])[:, 0]
            entropy = entropy - (law.exp() * law).sum(dim=1)
            if position < len(self.read):
                x = self.read[position](index)
        return torch.stack(chosen, dim=1), chance, entropy
