"""Networks that answer with the distribution of standardized targets, trained on its log density.

shared_var   N(m(x), s²)               one s for all inputs: least squares, with the noise measured
gauss        N(m(x), v(x))             D. Nix and A. Weigend 1994
mixture      sum of w_k(x) N(m_k(x), v_k(x))   C. Bishop, Mixture density networks, 1994

v = exp(raw) + floor: without a floor, a Gaussian on one training example could have any density. The density of early,
wrong means pushes variances up instead of mending the means; so for the first part of the training v is constant.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from workers.data.loading import Data, Examples
from workers.families.blocks import Settings, dense
from workers.rows import Facts
from workers.training.learner import Epoch
from workers.training.predictive import Mixture
from workers.training.supervised import EVALUATION_BATCH, Regressor


def build(settings: Settings, facts: Facts) -> DensityNetwork:
    return DensityNetwork(network(settings, facts), settings, facts)


def components(settings: Settings) -> int:
    return int(settings["components"]) if settings["head"] == "mixture" else 1


def network(settings: Settings, facts: Facts) -> nn.Module:
    """[batch, *shape] -> [batch, outputs · numbers · components]; the numbers are mean, log variance and logit, as far
    as the head has them."""
    numbers = {"shared_var": 1, "gauss": 2, "mixture": 3}[settings["head"]]
    layers: list[nn.Module] = [nn.Flatten()]
    features = math.prod(facts.shape)
    for _ in range(settings["depth"]):
        layers.append(dense(settings, features, settings["width"]))
        features = settings["width"]
    return nn.Sequential(*layers, nn.Linear(features, facts.outputs * numbers * components(settings)))


class DensityNetwork(Regressor):
    """`forward` answers [batch, 2, outputs]: the mean and the standard deviation, in units of the targets."""

    centres: Tensor

    def __init__(self, network: nn.Module, settings: Settings, facts: Facts) -> None:
        super().__init__(network, settings, facts)
        self.components = components(settings)
        self.first = 1 / self.components  # the deviation of a component before variances are learnt
        self.register_buffer("centres", torch.zeros(facts.outputs, self.components))
        if settings["head"] == "shared_var":
            self.log_variance = nn.Parameter(torch.zeros(facts.outputs))
        self.means_only = False

    def prepare(self, data: Data) -> None:
        """The components begin at quantiles of the training targets: alike, none would find a part of its own."""
        super().prepare(data)
        assert data.train.targets is not None
        if self.components > 1:
            targets = (data.train.targets.to(self.mean.device) - self.mean) / self.deviation
            levels = (torch.arange(self.components, device=targets.device) + 0.5) / self.components
            self.centres.copy_(torch.quantile(targets.double(), levels.double(), dim=0).T)

    def distribution(self, inputs: Tensor) -> Mixture:
        """Of the standardized targets."""
        outputs, count = self.facts.outputs, self.components
        answer = self.answer(inputs).view(len(inputs), outputs, -1, count).to(self.mean.dtype)
        means = answer[:, :, 0] + self.centres
        if self.settings["head"] == "shared_var":
            return Mixture.gaussian(means[..., 0], torch.exp(self.log_variance / 2))
        if self.means_only:
            deviations = torch.full_like(means, self.first)
        else:
            variances = self.first**2 * torch.exp(answer[:, :, 1])
            deviations = (variances + self.settings["var_floor"]).sqrt()
        if self.settings["head"] == "gauss":
            return Mixture.gaussian(means[..., 0], deviations[..., 0])
        return Mixture(answer[:, :, 2].softmax(dim=-1), means, deviations)

    def forward(self, inputs: Tensor) -> Tensor:
        found = self.distribution(inputs)
        return torch.stack([found.mean * self.deviation + self.mean, found.deviation * self.deviation], dim=1)

    def loss(self, batch: Examples, rng: torch.Generator) -> Tensor:
        assert batch.targets is not None
        return -self.distribution(batch.inputs).log_density((batch.targets - self.mean) / self.deviation).sum(1).mean()

    def train_epoch(self, epoch: Epoch) -> float:
        self.means_only = epoch.progress(0) < self.settings["mean_first"]
        loss = super().train_epoch(epoch)
        self.means_only = False
        return loss

    def evaluate(self, examples: Examples, rng: torch.Generator) -> Mapping[str, float]:
        self.eval()
        assert examples.targets is not None
        device = self.mean.device
        parts = [self.distribution(part.to(device)) for part in torch.split(examples.inputs, EVALUATION_BATCH)]
        found = Mixture(
            *(
                torch.cat([getattr(part, name) for part in parts]).double()
                for name in ("weights", "means", "deviations")
            )
        )
        targets = (examples.targets.to(device) - self.mean) / self.deviation
        return found.scores(targets.double(), self.deviation.double())
