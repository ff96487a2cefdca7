"""Echo state networks: the reservoir is drawn once and never trained, the readout is a ridge regression.

    h[t] = (1 - leak) h[t-1] + leak tanh(V x[t] + U h[t-1] + b)       H. Jaeger 2001; leaky units: H. Jaeger et al. 2007
    y = W [1, x[t], h[t], h[t]^2 where quadratic]

Classification: the readout is fitted to the mean over the steps after the washout; its targets are 0 and 1 per class.
Forecasting: at each step after the washout the target is the next value, and the answer is the last step's. Where what
is to be predicted is not the series itself, the readout is fitted to the last step alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from workers.data.loading import Examples
from workers.families.blocks import Settings
from workers.families.esn.ridge import Ridge, softmax_scale
from workers.families.rnn.network import as_steps
from workers.rows import Facts
from workers.training.learner import Epoch, Learner
from workers.training.supervised import Classifier, Forecaster

BATCH = 64  # sequences at a time
Rows = Iterator[tuple[Tensor, Tensor]]  # what the readout reads [n, size], and its targets [n, outputs]


def build(settings: Settings, facts: Facts) -> Learner:
    network = EchoState(settings, facts)
    kind = EchoClassifier if facts.task == "classification" else EchoForecaster
    return kind(network, settings, facts)


class EchoState(nn.Module):
    """[batch, *shape] -> [batch, outputs]"""

    inward: Tensor
    within: Tensor
    bias: Tensor
    scale: Tensor

    def __init__(self, settings: Settings, facts: Facts) -> None:
        super().__init__()
        self.settings = settings
        steps, _, features = as_steps(torch.empty(1, *facts.shape)).shape
        width = settings["width"]
        self.averages = facts.task == "classification"
        self.first = min(steps - 1, round(settings["washout"] * steps))  # first step that the readout uses
        self.register_buffer("inward", torch.zeros(width, features))
        self.register_buffer("within", torch.zeros(width, width))
        self.register_buffer("bias", torch.zeros(width))
        self.register_buffer("scale", torch.ones(()))
        size = 1 + features + width * (2 if settings["quadratic"] else 1)
        self.readout = nn.Parameter(torch.zeros(facts.outputs, size))

    @torch.no_grad()
    def draw(self, rng: torch.Generator) -> None:
        """The reservoir: weights are uniform around 0; those within are then scaled to the spectral radius."""
        width, scale = len(self.bias), self.settings["input_scale"]
        self.inward.copy_((2 * torch.rand(self.inward.shape, generator=rng) - 1) * scale)
        self.bias.copy_((2 * torch.rand(width, generator=rng) - 1) * scale)
        weights = 2 * torch.rand(width, width, generator=rng) - 1
        weights *= torch.rand(width, width, generator=rng) < self.settings["density"]
        radius = float(torch.linalg.eigvals(weights).abs().max())
        # few connections may form no loop; then nothing echoes, whatever the scale is
        self.within.copy_(weights * (self.settings["spectral_radius"] / radius) if radius > 1e-6 else weights)

    def stepwise(self, x: Tensor) -> Iterator[Tensor]:
        """[batch, *shape] -> [batch, size] for each step after the washout: what the readout reads of it."""
        steps, leak = as_steps(x), self.settings["leak"]
        drive = nn.functional.linear(steps, self.inward, self.bias)
        h = drive.new_zeros(drive.shape[1:])
        one = h.new_ones(len(h), 1)
        for t, (given, now) in enumerate(zip(steps, drive, strict=True)):
            h = (1 - leak) * h + leak * torch.tanh(now + nn.functional.linear(h, self.within))
            if t >= self.first:
                yield torch.cat([one, given, h, *([h.square()] if self.settings["quadratic"] else [])], dim=1)

    def readings(self, x: Tensor) -> Tensor:
        """All of them: [batch, steps after the washout, size]."""
        return torch.stack(list(self.stepwise(x)), dim=1)

    def read(self, x: Tensor) -> Tensor:
        """[batch, *shape] -> [batch, size]: what the answer follows from. Only one step is held at a time."""
        readings = self.stepwise(x)
        result = next(readings)
        for count, reading in enumerate(readings, start=2):
            result = result + (reading - result) / count if self.averages else reading
        return result

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * nn.functional.linear(self.read(x), self.readout)


class EchoClassifier(Classifier):
    network: EchoState

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return []

    @torch.no_grad()
    def train_epoch(self, epoch: Epoch) -> float:
        """The mean squared error of the readout. What it answers are no logits: they become some by the factor that
        makes the predictions of examples that were left out most probable."""
        ridge = fitted(self.network, lambda: self.rows(epoch), epoch)
        left_out, targets = (torch.cat(column) for column in zip(*ridge.left_out(self.rows(epoch)), strict=True))
        self.network.scale.copy_(softmax_scale(left_out, targets.argmax(dim=1)))
        return ridge.error(self.rows(epoch))

    def rows(self, epoch: Epoch) -> Rows:
        for batch in batches(epoch):
            assert batch.targets is not None
            targets = nn.functional.one_hot(batch.targets, self.facts.outputs)
            yield self.network.read(self.standardize(batch.inputs)).double(), targets.double()


class EchoForecaster(Forecaster):
    network: EchoState

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return []

    @torch.no_grad()
    def train_epoch(self, epoch: Epoch) -> float:
        return fitted(self.network, lambda: self.rows(epoch), epoch).error(self.rows(epoch))

    def rows(self, epoch: Epoch) -> Rows:
        for batch in batches(epoch):
            assert batch.targets is not None
            readings, targets = self.network.readings(self.standardize(batch.inputs)), batch.targets[:, None]
            following = as_steps(batch.inputs).transpose(0, 1)[:, self.network.first + 1 :]
            if following.shape[2] == targets.shape[2]:
                targets = torch.cat([following, targets], dim=1)
            else:
                readings = readings[:, -1:]
            known = ~targets.isnan().any(dim=2)
            yield readings[known].double(), ((targets - self.mean) / self.deviation)[known].double()


def fitted(network: EchoState, rows: Callable[[], Rows], epoch: Epoch) -> Ridge:
    """Draws the reservoir, in the first epoch, and fits the readout. A second epoch would change nothing."""
    if epoch.number == 0:
        network.draw(epoch.stream("initialization"))
    ridge = Ridge(rows(), network.settings["ridge"], len(epoch.examples))
    network.readout.copy_(ridge.weights)
    return ridge


def batches(epoch: Epoch) -> Iterator[Examples]:
    for start in range(0, len(epoch.examples), BATCH):
        yield epoch.examples[start : start + BATCH].to(epoch.device)
