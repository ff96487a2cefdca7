"""Learners of tasks with targets: a network that answers [batch, outputs], and the loss and the scores of its task."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

from workers.data.loading import Data, Examples
from workers.families.blocks import Dropout, Noise
from workers.rows import Facts
from workers.training.learner import Learner
from workers.training.preprocessing import preprocessing_of
from workers.training.prior import begin_with_the_prior
from workers.training.settings import Settings
from workers.training.strengths import cross_entropy

EVALUATION_BATCH = 1024


def supervised(network: nn.Module, settings: Settings, facts: Facts) -> Learner:
    """`network` maps preprocessed inputs [batch, *shape] to [batch, outputs]."""
    kinds: Mapping[str, Callable[..., Learner]] = {
        "classification": Classifier,
        "regression": Regressor,
        "forecasting": Forecaster,
    }
    return kinds[facts.task](network, settings, facts)


class Supervised(Learner):
    """Brings the inputs to a common scale, which the training examples tell, and asks the network."""

    def __init__(self, network: nn.Module, settings: Settings, facts: Facts) -> None:
        super().__init__(settings, facts)
        self.standardize = preprocessing_of(settings, facts.shape)
        self.corrupt = nn.Sequential(
            Dropout(settings.get("input_dropout", 0.0)), Noise("input_noise", settings.get("input_noise", 0.0))
        )
        self.network = network

    def prepare(self, data: Data) -> None:
        self.standardize.fit(data.train.inputs)

    def begin(self, data: Data) -> None:
        targets = data.train.targets
        if self.settings.get("prior_bias") and targets is not None and not targets.is_floating_point():
            begin_with_the_prior(self.network, targets, self.facts.outputs, self.settings)

    def answer(self, inputs: Tensor) -> Tensor:
        """[batch, outputs] of the network."""
        network = self.network if self.training or self.committee is None else self.committee
        out: Tensor = network(self.corrupt(self.standardize(inputs)))
        return out

    def response(self, inputs: Tensor) -> Tensor:
        return self.answer(inputs)

    @property
    def input_scale(self) -> Tensor:
        return self.standardize.deviation

    def forward(self, inputs: Tensor) -> Tensor:
        return self.answer(inputs)

    @torch.no_grad()
    def answers(self, examples: Examples) -> Iterator[tuple[Tensor, Tensor]]:
        """The network's answers and the targets, in batches."""
        self.eval()
        device = next(self.buffers()).device
        for start in range(0, len(examples), EVALUATION_BATCH):
            batch = examples[start : start + EVALUATION_BATCH].to(device)
            assert batch.targets is not None
            yield self.answer(batch.inputs), batch.targets


class Classifier(Supervised):
    """`forward` answers logits [batch, classes]."""

    def loss(self, batch: Examples, rng: torch.Generator) -> Tensor:
        assert batch.targets is not None
        smoothing = self.settings.get("label_smoothing", 0.0)
        return cross_entropy(self.answer(batch.inputs), batch.targets, smoothing)

    def evaluate(self, examples: Examples, rng: torch.Generator) -> Mapping[str, float]:
        loss, correct = torch.zeros((), dtype=torch.float64), 0
        for logits, labels in self.answers(examples):
            loss += nn.functional.cross_entropy(logits.float(), labels, reduction="sum").double().cpu()
            correct += int((logits.argmax(dim=1) == labels).sum())
        return {"accuracy": correct / len(examples), "loss": float(loss / len(examples))}


class Regressor(Supervised):
    """Learns standardized targets; `forward` answers [batch, outputs] in units of the targets."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: nn.Module, settings: Settings, facts: Facts) -> None:
        super().__init__(network, settings, facts)
        self.register_buffer("mean", torch.zeros(facts.outputs))
        self.register_buffer("deviation", torch.ones(facts.outputs))

    def prepare(self, data: Data) -> None:
        super().prepare(data)
        assert data.train.targets is not None
        deviation, mean = torch.std_mean(data.train.targets.double(), dim=0, correction=0)
        self.mean.copy_(mean)
        self.deviation.copy_(torch.where(deviation > 0, deviation, 1))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.answer(inputs) * self.deviation + self.mean

    def loss(self, batch: Examples, rng: torch.Generator) -> Tensor:
        assert batch.targets is not None
        return nn.functional.mse_loss(self.answer(batch.inputs), (batch.targets - self.mean) / self.deviation)

    def evaluate(self, examples: Examples, rng: torch.Generator) -> Mapping[str, float]:
        pairs = list(self.answers(examples))
        answers, targets = (torch.cat(column).double() for column in zip(*pairs, strict=True))
        error = answers - (targets - self.mean) / self.deviation
        squared = (error * self.deviation).square().mean(dim=0)  # in units of the target
        variance = targets.var(dim=0, correction=0)
        variance = torch.where(variance > 0, variance, self.deviation.double() ** 2)  # of one target, or equal ones
        return {
            "r2": float((1 - squared / variance).mean()),
            "rmse": math.sqrt(float(squared.mean())),
            "loss": float(error.square().mean()),
        }


class Forecaster(Regressor):
    """The next value of a series, of which the inputs are the last steps."""

    def evaluate(self, examples: Examples, rng: torch.Generator) -> Mapping[str, float]:
        scores = super().evaluate(examples, rng)
        return {"nrmse": math.sqrt(1 - scores["r2"]), "rmse": scores["rmse"], "loss": scores["loss"]}
