from __future__ import annotations

import numpy as np
import pytest
import torch

from workers.training.densities import Binarize, bernoulli_log_prob, gaussian_kl, gaussian_log_prob
from workers.training.generation import coverage, energy_distance, generation_scores
from workers.training.probe import Probe


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_densities_are_those_of_torch() -> None:
    mean, log_deviation, x = normal(4, 3), normal(4, 3, seed=1), normal(4, 3, seed=2)
    gaussian, standard = torch.distributions.Normal(mean, log_deviation.exp()), torch.distributions.Normal(0, 1)
    torch.testing.assert_close(gaussian_log_prob(x, mean, log_deviation), gaussian.log_prob(x).sum(dim=1))
    torch.testing.assert_close(gaussian_kl(mean, log_deviation), torch.distributions.kl_divergence(gaussian, standard))
    bits = (x > 0).float()
    expected = torch.distributions.Bernoulli(logits=mean).log_prob(bits).sum(dim=1)
    torch.testing.assert_close(bernoulli_log_prob(mean, bits), expected)


def test_features_are_binarized_at_the_middle_of_their_range() -> None:
    layer = Binarize("table", (2,))
    layer.fit(torch.tensor([[0.0, 10.0], [2.0, 30.0], [torch.nan, 12.0]]))
    x = torch.tensor([[0.9, 21.0], [1.1, 19.0], [torch.nan, 40.0]])
    assert layer(x).tolist() == [[0, 1], [1, 0], [0, 1]]
    pixels = Binarize("image", (1, 1, 2))
    pixels.fit(torch.tensor([[[[0.0, 0.2]]]]))
    assert pixels(torch.tensor([[[[0.5, 0.6]]]])).flatten().tolist() == [0, 1]


def test_the_energy_distance_in_one_dimension_is_twice_that_of_the_distribution_functions() -> None:
    x, y = normal(40, 1), normal(30, 1, seed=1) + 1
    places = np.sort(np.concatenate([x, y]).ravel())
    between = np.diff(places)
    f, g = ((places[:-1, None] >= sample.numpy().T).mean(axis=1) for sample in (x, y))
    assert energy_distance(x, y) == pytest.approx(2 * float((between * (f - g) ** 2).sum()), rel=1e-5)
    assert energy_distance(x, x) == pytest.approx(0, abs=1e-12)


def test_a_mode_needs_a_tenth_of_its_share() -> None:
    modes = torch.tensor([[0.0, 0.0], [4.0, 0.0]])
    samples = torch.zeros(100, 2)
    samples[:4, 0] = 4  # a tenth of its share would be 5
    samples[50:60, 1] = 1
    assert coverage(samples, modes, 0.1) == (1, 0.9)
    samples[4, 0] = 4.4
    assert coverage(samples, modes, 0.1) == (2, 0.9)
    scores = generation_scores(samples, samples, {})
    assert scores == {"energy_distance": pytest.approx(0, abs=1e-12), "modes": 0, "on_mode": 0}


def test_the_probe_is_linear_discriminant_analysis() -> None:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    labels = torch.arange(90) % 3
    codes = normal(3, 2)[labels] * 1.5 + normal(90, 2, seed=1)
    probe = Probe(2, 4)  # the fourth class has no example
    probe.fit(codes, labels)
    theirs = LinearDiscriminantAnalysis(solver="lsqr").fit(codes.numpy(), labels.numpy()).predict(codes.numpy())
    assert (probe(codes).numpy() == theirs).mean() > 0.97
    assert set(probe(codes).tolist()) <= {0, 1, 2}


def test_the_probe_reads_a_code_that_says_nothing() -> None:
    probe = Probe(3, 2)
    probe.fit(torch.ones(10, 3), torch.tensor([0] * 7 + [1] * 3))
    assert probe(torch.ones(4, 3)).tolist() == [0] * 4
