"""MADE and NADE: p(x) = Π p(x_d | x_before d) of binary inputs, exactly.

MADE    one pass of an autoencoder whose masks let the output for x_d see the inputs before it alone
        h = f(b + (W ∘ M) x),  logits = c + (V ∘ M_V) h + (A ∘ M_A) x        M. Germain et al. 2015
NADE    h_d = f(b + W_{:, before d} x_before d),  logit_d = c_d + V_d h_d    H. Larochelle and I. Murray 2011

Several sets of masks share the weights: a training step takes one of them, and what is evaluated is the mean of their
probabilities, which is a distribution again. Inputs are pixels, binarized at half; the order is row by row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from workers.data.loading import Data, Examples
from workers.families.blocks import Dropout, Settings, Sparse, activation, infeasible
from workers.families.made_nade.masks import masks_of, places
from workers.rows import Facts
from workers.training.densities import Binarize, bernoulli_log_prob
from workers.training.learner import Learner

EVALUATION_BATCH = 256
MEMORY = 2**32  # bytes that NADE's hidden layers may take
TRAINED, ANSWERED = 6, 4  # copies of them, as measured: of a batch in training, of one that is evaluated


def build(settings: Settings, facts: Facts) -> Learner:
    inputs = math.prod(facts.shape)
    if settings["model"] == "nade" and settings["optimizer"] != "lbfgs":
        require_memory(settings, inputs, settings["batch_size"] * settings["batch_growth"] ** 2)  # it grows twice
    network = MADE(settings, inputs) if settings["model"] == "made" else NADE(settings, inputs)
    return Autoregressive(network, settings, facts)


def require_memory(settings: Settings, inputs: int, examples: int) -> None:
    """NADE has a hidden layer for every input of every example of a batch."""
    needed = 4 * inputs * settings["hidden"] * max(TRAINED * examples, ANSWERED * EVALUATION_BATCH)
    if needed > MEMORY:
        raise infeasible(
            f"nade's {inputs} hidden layers of {settings['hidden']} units for {examples} examples at once take "
            f"{needed / 2**30:.1f} GiB, more than {MEMORY / 2**30:.0f}: lower hidden or batch_size, or take model made"
        )


class Autoregressive(Learner):
    """`forward` answers log p(x) [n], nats."""

    def __init__(self, network: MADE | NADE, settings: Settings, facts: Facts) -> None:
        super().__init__(settings, facts)
        self.binarize = Binarize(facts.inputs, facts.shape)
        self.network = network

    def prepare(self, data: Data) -> None:
        if isinstance(self.network, NADE) and self.settings["optimizer"] == "lbfgs":  # which takes all at once
            require_memory(self.settings, math.prod(self.facts.shape), len(data.train))
        self.binarize.fit(data.train.inputs)

    def forward(self, inputs: Tensor) -> Tensor:
        x = self.binarize(inputs).flatten(1)
        each = [bernoulli_log_prob(self.network(x, number), x) for number in range(self.network.sets)]
        return torch.stack(each).logsumexp(dim=0) - math.log(len(each))

    def loss(self, batch: Examples, rng: torch.Generator) -> Tensor:
        x = self.binarize(batch.inputs).flatten(1)
        number = int(torch.randint(self.network.sets, (), generator=rng))
        return -bernoulli_log_prob(self.network(x, number), x).mean()

    def evaluate(self, examples: Examples, rng: torch.Generator) -> Mapping[str, float]:
        self.eval()
        device, total = self.binarize.threshold.device, 0.0
        for start in range(0, len(examples), EVALUATION_BATCH):
            total -= float(self(examples.inputs[start : start + EVALUATION_BATCH].to(device)).double().sum())
        return {"nats": total / len(examples)}


class MADE(nn.Module):
    """x [n, D] of 0 and 1, and the number of a set of masks -> logits [n, D]"""

    def __init__(self, settings: Settings, inputs: int) -> None:
        super().__init__()
        units, layers, self.sets = settings["hidden"], settings["layers"], settings["masks"]
        sets = [masks_of(inputs, units, layers, settings["order"], number) for number in range(self.sets)]
        hidden = zip(*(each.hidden for each in sets), strict=True)
        self.hidden = nn.ModuleList(MaskedLinear(torch.stack(masks)) for masks in hidden)
        self.activations = nn.ModuleList(activation(settings) for _ in range(layers))
        self.dropout = Dropout(settings["dropout"])
        direct = torch.stack([each.direct for each in sets])
        self.direct = MaskedLinear(direct, bias=False) if settings["direct"] else None
        self.output = MaskedLinear(torch.stack([each.output for each in sets]))

    def forward(self, x: Tensor, number: int) -> Tensor:
        h = x
        for layer, act in zip(self.hidden, self.activations, strict=True):
            h = self.dropout(act(layer(h, number)))
        logits: Tensor = self.output(h, number)
        return logits if self.direct is None else logits + self.direct(x, number)


class MaskedLinear(nn.Linear, Sparse):
    """(W ∘ M) x + b with one of several masks [sets, outputs, inputs]."""

    masks: Tensor

    def __init__(self, masks: Tensor, bias: bool = True) -> None:
        _, outputs, inputs = masks.shape
        super().__init__(inputs, outputs, bias)
        self.register_buffer("masks", masks, persistent=False)  # they follow from the settings
        self.unread = int((masks.amax(dim=0) == 0).sum())

    def forward(self, x: Tensor, number: int = 0) -> Tensor:
        return nn.functional.linear(x, self.weight * self.masks[number], self.bias)


class NADE(nn.Module):
    """x [n, D] of 0 and 1 -> logits [n, D]; a hidden layer [n, units] for each of the D inputs."""

    place: Tensor
    sets = 1

    def __init__(self, settings: Settings, inputs: int) -> None:
        super().__init__()
        self.read = nn.Linear(inputs, settings["hidden"])  # W and b
        self.activation = activation(settings)
        self.dropout = Dropout(settings["dropout"])
        self.answer = nn.Linear(settings["hidden"], inputs)  # V and c
        self.register_buffer("place", places(inputs, settings["order"], 0) - 1, persistent=False)

    def forward(self, x: Tensor, number: int = 0) -> Tensor:
        order = self.place.argsort()  # [D]: which input comes at each place
        added = x[:, order, None] * self.read.weight.T[order]  # [n, D, units]: what each input adds to those after it
        before = nn.functional.pad(added.cumsum(dim=1)[:, :-1], (0, 0, 1, 0))
        h = self.dropout(self.activation(before + self.read.bias))
        logits: Tensor = torch.einsum("ndu,du->nd", h, self.answer.weight[order]) + self.answer.bias[order]
        return logits[:, self.place]
