"""q(z|x): a diagonal Gaussian, which planar flows may bend; and the priors p(z) that it is compared with."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from workers.families.blocks import Settings, dense
from workers.training.densities import gaussian_kl, gaussian_log_prob

LOG_DEVIATION = (-7.0, 5.0)  # further out, exp over- or underflows in training


class Encoder(nn.Module):
    """x [n, d] -> mean and log deviation [n, latent] of the Gaussian, and the flows' parameters
    [n, flows, 2 latent + 1]."""

    def __init__(self, settings: Settings, inputs: int) -> None:
        super().__init__()
        self.latent = settings["latent"]
        self.flows = settings["flows"] if settings["posterior"] == "planar" else 0
        sizes = [inputs, *[settings["width"]] * settings["depth"]]
        self.hidden = nn.Sequential(*(dense(settings, *pair) for pair in pairwise(sizes)))
        self.out = nn.Linear(sizes[-1], 2 * self.latent + self.flows * (2 * self.latent + 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        parts = self.out(self.hidden(x)).float() if x.dtype != torch.float64 else self.out(self.hidden(x))
        mean, log_deviation, flows = parts.split([self.latent, self.latent, self.flows * (2 * self.latent + 1)], dim=1)
        return mean, log_deviation.clamp(*LOG_DEVIATION), flows.unflatten(1, (self.flows, 2 * self.latent + 1))


def planar_flow(z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
    """z + u tanh(w z + b), and log |det| of its derivative: [n, latent] -> [n, latent], [n]

    `parameters` [n, 2 latent + 1] are u, w, b of each example. u is moved along w so far that w u > -1, which makes
    the map invertible (D. Rezende and S. Mohamed, Variational inference with normalizing flows, 2015, appendix A.1).
    """
    latent = z.shape[1]
    u, w, b = parameters[:, :latent], parameters[:, latent:-1], parameters[:, -1:]
    inner = (u * w).sum(dim=1, keepdim=True)
    allowed = nn.functional.softplus(inner) - 1
    u = u + (allowed - inner) * w / w.square().sum(dim=1, keepdim=True).clamp_min(1e-6)
    bend = torch.tanh((z * w).sum(dim=1, keepdim=True) + b)
    slope = ((1 - bend.square()) * w * u).sum(dim=1)  # h'(w z + b) w u, more than -1
    return z + u * bend, torch.log1p(slope.clamp_min(-1 + 1e-6))


class PseudoPrior(nn.Module):
    """p(z) = 1/k Σ N(z; mean(u_j), deviation(u_j)) of pseudo-inputs u [k, d], which training fits
    (J. Tomczak and M. Welling, VAE with a VampPrior, 2018). With flows it is the Gaussians before them."""

    def __init__(self, count: int, inputs: int) -> None:
        super().__init__()
        self.inputs = nn.Parameter(torch.zeros(count, inputs))

    @torch.no_grad()
    def fit(self, examples: Tensor) -> None:
        """Pseudo-inputs start as these examples [pseudo-inputs, d]."""
        self.inputs.copy_(examples)

    def log_prob(self, z: Tensor, encoder: Encoder) -> Tensor:
        """[n, latent] -> [n]"""
        mean, log_deviation, _ = encoder(self.inputs)
        return gaussian_log_prob(z[:, None], mean, log_deviation).logsumexp(dim=1) - math.log(len(mean))

    def draw(self, n: int, encoder: Encoder, rng: torch.Generator) -> Tensor:
        """[n, latent]"""
        mean, log_deviation, _ = encoder(self.inputs)
        which = torch.randint(len(mean), (n,), generator=rng).to(mean.device)
        z: Tensor = mean[which] + torch.exp(log_deviation[which]) * gaussian_noise((n, mean.shape[1]), mean, rng)
        return z


class Posterior(nn.Module):
    """q(z|x) and its divergence from p(z)."""

    def __init__(self, settings: Settings, inputs: int) -> None:
        super().__init__()
        self.encoder = Encoder(settings, inputs)
        self.prior = PseudoPrior(settings["pseudo_inputs"], inputs) if settings["prior"] == "pseudo" else None
        self.closed_form = self.prior is None and self.encoder.flows == 0

    def forward(self, x: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Of x [n, d]: one z each [n, latent], and what estimates KL(q(z|x) || p(z)) without bias: [n, latent] in
        closed form, for a Gaussian against a Gaussian; else log q(z|x) - log p(z) [n, 1]."""
        mean, log_deviation, flows = self.encoder(x)
        z = first = mean + torch.exp(log_deviation) * gaussian_noise(mean.shape, mean, rng)
        if self.closed_form:
            return z, gaussian_kl(mean, log_deviation)
        log_q = gaussian_log_prob(first, mean, log_deviation)
        for parameters in flows.unbind(dim=1):
            z, log_det = planar_flow(z, parameters)
            log_q = log_q - log_det
        return z, (log_q - self.log_prior(z))[:, None]

    def log_prior(self, z: Tensor) -> Tensor:
        if self.prior is not None:
            return self.prior.log_prob(z, self.encoder)
        return gaussian_log_prob(z, torch.zeros_like(z), torch.zeros_like(z))

    def draw(self, n: int, rng: torch.Generator) -> Tensor:
        """[n, latent] from the prior"""
        if self.prior is not None:
            return self.prior.draw(n, self.encoder, rng)
        return gaussian_noise((n, self.encoder.latent), self.encoder.out.bias, rng)


def gaussian_noise(shape: tuple[int, ...], like: Tensor, rng: torch.Generator) -> Tensor:
    """Drawn on the CPU, so that the device makes no difference."""
    return torch.randn(shape, generator=rng, dtype=like.dtype).to(like.device)
