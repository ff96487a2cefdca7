"""Linear models: an affine map of the monomials of the preprocessed inputs.

    answer = W m(x) + b,    minimized: mean loss + lam (r |W|_1 + (1 - r)/2 |W|²)

The loss is cross-entropy (logistic regression) or squared error of standardized targets (ridge, lasso, elastic net:
H. Zou and T. Hastie, Regularization and variable selection via the elastic net, 2005). r is 0 for l2 and 1 for l1.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from itertools import combinations_with_replacement

import torch
from torch import Tensor, nn

from workers.data.loading import Data, Examples
from workers.families.blocks import Settings, infeasible
from workers.families.linear.solver import minimum
from workers.rows import Facts
from workers.training.learner import Epoch, Learner
from workers.training.optimizers import make_optimizer
from workers.training.preprocessing import MinMax, Standardize, Unscaled
from workers.training.supervised import Classifier, Forecaster, Regressor, Supervised

MOST_MONOMIALS = 20_000


def build(settings: Settings, facts: Facts) -> Learner:
    inputs, degree = math.prod(facts.shape), settings["poly"]
    features = math.comb(inputs + degree, degree) - 1
    if features > MOST_MONOMIALS:
        raise infeasible(
            f"{inputs} inputs have {features} monomials up to degree {degree}, more than {MOST_MONOMIALS}: lower poly"
        )
    # products are brought to the scale of the inputs; whitened or not, they vary
    scale = {"none": Unscaled, "minmax": MinMax}.get(settings.get("preprocessing", "standard"), Standardize)
    network = nn.Sequential(Monomials(facts.shape, degree, scale), nn.Linear(features, facts.outputs))
    kinds: Mapping[str, type[Penalized]] = {
        "classification": LinearClassifier,
        "regression": LinearRegressor,
        "forecasting": LinearForecaster,
    }
    return kinds[facts.task](network, settings, facts)


class Monomials(nn.Module):
    """x -> all products of up to `degree` inputs (with themselves, too), on one `scale`.

    [batch, *shape] -> [batch, C(inputs + degree, degree) - 1]; degree by degree, the inputs themselves first
    """

    def __init__(self, shape: tuple[int, ...], degree: int, scale: type[Standardize] = Standardize) -> None:
        super().__init__()
        inputs = math.prod(shape)
        self.factors = []
        for power in range(2, degree + 1):
            table = torch.tensor(list(combinations_with_replacement(range(inputs), power)))  # [monomials, power]
            self.factors.append(table)
        features = math.comb(inputs + degree, degree) - 1
        self.standardize = scale((features,))

    def products(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        parts = [x]
        for table in self.factors:
            columns = [x[:, factor] for factor in table.T.to(x.device)]
            parts.append(torch.stack(columns).prod(dim=0))
        return torch.cat(parts, dim=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.standardize(self.products(x))
        return out


class Penalized(Supervised):
    """A linear answer whose weights cost something."""

    network: nn.Sequential

    def __init__(self, network: nn.Module, settings: Settings, facts: Facts) -> None:
        super().__init__(network, settings, facts)
        penalty = settings["penalty"]
        self.lam = 0.0 if penalty == "none" else settings["lam"]
        self.l1 = {"none": 0.0, "l1": 1.0, "l2": 0.0, "elastic": settings["l1_ratio"]}[penalty]

    @property
    def affine(self) -> nn.Linear:
        last = self.network[1]
        assert isinstance(last, nn.Linear)
        return last

    @property
    def monomials(self) -> Monomials:
        first = self.network[0]
        assert isinstance(first, Monomials)
        return first

    @abstractmethod
    def misfit(self, answers: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of the network's answers [batch, outputs]."""

    def prepare(self, data: Data) -> None:
        super().prepare(data)
        self.monomials.standardize.fit(data.train.inputs, lambda x: self.monomials.products(self.standardize(x)))

    def penalty(self, weight: Tensor) -> Tensor:
        size: Tensor = self.l1 * weight.abs().sum() + (1 - self.l1) / 2 * weight.square().sum()
        return self.lam * size

    def loss(self, batch: Examples, rng: torch.Generator) -> Tensor:
        assert batch.targets is not None
        return self.misfit(self.answer(batch.inputs), batch.targets) + self.penalty(self.affine.weight)

    def optimizers(self) -> list[torch.optim.Optimizer]:
        """The penalty is part of the loss, so weights do not decay besides."""
        if self.settings["solver"] == "lbfgs":
            return []
        return [make_optimizer(self, {**self.settings, "weight_decay": 0.0})]

    def train_epoch(self, epoch: Epoch) -> float:
        if self.settings["solver"] == "sgd":
            return super().train_epoch(epoch)
        examples = epoch.examples.to(epoch.device)
        targets = examples.targets
        assert targets is not None
        with torch.no_grad():
            features = self.monomials(self.standardize(examples.inputs)).double()
            if epoch.number == 0:  # where many solutions are as good, the one near 0
                nn.init.zeros_(self.affine.weight)
                nn.init.zeros_(self.affine.bias)

        def loss(weight: Tensor, bias: Tensor) -> Tensor:
            return self.misfit(features @ weight.T + bias, targets)

        return minimum(self.affine, loss, l1=self.lam * self.l1, l2=self.lam * (1 - self.l1))


class LinearClassifier(Penalized, Classifier):
    def misfit(self, answers: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.cross_entropy(answers, targets)


class LinearRegressor(Penalized, Regressor):
    def misfit(self, answers: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.mse_loss(answers, ((targets - self.mean) / self.deviation).to(answers.dtype))


class LinearForecaster(LinearRegressor, Forecaster):
    pass
