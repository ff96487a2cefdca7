"""The variational autoencoder: p(x) = ∫ p(x|z) p(z) dz, and a network for q(z|x).

    log p(x) >= E_q[log p(x|z)] - KL(q(z|x) || p(z))       D. Kingma and M. Welling 2014

Training descends on the negative bound; the divergence gets its weight little by little. The score is the negative
bound with weight 1. A Bernoulli likelihood is of inputs that are binarized at half; a Gaussian one is a density of the
inputs in their own units, its deviation learnt for each input.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from workers.data.loading import Data, Examples
from workers.families.blocks import Settings
from workers.families.vae.decoders import PixelCNN, decoder_of
from workers.families.vae.posterior import Posterior, gaussian_noise
from workers.rows import Facts
from workers.training.densities import Binarize, bernoulli_log_prob, gaussian_log_prob
from workers.training.descent import descend
from workers.training.generation import generation_scores
from workers.training.learner import Epoch, Learner
from workers.training.preprocessing import Standardize

EVALUATION_BATCH = 512
DRAWS = 8  # of z for each example that is evaluated; their mean is the same bound with less noise
SMALLEST_DEVIATION = 0.01  # of an input around its mean, in standard deviations: a constant pixel has no density


def build(settings: Settings, facts: Facts) -> Learner:
    return VAE(settings, facts)


class VAE(Learner):
    """`forward` answers the bound on log p(x) [n], nats."""

    def __init__(self, settings: Settings, facts: Facts) -> None:
        super().__init__(settings, facts)
        likelihood = settings["likelihood"]
        self.binary = likelihood == "bernoulli" or (likelihood == "auto" and facts.inputs == "image")
        self.binarize = Binarize(facts.inputs, facts.shape)
        self.standardize = Standardize(facts.shape)
        self.posterior = Posterior(settings, math.prod(facts.shape))
        self.decoder = decoder_of(settings, facts.shape)
        if not self.binary:
            self.log_deviation = nn.Parameter(torch.zeros(facts.shape))
        self.weight = 1.0  # of the divergence; set anew for every epoch
        self.context: Mapping[str, Tensor] = {}

    def prepare(self, data: Data) -> None:
        self.binarize.fit(data.train.inputs)
        self.standardize.fit(data.train.inputs, self.binarize if self.binary else lambda part: part)
        self.context = data.context
        if self.posterior.prior is not None:
            inputs, count = data.train.inputs, len(self.posterior.prior.inputs)
            spread = (torch.arange(count, device=inputs.device) * len(inputs)) // count
            self.posterior.prior.fit(self.seen(inputs[spread].to(self.standardize.mean.device)).flatten(1))

    def train_epoch(self, epoch: Epoch) -> float:
        warmup = self.settings["kl_warmup"]
        self.weight = min(1.0, epoch.progress(0.5) / warmup) if warmup else 1.0
        return descend(self, epoch)

    def forward(self, inputs: Tensor) -> Tensor:
        rng = torch.Generator().manual_seed(0)  # the same question gets the same answer
        log_likelihood, divergence = self.terms(inputs, rng)
        return log_likelihood - divergence.sum(dim=1)

    def seen(self, inputs: Tensor) -> Tensor:
        """What the encoder reads: standardized inputs, or standardized zeros and ones."""
        out: Tensor = self.standardize(self.binarize(inputs) if self.binary else inputs)
        return out

    def terms(self, inputs: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Of one z for each input: log p(x|z) [n], and the divergence [n, latent] or [n, 1]."""
        seen = self.seen(inputs)
        z, divergence = self.posterior(seen.flatten(1), rng)
        out = self.decoder(z, seen)
        if self.binary:
            return bernoulli_log_prob(out, self.binarize(inputs)), divergence
        density = gaussian_log_prob(seen.flatten(1), out.flatten(1), self.log_deviations().flatten())
        # of the inputs in their own units: standardizing has squeezed them
        squeezed = self.standardize.deviation.expand(self.facts.shape).log().sum()
        return density - squeezed, divergence

    def log_deviations(self) -> Tensor:
        return self.log_deviation.clamp_min(math.log(SMALLEST_DEVIATION))

    def loss(self, batch: Examples, rng: torch.Generator) -> Tensor:
        log_likelihood, divergence = self.terms(batch.inputs, rng)
        return self.weight * self.costly(divergence) - log_likelihood.mean()

    def costly(self, divergence: Tensor) -> Tensor:
        """The mean over the batch of the divergence, of which each latent has `free_nats` free (D. Kingma et al.,
        Improved variational inference with inverse autoregressive flow, 2016); where the divergence is not known
        latent by latent, all together have theirs."""
        free = self.settings["free_nats"] if self.settings["decoder"] == "pixelcnn" else 0.0
        if free == 0:
            return divergence.sum(dim=1).mean()
        each = divergence.mean(dim=0)
        return each.clamp_min(free * self.settings["latent"] / len(each)).sum()

    def evaluate(self, examples: Examples, rng: torch.Generator) -> Mapping[str, float]:
        self.eval()
        device = self.binarize.threshold.device
        if self.facts.task == "generation":
            return generation_scores(self.sample(len(examples), rng), examples.inputs.to(device), self.context)
        total = 0.0
        for start in range(0, len(examples), EVALUATION_BATCH):
            inputs = examples.inputs[start : start + EVALUATION_BATCH].to(device)
            for _ in range(DRAWS):
                log_likelihood, divergence = self.terms(inputs, rng)
                total += float((divergence.sum(dim=1) - log_likelihood).double().sum()) / DRAWS
        return {"nats": total / len(examples)}

    @torch.no_grad()
    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        """[n, *shape] in units of the inputs: z from the prior, then x. `rng` is on the CPU."""
        self.eval()
        z = self.posterior.draw(n, rng)
        seen = z.new_zeros(n, *self.facts.shape)
        if not isinstance(self.decoder, PixelCNN):
            return self._drawn(self.decoder(z, seen), rng)
        x = self._units(seen)
        for row in range(seen.shape[2]):
            for column in range(seen.shape[3]):
                drawn = self._drawn(self.decoder(z, seen), rng)
                x[:, :, row, column] = drawn[:, :, row, column]
                seen = self.seen(x)
        return x

    def _drawn(self, out: Tensor, rng: torch.Generator) -> Tensor:
        """x in units of the inputs from the decoder's outputs [n, *shape]."""
        if self.binary:
            u = torch.rand(out.shape, generator=rng, dtype=out.dtype).to(out.device)
            return (u < torch.sigmoid(out)).to(out.dtype)
        return self._units(out + torch.exp(self.log_deviations()) * gaussian_noise(out.shape, out, rng))

    def _units(self, standardized: Tensor) -> Tensor:
        return standardized * self.standardize.deviation + self.standardize.mean
