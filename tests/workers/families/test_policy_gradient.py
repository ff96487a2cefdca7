from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch

from workers.catalogue import DATASETS, FAMILIES, Facts
from workers.data.loading import training_data
from workers.data.part import Part
from workers.families.blocks import initialize, parameter_count
from workers.families.policy_gradient.actor_critic import ActorCritic
from workers.families.policy_gradient.deterministic import Deterministic
from workers.families.policy_gradient.network import Agent, build
from workers.families.policy_gradient.reinforce import Episode, Reinforce
from workers.families.policy_gradient.stochastic import Stochastic
from workers.protocol import Failure
from workers.training.learner import Epoch
from workers.training.settings import resolve
from workers.training.streams import stream

pytest.importorskip("gymnasium")
CPU = torch.device("cpu")


def agent(world: str = "cartpole", **config: Any) -> Agent:
    row = DATASETS[world]
    facts = Facts(task="control", inputs="environment", shape=row.shape, outputs=row.outputs, sizes=row.sizes)
    learner = build(resolve(FAMILIES["policy_gradient"].hyperparameters("environment"), config), facts)
    assert isinstance(learner, Agent)
    initialize(learner, "inverse_sqrt", stream(0, "initialization"))
    learner.prepare(training_data(row, Part(), CPU))
    return learner


def epoch_of(learner: Agent, number: int = 0) -> Epoch:
    examples = training_data(DATASETS["cartpole"], Part(), CPU).train
    return Epoch(
        number,
        10,
        examples,
        learner.settings,
        learner.optimizers(),
        CPU,
        nullcontext,
        lambda purpose, device=None: stream(0, purpose, number, device),
    )


def test_returns_count_what_is_ahead() -> None:
    """In units of a steady reward of 1."""
    episode = Episode(rewards=[1.0, 0.0, 4.0])
    assert episode.returns(0.5) == pytest.approx([0.5 + 0.25 * 0 + 0.125 * 4, 0.25 * 4, 0.5 * 4])


@pytest.mark.parametrize("world", ["cartpole", "pendulum"])
def test_probabilities_are_those_of_torch(world: str) -> None:
    learner = agent(world)
    assert isinstance(learner, Stochastic)
    states = torch.randn(5, learner.size, generator=stream(0, "loss"))
    chosen, _ = learner.draw((states * learner.scale).numpy(), stream(1, "loss"))
    said = learner.policy(states)
    logs, entropy = learner.log_probability(states, chosen)
    if world == "cartpole":
        choice = torch.distributions.Categorical(logits=said)
        torch.testing.assert_close(logs, choice.log_prob(chosen))
        torch.testing.assert_close(entropy, choice.entropy())
    else:
        around = torch.distributions.Normal(said, torch.full_like(said, 0.5))
        torch.testing.assert_close(logs, around.log_prob(chosen).sum(dim=1))
        torch.testing.assert_close(entropy, around.entropy().sum(dim=1))


def test_whole_episodes_are_collected_until_there_are_steps_enough() -> None:
    learner = agent(steps_per_update=300)
    assert isinstance(learner, Reinforce)
    episodes = learner.collect(1100, stream(0, "loss"))  # two copies
    lengths = [len(episode.rewards) for episode in episodes]
    assert sum(lengths) >= 1100
    assert sum(lengths[:-2]) < 1100
    assert all(len(episode.states) == len(episode.chosen) == n for episode, n in zip(episodes, lengths, strict=True))
    starts = np.stack([episode.states[0] for episode in episodes])
    assert np.abs(starts).max() <= 0.05
    assert len(np.unique(starts, axis=0)) == len(starts)


def test_the_critic_tells_of_what_was_not_lived_through() -> None:
    """R of the last step is (1 - gamma) r + gamma V(next); of a step at which the pole fell, (1 - gamma) r."""
    learner = agent(algorithm="a2c", n_step=60, environments=3)
    assert isinstance(learner, ActorCritic)
    environments = learner.environments(3)
    environments.begin(range(3), [1, 2, 3])
    totals, ended = np.zeros(3), list[float]()
    states, chosen, returns = learner.collect(environments, 60, stream(0, "loss"), totals, ended)
    assert states.shape == (180, 4)
    assert chosen.shape == returns.shape == (180,)
    assert ended
    assert sum(ended) + totals.sum() == 180  # a reward of 1 for each step
    with torch.no_grad():
        now = learner.expected(learner.scaled(environments.states))
    gamma, table = learner.gamma, returns.view(60, 3)
    ahead = torch.where(torch.from_numpy(totals == 0), 0, now).float()
    torch.testing.assert_close(table[-1], (1 - gamma) + gamma * ahead)
    steps = (table[:-1] - (1 - gamma)) / gamma
    follows = torch.isclose(steps, table[1:], atol=1e-5)
    assert int((~follows).sum()) == len(ended) - int((totals == 0).sum())
    torch.testing.assert_close(steps[~follows], torch.zeros(int((~follows).sum())), atol=1e-5, rtol=0)


def test_slow_networks_follow_and_the_memory_turns_round(monkeypatch: pytest.MonkeyPatch) -> None:
    module = "workers.families.policy_gradient.deterministic"
    for name, value in (("EPOCH_STEPS", 240), ("FIRST_STEPS", 40), ("MEMORY", 100)):
        monkeypatch.setattr(f"{module}.{name}", value)
    learner = agent("pendulum", algorithm="deterministic", hidden=16)
    assert isinstance(learner, Deterministic)
    before = learner.slow_actor.state_dict()
    train_loss = learner.train_epoch(epoch_of(learner))
    assert math.isfinite(train_loss)
    assert int(learner.remembered) == 240
    assert int((learner.memory[:, 4] != 0).sum()) == 100  # rewards of a pendulum are never 0
    assert learner.memory[:, 3].abs().max() <= 1
    fast, slow = (dict(net.named_parameters()) for net in (learner.actor, learner.slow_actor))
    assert before.keys() == fast.keys()
    assert 0 < max(float((fast[name] - slow[name]).detach().abs().max()) for name in fast) < 1
    trained = parameter_count(learner)
    assert trained == sum(p.numel() for net in (learner.actor, learner.critic) for p in net.parameters())


def test_controls_stay_in_their_range() -> None:
    learner = agent("pendulum")
    assert learner.controls(torch.tensor([[-9.0], [0.25], [9.0]])).tolist() == [[-2.0], [0.5], [2.0]]


def test_it_is_judged_by_the_same_episodes_every_time() -> None:
    learner = agent()
    examples = training_data(DATASETS["cartpole"], Part(), CPU).validation
    scores = [learner.evaluate(examples, stream(0, "evaluation")) for _ in range(2)]
    assert scores[0] == scores[1]
    assert 8 <= scores[0]["return"] <= 500


def test_a_pole_is_soon_held_longer() -> None:
    """One epoch, 5,000 steps; an untrained policy keeps it up for some 20."""
    learner = agent(steps_per_update=500)
    epoch = epoch_of(learner)
    held = [learner.train_epoch(Epoch(n, 10, *_rest(epoch, n))) for n in range(2)]
    assert held[1] < held[0] < -10


def _rest(epoch: Epoch, number: int) -> tuple[Any, ...]:
    def of(purpose: Any, device: Any = None) -> torch.Generator:
        return stream(0, purpose, number, device)

    return epoch.examples, epoch.settings, epoch.optimizers, CPU, nullcontext, of


def test_a_deterministic_policy_has_no_choices_to_make() -> None:
    with pytest.raises(Failure, match="needs continuous controls, and this environment has 2 actions"):
        agent(algorithm="deterministic")
