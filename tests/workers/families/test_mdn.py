from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from workers.catalogue import FAMILIES, Facts
from workers.data.loading import Data, Examples
from workers.families.blocks import initialize
from workers.families.mdn.network import DensityNetwork, build
from workers.training.predictive import Mixture
from workers.training.settings import resolve
from workers.training.streams import stream

FACTS = Facts(task="uncertainty", inputs="table", shape=(3,), outputs=1)


def some(n: int = 40) -> Examples:
    rng = stream(1, "loss")
    x = torch.randn(n, 3, generator=rng)
    return Examples(x, 5 + 2 * x[:, :1] + torch.randn(n, 1, generator=rng))


def learner_of(**config: Any) -> DensityNetwork:
    settings = resolve(FAMILIES["mdn"].hyperparameters("table"), {"dropout": 0.0, **config})
    learner = build(settings, FACTS)
    initialize(learner, "he", stream(0, "initialization"))
    learner.prepare(Data(some(), some()))
    return learner


def mixture() -> Mixture:
    return Mixture(
        torch.tensor([[[0.3, 0.7]]], dtype=torch.float64),
        torch.tensor([[[-1.0, 2.0]]], dtype=torch.float64),
        torch.tensor([[[0.5, 1.5]]], dtype=torch.float64),
    )


@pytest.mark.parametrize("y", [-2.0, 0.3, 4.0])
def test_a_mixture_is_what_its_integrals_say(y: float) -> None:
    """On a fine grid: the density is 1 in all; CRPS = integral of (F(t) - [t >= y])²."""
    it = mixture()
    t = torch.linspace(-15, 20, 200_001, dtype=torch.float64)[:, None]
    grid = Mixture(*(part.expand(len(t), 1, 2) for part in (it.weights, it.means, it.deviations)))
    step = float(t[1] - t[0])
    density, below = grid.log_density(t).exp(), grid.cdf(t)
    assert float(density.sum()) * step == pytest.approx(1)
    assert float((density * t).sum()) * step == pytest.approx(float(it.mean))
    variance = float((density * (t - it.mean).square()).sum()) * step
    assert math.sqrt(variance) == pytest.approx(float(it.deviation))
    torch.testing.assert_close(below, density.cumsum(0) * step, atol=1e-4, rtol=0)
    crps = float((below - (t >= y).double()).square().sum()) * step
    assert float(it.crps(torch.tensor([[y]], dtype=torch.float64))) == pytest.approx(crps, abs=2e-4)


def test_one_gaussian_has_the_textbooks_scores() -> None:
    """CRPS of N(0, 1) at 0 is (sqrt 2 - 1) / sqrt pi; half of its values lie within 0.6745 deviations."""
    y = torch.tensor([[0.0], [1.6], [-1.7], [1.7]], dtype=torch.float64)
    it = Mixture.gaussian(torch.zeros_like(y), torch.ones(1, dtype=torch.float64))
    assert float(it.crps(y)[0]) == pytest.approx((math.sqrt(2) - 1) / math.sqrt(math.pi))
    scores = it.scores(y, torch.tensor([2.0], dtype=torch.float64))
    squares = (1.6**2 + 1.7**2 + 1.7**2) / 4
    assert scores["nll"] == pytest.approx(math.log(2 * math.pi) / 2 + squares / 2)
    assert scores["coverage_error"] == pytest.approx(0.4)  # two of four lie within 1.645
    assert scores["rmse"] == pytest.approx(2 * math.sqrt(squares))


def test_heads_have_the_numbers_that_they_need() -> None:
    hidden = 3 * 64 + 64 + 64 * 64 + 64
    sizes = {"shared_var": 65 + 1, "gauss": 2 * 65, "mixture": 3 * 4 * 65}
    for head, own in sizes.items():
        learner = learner_of(head=head, components=4)
        assert sum(parameter.numel() for parameter in learner.parameters()) == hidden + own


@pytest.mark.parametrize("head", ["shared_var", "gauss", "mixture"])
def test_gradients_are_those_of_the_loss(head: str) -> None:
    learner = learner_of(head=head, width=16, depth=1, activation="tanh").double()
    examples = some(6)
    assert examples.targets is not None
    batch = Examples(examples.inputs.double(), examples.targets.double())
    learner.train()
    parameters = list(learner.parameters())
    torch.autograd.backward(learner.loss(batch, stream(0, "loss")))
    for parameter in parameters:
        where = torch.unravel_index(torch.tensor(parameter.numel() // 2), parameter.shape)
        found, losses = parameter.grad, []
        assert found is not None
        for by in (1e-3, -1e-3):
            with torch.no_grad():
                parameter[where] += by
                losses.append(float(learner.loss(batch, stream(0, "loss"))))
                parameter[where] -= by
        # the answers are cut to float32 on their way to the density
        assert (losses[0] - losses[1]) / 2e-3 == pytest.approx(float(found[where]), abs=2e-3)


def test_variances_stay_above_their_floor_and_are_constant_at_first() -> None:
    learner = learner_of(head="mixture", var_floor=0.05)
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.mul_(20)
        found = learner.distribution(some().inputs)
        assert float(found.deviations.min()) >= math.sqrt(0.05) * 0.999
        learner.means_only = True
        assert learner.distribution(some().inputs).deviations.unique().tolist() == pytest.approx([1 / 3])


def test_components_begin_at_quantiles_of_the_targets() -> None:
    learner = learner_of(head="mixture", components=3)
    targets = some().targets
    assert targets is not None
    levels = torch.tensor([1 / 6, 1 / 2, 5 / 6], dtype=torch.float64)
    expected = torch.quantile(((targets - targets.mean()) / targets.std(correction=0)).double(), levels)
    torch.testing.assert_close(learner.centres[0].double(), expected, atol=1e-5, rtol=0)
    assert learner(some().inputs).shape == (40, 2, 1)
