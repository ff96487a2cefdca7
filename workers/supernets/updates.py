"""Who learns what: weights from one half of the examples, the architecture from the other.

weights  the weights alone
bilevel  in turns, step by step; the architecture first                (H. Liu, K. Simonyan and Y. Yang, DARTS, 2019)
pairs    in turns; the architecture by comparing two operations at a time      (H. Cai, L. Zhu and S. Han 2019)
policy   the weights for an epoch, then a controller for some steps                                (H. Pham et al. 2018)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from spaces.values import Config
from workers.data.loading import Examples
from workers.supernets import perturbation
from workers.supernets.bilevel import Loss, Step, first_order, second_order
from workers.supernets.controller import Controller
from workers.supernets.costs import total
from workers.supernets.mixture import Mixes
from workers.supernets.pairs import drawn_pairs, expected_cost, gate_gradient, gated, rescale, with_cost
from workers.supernets.relaxation import Relaxation, Softmax, of_config
from workers.supernets.supernet import Supernet, evaluating


@dataclass
class Work:
    """What an epoch of a search may draw on. `draws` is for the architecture, on the CPU; `noise` for layers, on the
    device. `optimizer` is that of the weights. `warmup` epochs train weights alone."""

    model: Supernet
    relaxation: Relaxation
    optimizer: torch.optim.SGD
    options: Mapping[str, Any]
    epoch: int
    horizon: int
    validation: Iterator[Examples]
    draws: torch.Generator
    noise: torch.Generator
    perturbations: torch.Generator
    costs: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def warming(self) -> bool:
        return self.epoch < round(float(self.options.get("warmup", 0)) * self.horizon)

    def mixes(self) -> Mixes:
        return self.relaxation.mixes(self.draws)

    def repeated(self, batch: Examples) -> Loss:
        """The loss of the batch, with the same draws at every call: those of the first one."""
        draws, noise = self.draws.get_state(), self.noise.get_state()

        def loss() -> Tensor:
            self.draws.set_state(draws)
            self.noise.set_state(noise)
            return self.model.loss(batch, self.mixes())

        return loss

    def of_weights(self, batch: Examples) -> Tensor:
        """What a step of the weights descends on: the loss under an architecture that stays as it is."""
        mixes = without_gradient(self.mixes())
        if "perturbation" not in self.options:
            return self.model.loss(batch, mixes)
        options = self.options
        epsilon = perturbation.size(self.epoch, self.horizon, options["epsilon_start"], options["epsilon_end"])
        if options["perturbation"] == "random":
            mixes = perturbation.random(mixes, epsilon, self.perturbations)
        else:
            noise = self.noise.get_state()

            def loss(moved: Mixes) -> Tensor:
                self.noise.set_state(noise)
                return self.model.loss(batch, moved)

            mixes = without_gradient(perturbation.adversarial(mixes, epsilon, options["ascent"], loss))
        return self.model.loss(batch, mixes)


def without_gradient(mixes: Mixes) -> Mixes:
    return {
        kind: replace(
            mix, weights=mix.weights.detach(), edges=None if mix.edges is None else mix.edges.detach(), carried=False
        )
        for kind, mix in mixes.items()
    }


class Weights:
    """Of the architecture nothing is learnt. The base of all others."""

    def __init__(self, relaxation: Relaxation, options: Mapping[str, Any]) -> None:
        self.relaxation, self.options = relaxation, options
        self.optimizer = self.make_optimizer()

    def make_optimizer(self) -> torch.optim.Optimizer | None:
        return None

    def before_weights(self, work: Work, step: int, train: Examples, lr: float) -> None:
        """Before each step of the weights, on the same batch and with the same learning rate."""

    def end_epoch(self, work: Work) -> Mapping[str, float]:
        """After an epoch of the weights: what there is to report."""
        return {}


class Bilevel(Weights):
    betas = (0.5, 0.999)

    def make_optimizer(self) -> torch.optim.Optimizer:
        learnt, options = list(self.relaxation.parameters()), self.options
        return torch.optim.Adam(learnt, lr=options["alpha_lr"], betas=self.betas, weight_decay=options["alpha_decay"])

    def before_weights(self, work: Work, step: int, train: Examples, lr: float) -> None:
        batch = next(work.validation)  # also while warming up, so that the order of batches is always the same
        if work.warming:
            return
        alphas = list(self.relaxation.parameters())
        validation = work.repeated(batch)

        def penalized() -> Tensor:
            return validation() + self.relaxation.penalty()

        if self.options.get("order", "first") == "second":
            found = second_order(work.repeated(train), penalized, alphas, Step.of(work.optimizer, lr))
        else:
            found = first_order(penalized, alphas)
        self.step(alphas, found)

    def step(self, alphas: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
        assert self.optimizer is not None
        for alpha, gradient in zip(alphas, gradients, strict=True):
            alpha.grad = gradient
        self.optimizer.step()


class Pairs(Bilevel):
    betas = (0.0, 0.999)  # what is not compared then stays where it is

    def before_weights(self, work: Work, step: int, train: Examples, lr: float) -> None:
        batch = next(work.validation)
        if work.warming or step % self.options["alpha_every"]:
            return
        assert isinstance(self.relaxation, Softmax)
        alphas = dict(self.relaxation.alphas.items())
        pairs = drawn_pairs(self.relaxation.means(), work.draws)
        logits = {kind: each.detach() for kind, each in self.relaxation.logits().items()}
        mixes, gates = gated(logits, pairs, work.draws)
        loss = work.model.loss(batch, mixes)
        if work.costs:
            cost = expected_cost(self.relaxation.means(), work.costs)
            reference = self.options.get("cost_reference") or total(work.costs, self.relaxation.masks)
            loss = with_cost(loss, cost, reference, self.options["cost_form"], self.options.get("cost_weight"))
        together = torch.autograd.grad(loss, [*gates.values(), *alphas.values()], materialize_grads=True)
        of_gates, of_cost = together[: len(gates)], together[len(gates) :]
        found, before = list[Tensor](), {kind: alpha.detach().clone() for kind, alpha in alphas.items()}
        for (kind, pair), gate, cost_slope in zip(pairs.items(), of_gates, of_cost, strict=True):
            law = logits[kind].gather(1, pair).softmax(dim=1)
            slope = gate_gradient(law, gate) + cost_slope.gather(1, pair)
            found.append(torch.zeros_like(before[kind]).scatter_(1, pair, slope))
        self.step(list(alphas.values()), found)
        for kind, alpha in alphas.items():
            rescale(alpha, before[kind], pairs[kind])


class Policy(Weights):
    betas = (0.0, 0.999)

    def make_optimizer(self) -> torch.optim.Optimizer:
        learnt = self.relaxation.parameters()
        return torch.optim.Adam(learnt, lr=self.options["controller_lr"], betas=self.betas, eps=1e-3)

    def end_epoch(self, work: Work) -> Mapping[str, float]:
        controller, options, optimizer = self.relaxation, self.options, self.optimizer
        assert isinstance(controller, Controller)
        assert optimizer is not None

        def reward(config: Config) -> float:
            batch = next(work.validation)
            mixes = of_config(controller.architecture, config, batch.inputs.device)
            return work.model.scores(batch, mixes)["accuracy"]

        with evaluating(work.model):
            rewards = [
                controller.learn(
                    optimizer,
                    options["controller_samples"],
                    reward,
                    work.draws,
                    options["entropy"],
                    options["baseline_decay"],
                )
                for _ in range(options["controller_steps"])
            ]
        return {"reward": sum(rewards) / len(rewards)}


UPDATES: Mapping[str, type[Weights]] = {"weights": Weights, "bilevel": Bilevel, "pairs": Pairs, "policy": Policy}
