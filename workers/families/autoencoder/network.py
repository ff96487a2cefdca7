"""The autoencoder: code = f(x), reconstruction = g(code), trained to give x again.

    depth hidden layers of `width` -> code -> depth hidden layers of `width` -> reconstruction

With depth 0 and squared error it spans the space of the principal components. What keeps the code from being a mere
copy is its `kind`:

under        its size                                           G. Hinton and R. Salakhutdinov 2006
sparse_l1    + penalty · Σ |code|
sparse_kl    + penalty · Σ KL(sparsity || mean activation)      sigmoid code; A. Ng, Sparse autoencoder, 2011
k_sparse     all but its k largest units are 0                  A. Makhzani and B. Frey, k-sparse autoencoders, 2014
contractive  + penalty · ||d code / d x||²                      sigmoid code; S. Rifai et al. 2011
denoising    the inputs are corrupted, the target is not        P. Vincent et al. 2008

A decoder can make up for a code that is scaled down, so an L1 penalty bites only together with weight decay or with
tied weights; the sigmoid keeps the other two from that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn

from workers.data.loading import Data, Examples
from workers.families.autoencoder.inputs import Range, corrupted
from workers.families.blocks import Dropout, Settings, dense, infeasible, unit
from workers.rows import Facts
from workers.training.descent import descend
from workers.training.learner import Epoch, Learner
from workers.training.preprocessing import Standardize
from workers.training.probe import Probe, are_classes

EVALUATION_BATCH = 1024
SIGMOID_CODES = ("sparse_kl", "contractive")


def build(settings: Settings, facts: Facts) -> Learner:
    if settings["kind"] == "k_sparse" and settings["active_units"] > settings["code"]:
        raise infeasible(
            f"{settings['active_units']} active units are more than the code's {settings['code']}: lower active_units"
        )
    if settings["kind"] == "contractive" and settings["norm"] == "batch":
        raise infeasible(
            "a contractive code needs the derivative of each example by itself, and batch normalization mixes them: "
            "choose another norm"
        )
    return Autoencoder(settings, facts)


class Autoencoder(Learner):
    """`forward` answers reconstructions [n, *shape], in units of the inputs."""

    def __init__(self, settings: Settings, facts: Facts) -> None:
        super().__init__(settings, facts)
        width, code = settings["width"], settings["code"]
        sizes = [math.prod(facts.shape), *[width] * settings["depth"], code]
        self.standardize = Standardize(facts.shape)
        self.range = Range(facts.inputs, facts.shape)
        self.bounded = facts.inputs == "image" or settings["loss"] == "bce"
        hidden = [dense(settings, *pair) for pair in pairwise(sizes[:-1])]
        self.encoder = nn.Sequential(*hidden, nn.Linear(sizes[-2], code))
        back: list[nn.Module] = []
        for layer in reversed(self.encoder):
            affine = layer[0] if isinstance(layer, nn.Sequential) else layer
            assert isinstance(affine, nn.Linear)
            back.append(Transposed(affine) if settings["tied"] else nn.Linear(affine.out_features, affine.in_features))
            if len(back) < len(self.encoder):
                back += [*unit(settings, width, dimensions=0), Dropout(settings["dropout"])]
        self.decoder = nn.Sequential(*back)
        self.probe = Probe(code, facts.outputs)

    def prepare(self, data: Data) -> None:
        self.standardize.fit(data.train.inputs)
        self.range.fit(data.train.inputs)

    def train_epoch(self, epoch: Epoch) -> float:
        loss = descend(self, epoch)
        if are_classes(epoch.examples.targets):
            self._fit_probe(epoch.examples, epoch.device)
        return loss

    def forward(self, inputs: Tensor) -> Tensor:
        return self.decode(self.encode(self.standardize(inputs)))

    def encode(self, x: Tensor) -> Tensor:
        """Standardized inputs [n, *shape] -> codes [n, code]"""
        code: Tensor = self.encoder(x.flatten(1))
        match self.settings["kind"]:
            case "sparse_kl" | "contractive":
                return torch.sigmoid(code)
            case "k_sparse":
                values, units = code.topk(self.settings["active_units"], dim=1)
                return torch.zeros_like(code).scatter(1, units, values)
            case _:
                return code

    def decode(self, code: Tensor) -> Tensor:
        """Codes [n, code] -> reconstructions [n, *shape], in units of the inputs"""
        out = self.outputs(code)
        if self.bounded:
            return self.range.up(torch.sigmoid(out))
        return out * self.standardize.deviation + self.standardize.mean

    def outputs(self, code: Tensor) -> Tensor:
        """[n, *shape]: the logits of the place within the range, or standardized reconstructions."""
        out: Tensor = self.decoder(code)
        return out.reshape(-1, *self.facts.shape)

    def loss(self, batch: Examples, rng: torch.Generator) -> Tensor:
        seen = batch.inputs
        if self.settings["kind"] == "denoising":
            seen = corrupted(seen, self.settings, self.standardize, self.range, rng)
        seen = self.standardize(seen)
        if self.settings["kind"] == "contractive":
            seen = seen.detach().requires_grad_()
        code = self.encode(seen)
        if self.settings["loss"] == "bce":
            target = self.range.down(batch.inputs)
            error = nn.functional.binary_cross_entropy_with_logits(self.outputs(code), target, reduction="none")
        else:
            scaled = (self.decode(code) - self.standardize.mean) / self.standardize.deviation
            error = (scaled - self.standardize(batch.inputs)).square()
        known = ~batch.inputs.isnan()
        return (error * known).sum() / known.sum().clamp_min(1) + self.penalty(code, seen)

    def penalty(self, code: Tensor, x: Tensor) -> Tensor:
        """The kind's own term, of codes [n, code] of inputs x [n, *shape]; 0 for those without."""
        match self.settings["kind"]:
            case "sparse_l1":
                term = code.abs().sum(dim=1).mean()
            case "sparse_kl":
                wanted, active = self.settings["sparsity"], code.mean(dim=0).clamp(1e-6, 1 - 1e-6)
                term = (wanted * (wanted / active).log() + (1 - wanted) * ((1 - wanted) / (1 - active)).log()).sum()
            case "contractive":
                term = squared_jacobian(code, x).mean()
            case _:
                return code.new_zeros(())
        weighted: Tensor = term * self.settings["penalty"]
        return weighted

    def evaluate(self, examples: Examples, rng: torch.Generator) -> Mapping[str, float]:
        self.eval()
        device = self.probe.bias.device
        squared, shown, right = torch.zeros((), dtype=torch.float64), 0, 0
        for start in range(0, len(examples), EVALUATION_BATCH):
            batch = examples[start : start + EVALUATION_BATCH].to(device)
            code = self.encode(self.standardize(batch.inputs))
            error = (self.decode(code) - batch.inputs).double()
            known = ~batch.inputs.isnan()
            squared += error[known].square().sum().cpu()
            shown += int(known.sum())
            if batch.targets is not None and are_classes(batch.targets):
                right += int((self.probe(code) == batch.targets).sum())
        return {"mse": float(squared) / max(1, shown), "probe_accuracy": right / len(examples)}

    @torch.no_grad()
    def _fit_probe(self, examples: Examples, device: torch.device) -> None:
        self.eval()
        batches = (examples[start : start + EVALUATION_BATCH] for start in range(0, len(examples), EVALUATION_BATCH))
        codes = [self.encode(self.standardize(batch.inputs.to(device))) for batch in batches]
        assert examples.targets is not None
        self.probe.fit(torch.cat(codes), examples.targets.to(device))


class Transposed(nn.Module):
    """h W + b, with the weight W [outputs, inputs] of another layer: from its outputs back to its inputs."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(layer.in_features))
        self._layer = (layer,)  # in a tuple, so that the weight is not a parameter a second time

    def forward(self, h: Tensor) -> Tensor:
        return nn.functional.linear(h, self._layer[0].weight.T, self.bias)


def squared_jacobian(code: Tensor, x: Tensor) -> Tensor:
    """[n]: Σ (d code_j / d x_i)² over all j and i, of codes [n, code] that follow from x [n, *shape] one by one."""
    one = torch.eye(code.shape[1], dtype=code.dtype, device=code.device)
    directions = one[:, None, :].expand(-1, len(code), -1)  # [code, n, code]: a backward pass per unit of the code
    (rows,) = torch.autograd.grad(code, x, directions, create_graph=True, is_grads_batched=True)
    return rows.square().transpose(0, 1).flatten(1).sum(dim=1)
