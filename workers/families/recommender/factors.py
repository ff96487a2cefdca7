"""Recommenders that descend on the squared error of a rating, with a penalty on all that its user and item have.

bias      mean + b_u + b_i
mf        mean + b_u + b_i + p_u · q_i          Y. Koren, R. Bell and C. Volinsky 2009
neural    mean + b_u + b_i + net([p_u, q_i])    X. He et al., Neural collaborative filtering, 2017
content   mean + b_u + (t + t_u) · x_i          M. Pazzani and D. Billsus, Content-based recommendation systems, 2007

x_i are features of the item; t is the taste of all, t_u what a user's taste adds to it.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from workers.data.loading import Data, Examples
from workers.families.blocks import Settings
from workers.families.recommender.network import Recommender, ratings_of
from workers.rows import Facts
from workers.training.preprocessing import Standardize


class Table(nn.Linear):
    """`size` numbers and a bias for each of `rows`: an affine layer that is read row by row."""

    def __init__(self, size: int, rows: int) -> None:
        super().__init__(size, rows)

    def read(self, row: Tensor) -> tuple[Tensor, Tensor]:
        """[n] -> [n, size] and [n]"""
        return self.weight[row], self.bias[row]


class Descending(Recommender):
    """`described` answers the estimates [n] and what they cost [n], the squares of the numbers behind them."""

    @abstractmethod
    def described(self, user: Tensor, item: Tensor) -> tuple[Tensor, Tensor]: ...

    def estimate(self, user: Tensor, item: Tensor) -> Tensor:
        return self.described(user, item)[0]

    def loss(self, batch: Examples, rng: torch.Generator) -> Tensor:
        user, item, rating = ratings_of(batch)
        estimate, squares = self.described(user, item)
        cost: Tensor = (estimate - rating).square() + self.settings["reg"] * squares
        return cost.mean()


class Biases(Descending):
    def __init__(self, settings: Settings, facts: Facts) -> None:
        super().__init__(settings, facts)
        self.user_bias = nn.Parameter(torch.zeros(self.users))
        self.item_bias = nn.Parameter(torch.zeros(self.items))

    def described(self, user: Tensor, item: Tensor) -> tuple[Tensor, Tensor]:
        b, c = self.user_bias[user], self.item_bias[item]
        return self.mean + b + c, b.square() + c.square()


class Factorization(Descending):
    def __init__(self, settings: Settings, facts: Facts) -> None:
        super().__init__(settings, facts)
        self.user_table = Table(settings["factors"], self.users)
        self.item_table = Table(settings["factors"], self.items)

    def described(self, user: Tensor, item: Tensor) -> tuple[Tensor, Tensor]:
        (p, b), (q, c) = self.user_table.read(user), self.item_table.read(item)
        squares = b.square() + c.square() + p.square().sum(dim=1) + q.square().sum(dim=1)
        return self.mean + b + c + self.interaction(p, q), squares

    def interaction(self, p: Tensor, q: Tensor) -> Tensor:
        """[n] of factors [n, size]"""
        return (p * q).sum(dim=1)


class Neural(Factorization):
    def __init__(self, settings: Settings, facts: Facts) -> None:
        super().__init__(settings, facts)
        hidden = settings["hidden"]
        self.network = nn.Sequential(
            nn.Linear(2 * settings["factors"], hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden // 2),
            nn.ReLU(),
            nn.Linear(hidden // 2, 1),
        )

    def interaction(self, p: Tensor, q: Tensor) -> Tensor:
        out: Tensor = self.network(torch.cat([p, q], dim=1))[:, 0]
        return out


class Content(Descending):
    """Needs nothing of an item but its features: no item is unknown to it."""

    features: Tensor

    def __init__(self, settings: Settings, facts: Facts) -> None:
        super().__init__(settings, facts)
        size = facts.sizes["features"]
        self.standardize = Standardize((size,))
        self.register_buffer("features", torch.zeros(self.items, size))
        self.taste = nn.Parameter(torch.zeros(size))
        self.user_taste = nn.Parameter(torch.zeros(self.users, size))
        self.user_bias = nn.Parameter(torch.zeros(self.users))

    def prepare(self, data: Data) -> None:
        super().prepare(data)
        self.standardize.fit(data.context["features"])
        self.features.copy_(self.standardize(data.context["features"]))

    def known(self, user: Tensor, item: Tensor) -> Tensor:
        return torch.ones_like(self.user_seen[user])

    def described(self, user: Tensor, item: Tensor) -> tuple[Tensor, Tensor]:
        x, own, b = self.features[item], self.user_taste[user], self.user_bias[user]
        return self.mean + b + ((self.taste + own) * x).sum(dim=1), b.square() + own.square().sum(dim=1)
