from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch

from workers.catalogue import Facts
from workers.data.loading import Data, Examples
from workers.families.blocks import initialize
from workers.families.vae.decoders import PixelCNN
from workers.families.vae.network import VAE, build
from workers.families.vae.posterior import Encoder, PseudoPrior, planar_flow
from workers.protocol import Failure, FailureClass
from workers.training.learner import Epoch
from workers.training.settings import Settings
from workers.training.streams import stream

IMAGES = Facts(task="density", inputs="image", shape=(1, 4, 4), outputs=0)
DRAWS = 20_000
TABLE = Facts(task="density", inputs="table", shape=(2,), outputs=0)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def learner_of(settings: Settings, facts: Facts, inputs: torch.Tensor) -> VAE:
    learner = build(settings, facts)
    assert isinstance(learner, VAE)
    initialize(learner, "he", stream(0, "initialization"))
    learner.prepare(Data(Examples(inputs), Examples(inputs)))
    return learner.eval()


def images(n: int = 20) -> torch.Tensor:
    return torch.rand(n, 1, 4, 4, generator=stream(1, "loss"))


def test_a_planar_flow_has_the_determinant_it_says() -> None:
    rng = stream(0, "loss")
    z, parameters = torch.randn(50, 3, generator=rng), 3 * torch.randn(50, 7, generator=rng)
    _, log_det = planar_flow(z, parameters)
    for i in range(50):
        jacobian = torch.autograd.functional.jacobian(
            lambda one, i=i: planar_flow(one[None], parameters[i : i + 1])[0][0], z[i]
        )
        determinant = float(torch.linalg.det(jacobian))
        assert determinant > 0, "the flow is invertible"
        assert float(log_det[i]) == pytest.approx(math.log(determinant), abs=1e-4)


def test_the_pseudo_prior_is_the_mean_of_the_posteriors(settings: Callable[..., Settings]) -> None:
    encoder = Encoder(settings("vae", latent=2, width=8), 4)
    initialize(encoder, "he", stream(0, "initialization"))
    prior = PseudoPrior(3, 4)
    x = torch.rand(3, 4, generator=stream(1, "loss"))
    prior.fit(x)
    z = torch.randn(5, 2, generator=stream(2, "loss"))
    mean, log_deviation, _ = encoder(x)
    each = torch.distributions.Normal(mean, log_deviation.exp()).log_prob(z[:, None]).sum(dim=2).exp()
    torch.testing.assert_close(prior.log_prob(z, encoder), each.mean(dim=1).log())


@pytest.mark.parametrize("prior", ["normal", "pseudo"])
@pytest.mark.parametrize("posterior", ["diag", "planar"])
def test_the_bound_is_below_the_evidence(posterior: str, prior: str, settings: Callable[..., Settings]) -> None:
    """With one latent, p(x) is an integral that a sum on a grid gives."""
    chosen = settings("vae", latent=1, width=8, posterior=posterior, prior=prior, pseudo_inputs=5)
    x = images(6)
    learner = learner_of(chosen, IMAGES, x)
    with torch.no_grad():
        learner.posterior.encoder.out.weight.mul_(0.3)  # q as wide as p(z|x), which importance sampling needs
        grid = torch.linspace(-12, 12, 4001)[:, None]
        logits = learner.decoder(grid, torch.zeros(len(grid), 1, 4, 4))
        likelihood = torch.distributions.Bernoulli(logits=logits[:, None]).log_prob(learner.binarize(x))
        joint = likelihood.flatten(2).sum(dim=2) + learner.posterior.log_prior(grid)[:, None]  # [grid, n]
        evidence = joint.logsumexp(dim=0) + math.log(24 / 4000)  # the grid's step
        nats = learner.evaluate(Examples(x), stream(0, "evaluation"))["nats"]
        log_likelihood, divergence = learner.terms(x.repeat(DRAWS, 1, 1, 1), stream(0, "evaluation"))
        bound = (log_likelihood - divergence.sum(dim=1)).reshape(DRAWS, 6)
    assert -nats < float(evidence.mean()) + 0.5
    assert (bound.mean(dim=0) < evidence).all()
    if (
        posterior == "planar" or prior == "pseudo"
    ):  # no term is in closed form: the bound's draws are importance weights
        error = bound.logsumexp(dim=0) - math.log(DRAWS) - evidence
        assert float(error.abs().median()) < 0.03, "some p(z|x) have tails that 20,000 draws do not reach"


def test_a_gaussian_density_is_in_units_of_the_inputs(settings: Callable[..., Settings]) -> None:
    """Inputs that are ten times as large are as many times less dense."""
    x = torch.randn(30, 2, generator=stream(1, "loss"))
    chosen = settings("vae", latent=2, width=8)
    small, large = learner_of(chosen, TABLE, x), learner_of(chosen, TABLE, 10 * x)
    difference = small(x) - large(10 * x)
    torch.testing.assert_close(difference, torch.full_like(difference, 2 * math.log(10)), atol=0.02, rtol=0)


@pytest.mark.parametrize("depth", [1, 3])
def test_a_pixel_depends_on_those_before_it_alone(depth: int, settings: Callable[..., Settings]) -> None:
    decoder = PixelCNN(settings("vae", latent=2, width=64, depth=depth, activation="tanh"), (1, 4, 4))
    initialize(decoder, "he", stream(0, "initialization"))
    z = torch.randn(1, 2, generator=stream(0, "loss"))
    derivative = torch.autograd.functional.jacobian(lambda x: decoder(z, x).flatten(), images(1)).flatten(1)
    later = torch.ones(16, 16).triu().bool()
    assert (derivative[later] == 0).all()
    assert (derivative[1:].abs().amax(dim=1) > 0).all()


def test_probabilities_of_a_pixelcnn_sum_to_one_given_the_latents(settings: Callable[..., Settings]) -> None:
    facts = replace(IMAGES, shape=(1, 2, 3))
    everything = torch.tensor(list(itertools.product([0.0, 1.0], repeat=6))).reshape(-1, 1, 2, 3)
    learner = learner_of(settings("vae", latent=2, width=32, decoder="pixelcnn"), facts, everything)
    logits = learner.decoder(torch.ones(64, 2), learner.seen(everything))
    log_prob = torch.distributions.Bernoulli(logits=logits).log_prob(everything).flatten(1).sum(dim=1)
    assert float(log_prob.detach().exp().sum()) == pytest.approx(1, abs=1e-5)


def test_the_divergence_gets_its_weight_little_by_little(settings: Callable[..., Settings]) -> None:
    x = images()
    learner = learner_of(settings("vae", width=8, kl_warmup=0.5, batch_size=20), IMAGES, x)
    weights = []
    for number in range(4):
        epoch = Epoch(
            number,
            4,
            Examples(x),
            learner.settings,
            learner.optimizers(),
            torch.device("cpu"),
            nullcontext,
            lambda purpose, device=None, number=number: stream(0, purpose, number, device),
        )
        learner.train_epoch(epoch)
        weights.append(learner.weight)
    assert weights == [0.25, 0.75, 1, 1]


@pytest.mark.parametrize(("posterior", "parts"), [("diag", 4), ("planar", 1)])
def test_free_nats_cost_nothing(posterior: str, parts: int, settings: Callable[..., Settings]) -> None:
    chosen = settings("vae", latent=4, width=32, decoder="pixelcnn", free_nats=0.5, posterior=posterior)
    learner = learner_of(chosen, IMAGES, images())
    assert float(learner.costly(torch.zeros(20, parts))) == pytest.approx(4 * 0.5)
    assert float(learner.costly(torch.full((20, parts), 9.0))) == pytest.approx(parts * 9.0)


@pytest.mark.parametrize("config", [{}, {"decoder": "conv"}, {"decoder": "pixelcnn"}, {"likelihood": "gauss"}])
def test_samples_are_like_examples(config: dict[str, Any], settings: Callable[..., Settings]) -> None:
    learner = learner_of(settings("vae", latent=2, width=32, **config), IMAGES, images())
    samples = learner.sample(7, stream(0, "evaluation"))
    assert samples.shape == (7, 1, 4, 4)
    assert torch.isfinite(samples).all()
    binary = ((samples == 0) | (samples == 1)).all()
    assert bool(binary) != (config.get("likelihood") == "gauss")


def test_generation_is_scored_by_samples(settings: Callable[..., Settings]) -> None:
    x = torch.randn(30, 2, generator=stream(1, "loss"))
    facts = replace(TABLE, task="generation")
    learner = learner_of(settings("vae", latent=2, width=8), facts, x)
    with torch.no_grad():
        scores = learner.evaluate(Examples(x), stream(0, "evaluation"))
    assert set(scores) == {"energy_distance", "modes", "on_mode"}


def test_images_are_made_of_pixels_only(settings: Callable[..., Settings]) -> None:
    with pytest.raises(Failure, match="a conv decoder makes images") as refused:
        build(settings("vae", decoder="conv"), TABLE)
    assert refused.value.failure is FailureClass.INFEASIBLE
