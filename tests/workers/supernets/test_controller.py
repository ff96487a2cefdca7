from __future__ import annotations

import math
import statistics

import pytest
import torch

from spaces import Space
from spaces.architectures import ARCHITECTURES, OneShot
from spaces.values import Config
from workers.supernets.controller import BOUND, Controller


def controller(seed: int = 0, hidden: int = 8, **form: object) -> Controller:
    architecture = ARCHITECTURES["nas-bench-201"]("cell", **form)
    assert isinstance(architecture, OneShot)
    return Controller(architecture, torch.Generator().manual_seed(seed), hidden)


def test_it_writes_architectures_of_the_space() -> None:
    for preset in ("nas-bench-201", "darts"):
        architecture = ARCHITECTURES[preset]("cell")
        assert isinstance(architecture, OneShot)
        made = Controller(architecture, torch.Generator().manual_seed(0), 8)
        space = Space.from_json({"parameters": architecture.parameters()})
        choices, chance, entropy = made.writer(20, torch.Generator().manual_seed(1))
        for row in choices.tolist():
            space.validate(made.config(row))
        space.validate(made.discretized())
        most = sum(math.log(len(values)) for _, values in made.open)
        assert float(entropy.detach().max()) <= most + 1e-4
        assert float(chance.detach().max()) < 0
        for mean in made.means().values():
            torch.testing.assert_close(mean.sum(dim=1), torch.ones(len(mean)))


def test_no_choice_is_ever_certain() -> None:
    made = controller()
    with torch.no_grad():
        for answer in made.writer.answer:
            answer.bias.fill_(1e6)
            answer.bias[0] = -1e6
    _, chance, _ = made.writer(50, torch.Generator().manual_seed(0))
    odds = math.exp(-2 * BOUND) / (4 + math.exp(-2 * BOUND))
    assert float(chance.detach().min()) >= 6 * math.log(odds) - 1e-3


def test_the_baseline_is_of_earlier_rewards_alone() -> None:
    made = controller()
    assert made.expected(0.9) == 0
    rewards, mean, weight = [0.2, 0.8, 0.5], 0.0, 0.0
    for reward in rewards:
        made.remember(reward, 0.9)
        mean, weight = 0.9 * mean + 0.1 * reward, 0.9 * weight + 0.1
        assert made.expected(0.9) == pytest.approx(mean / weight)


def test_the_first_of_two_rewards_is_not_compared_with_itself() -> None:
    """With one architecture per step, no baseline is left of the first reward: its step is R ∇log p, not 0."""
    made = controller()
    optimizer = torch.optim.SGD(made.parameters(), 1.0)
    before = [p.detach().clone() for p in made.parameters()]
    made.learn(optimizer, 1, lambda config: 0.5, torch.Generator().manual_seed(0), 0.0, 0.9)
    assert any(not torch.equal(p, old) for p, old in zip(made.parameters(), before, strict=True))


def test_the_better_of_two_arms_is_learnt() -> None:
    """Accuracies .2 and .8 of one edge with two operations, 300 rewards: most of 20 controllers are sure."""

    def reward(config: Config) -> float:
        return 0.8 if config["cell.0-1"] == "nor_conv_3x3" else 0.2

    sure = []
    for seed in range(20):
        made = controller(seed, nodes=2, ops=("skip_connect", "nor_conv_3x3"))
        optimizer = torch.optim.Adam(made.parameters(), 0.05, betas=(0.0, 0.999), eps=1e-3)
        rng = torch.Generator().manual_seed(1000 + seed)
        for _ in range(60):
            made.learn(optimizer, 5, reward, rng, 0.0, 0.9)
        with torch.no_grad():
            choices, _, _ = made.writer(200, rng)
        sure.append(float(choices.double().mean()))
    assert statistics.median(sure) > 0.9
