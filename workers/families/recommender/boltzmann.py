"""A restricted Boltzmann machine per user; all share the weights, and each has the visible units of what it rated
(R. Salakhutdinov, A. Mnih and G. Hinton, Restricted Boltzmann machines for collaborative filtering, 2007).

Visible units are Gaussian, as in K. Georgiev and P. Nakov, A non-IID framework for collaborative filtering with
restricted Boltzmann machines, 2013: v_i, the rating's deviation from the baseline, in units of its spread; so they
need no biases.

    E(v, h) = sum over rated i of v_i²/2 - sum over j of h_j a_j,   a_j = c_j + sum over rated i of v_i W_ij
    F(v)    = sum over rated i of v_i²/2 - sum over j of log 2 cosh(a_j / 2)

Hidden units are -1/2 or 1/2: with 0 and 1, what they do on the average would be one more bias of every item.

Contrastive divergence descends on F(data) - F(reconstruction); its gradient is that of the two statistics.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from workers.data.loading import Data, Examples
from workers.families.blocks import Settings, infeasible
from workers.families.recommender.network import Recommender, ratings_of
from workers.rows import Facts
from workers.training.descent import descend
from workers.training.learner import Epoch
from workers.training.schedules import link

FIRST_WEIGHTS = 0.1  # of those drawn
MOST_RATINGS = 2 * 10**8


class Boltzmann(Recommender):
    """`shown` [users, items] are the training ratings as visible units, 0 where there is none; `rated` says where."""

    shown: Tensor
    rated: Tensor
    spread: Tensor

    def __init__(self, settings: Settings, facts: Facts) -> None:
        super().__init__(settings, facts)
        if self.users * self.items > MOST_RATINGS:
            raise infeasible(
                f"rbm keeps a table of {self.users} users and {self.items} items, more than {MOST_RATINGS} numbers; "
                "choose another model"
            )
        self.weight = nn.Linear(settings["hidden"], self.items, bias=False)
        self.hidden_bias = nn.Parameter(torch.zeros(settings["hidden"]))
        self.register_buffer("shown", torch.zeros(self.users, self.items))
        self.register_buffer("rated", torch.zeros(self.users, self.items, dtype=torch.bool))
        self.register_buffer("spread", torch.ones(()))

    def prepare(self, data: Data) -> None:
        super().prepare(data)
        user, item, rating = ratings_of(data.train.to(self.mean.device))
        deviation = rating - self.baseline(user, item)
        self.spread.copy_(deviation.square().mean().sqrt().clamp(min=1e-6))
        self.rated.zero_()[user, item] = True
        self.shown.zero_()[user, item] = deviation / self.spread

    def raised(self, visible: Tensor) -> Tensor:
        """The input of the hidden units, [n, hidden], for visible units [n, items] that are 0 where not rated."""
        return self.hidden_bias + visible @ self.weight.weight

    def free_energy(self, visible: Tensor, rated: Tensor) -> Tensor:
        """[n]"""
        parabola = torch.where(rated, visible, 0).square().sum(dim=1) / 2
        raised = self.raised(visible)
        return parabola - (nn.functional.softplus(raised) - raised / 2).sum(dim=1)

    def estimate(self, user: Tensor, item: Tensor) -> Tensor:
        """What the hidden units, on the average, would have the visible unit be."""
        who, where = torch.unique(user, return_inverse=True)
        hidden = (torch.sigmoid(self.raised(self.shown[who])) - 0.5)[where]  # [n, hidden]
        visible = (self.weight.weight[item] * hidden).sum(dim=1)
        return self.baseline(user, item) + self.spread * visible

    def loss(self, batch: Examples, rng: torch.Generator) -> Tensor:
        """Per rating of the batch's users. `rng` draws the hidden states and the reconstruction."""
        who = torch.unique(batch.inputs[:, 0])
        visible, rated = self.shown[who], self.rated[who]
        with torch.no_grad():
            chance = torch.sigmoid(self.raised(visible))
            hidden = (torch.rand(chance.shape, generator=rng).to(chance.device) < chance).float() - 0.5
            noise = torch.randn(visible.shape, generator=rng).to(chance.device)
            again = torch.where(rated, self.weight(hidden) + noise, 0)
        contrast = (self.free_energy(visible, rated) - self.free_energy(again, rated)).sum()
        squares = (rated * self.per_item * self.weight.weight.square().sum(dim=1)).sum()
        total: Tensor = contrast + self.settings["reg"] * squares
        return total / rated.sum()

    def train_epoch(self, epoch: Epoch) -> float:
        """Takes whole users, so many per step that they have `batch_size` ratings on the average.

        Returns the squared error of the training ratings, which each user's hidden units have seen: F has no scale.
        """
        if epoch.number == 0:  # hidden units that know nothing yet shall not disturb the baseline
            with torch.no_grad():
                self.weight.weight.mul_(FIRST_WEIGHTS)
        who = self.user_seen.nonzero()
        size = max(1, len(who) // epoch.steps)
        settled = {"batch_size": size, "batch_growth": 1, "lr_link": "none"}  # which `steps` and rates have in them
        factor, rate = link(epoch.settings), epoch.rate
        settled["lr"] = epoch.settings["lr"] * factor
        linked = None if rate is None else lambda: rate() * factor
        settings = {**epoch.settings, **settled}
        descend(self, replace(epoch, examples=Examples(who), settings=settings, rate=linked))
        self.eval()
        return float(self.errors(epoch.examples).square().mean())
