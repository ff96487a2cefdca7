"""Recommenders that descend on the squared error of a rating, with a penalty on what its user and item have for their
own.

bias      mean + b_u + b_i
mf        mean + b_u + b_i + p_u · q_i              Y. Koren, R. Bell and C. Volinsky 2009
svdpp     mean + b_u + b_i + (p_u + n_u) · q_i      Y. Koren, Factorization meets the neighborhood, 2008
neural    mean + b_u + b_i + net([p_u, q_i])        X. He et al., Neural collaborative filtering, 2017
content   mean + b_u + (t + t_u) · x_i              M. Pazzani and D. Billsus, Content-based recommendation, 2007

x_i are features of the item; t is the taste of all, t_u what a user's taste adds to it. n_u is the sum of y_j over the
items j that u rated, over the root of their number: what somebody watched tells of the taste, too.

With `item_features` an item's b_i and q_i are what a linear map of x_i tells, plus its own: an item with few ratings is
as others like it (D. Agarwal and B. Chen, Regression-based latent factor models, 2009).

The sum over all ratings is that of squared errors + reg |v|² for every vector v of a user or an item, + bias_reg b² for
their biases: the mode of a normal prior, which many ratings outweigh.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from workers.data.loading import Data, Examples
from workers.families.blocks import Settings
from workers.families.recommender.network import Recommender, ratings_of
from workers.families.recommender.rated import RatedItems
from workers.rows import Facts
from workers.training.learner import Epoch
from workers.training.preprocessing import Standardize


class Table(nn.Linear):
    """`size` numbers and a bias for each of `rows`: an affine layer that is read row by row."""

    def __init__(self, size: int, rows: int) -> None:
        super().__init__(size, rows)

    def read(self, row: Tensor) -> tuple[Tensor, Tensor]:
        """[n] -> [n, size] and [n]"""
        return self.weight[row], self.bias[row]


class Features(nn.Module):
    """What is known of the items, standardized: [n] -> [n, size]"""

    table: Tensor

    def __init__(self, items: int, size: int) -> None:
        super().__init__()
        self.standardize = Standardize((size,))
        self.register_buffer("table", torch.zeros(items, size))

    def fit(self, data: Data) -> None:
        self.standardize.fit(data.context["features"])
        self.table.copy_(self.standardize(data.context["features"]))

    def forward(self, item: Tensor) -> Tensor:
        return self.table[item]


@dataclass(frozen=True, slots=True)
class Described:
    """Estimates [n], and the squares [n] of what user and item have of their own: their vectors and their biases."""

    estimate: Tensor
    of_user: tuple[Tensor, Tensor]
    of_item: tuple[Tensor, Tensor]


class Descending(Recommender):
    @abstractmethod
    def described(self, user: Tensor, item: Tensor) -> Described: ...

    def estimate(self, user: Tensor, item: Tensor) -> Tensor:
        return self.described(user, item).estimate

    def loss(self, batch: Examples, rng: torch.Generator) -> Tensor:
        user, item, rating = ratings_of(batch)
        found = self.described(user, item)
        cost, reg = (found.estimate - rating).square(), self.settings["reg"]
        for share, (vector, bias) in (
            (self.per_user[user], found.of_user),
            (self.per_item[item], found.of_item),
        ):
            cost = cost + share * (reg * vector + self.settings["bias_reg"] * bias)
        return cost.mean()


class Biases(Descending):
    def __init__(self, settings: Settings, facts: Facts) -> None:
        super().__init__(settings, facts)
        self.user_bias = nn.Parameter(torch.zeros(self.users))
        self.item_bias = nn.Parameter(torch.zeros(self.items))

    def described(self, user: Tensor, item: Tensor) -> Described:
        b, c = self.user_bias[user], self.item_bias[item]
        none = torch.zeros_like(b)
        return Described(self.mean + b + c, (none, b.square()), (none, c.square()))


class Factorization(Descending):
    def __init__(self, settings: Settings, facts: Facts) -> None:
        super().__init__(settings, facts)
        factors = settings["factors"]
        self.user_table = Table(factors, self.users)
        self.item_table = Table(factors, self.items)
        self.features = Features(self.items, facts.sizes["features"]) if settings["item_features"] else None
        if self.features is not None:
            self.told = nn.Parameter(torch.zeros(facts.sizes["features"], factors + 1))

    def prepare(self, data: Data) -> None:
        super().prepare(data)
        if self.features is not None:
            self.features.fit(data)

    def described(self, user: Tensor, item: Tensor) -> Described:
        (p, b), (q, c) = self.user_table.read(user), self.item_table.read(item)
        of_user, of_item = (p.square().sum(dim=1), b.square()), (q.square().sum(dim=1), c.square())
        if self.features is not None:
            told, seen = self.features(item) @ self.told, self.item_seen[item]
            q, c = told[:, :-1] + q * seen[:, None], told[:, -1] + c * seen
        return Described(self.mean + b + c + self.interaction(self.taste(user, p), q), of_user, of_item)

    def known(self, user: Tensor, item: Tensor) -> Tensor:
        return super().known(user, item) if self.features is None else self.user_seen[user]

    def taste(self, user: Tensor, own: Tensor) -> Tensor:
        """[n, factors] of users [n], who have the factors `own` [n, factors]."""
        return own

    def interaction(self, p: Tensor, q: Tensor) -> Tensor:
        """[n] of factors [n, size]"""
        return (p * q).sum(dim=1)


class Implicit(Factorization):
    """SVD++. `watched` [users, factors] is n_u after the last epoch, which answers; what n_u follows from is only there
    where the training examples are."""

    watched: Tensor

    def __init__(self, settings: Settings, facts: Facts) -> None:
        super().__init__(settings, facts)
        self.hints = nn.Parameter(torch.zeros(self.items, settings["factors"]))  # y
        self.register_buffer("watched", torch.zeros(self.users, settings["factors"]))
        self.rated: RatedItems | None = None
        self.learning = False

    def prepare(self, data: Data) -> None:
        super().prepare(data)
        self.rated = RatedItems(data.train.inputs, self.users, self.items)

    def taste(self, user: Tensor, own: Tensor) -> Tensor:
        return own + (self.sums() if self.learning else self.watched)[user]

    def sums(self) -> Tensor:
        """[users, factors]"""
        assert self.rated is not None, "it was prepared"
        return self.rated.sums(self.hints)

    def loss(self, batch: Examples, rng: torch.Generator) -> Tensor:
        self.learning = True
        cost = super().loss(batch, rng)
        self.learning = False
        hints: Tensor = self.settings["reg"] / self.ratings * self.hints.square().sum()
        return cost + hints

    def train_epoch(self, epoch: Epoch) -> float:
        loss = super().train_epoch(epoch)
        with torch.no_grad():
            self.watched.copy_(self.sums())
        return loss


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

    def __init__(self, settings: Settings, facts: Facts) -> None:
        super().__init__(settings, facts)
        size = facts.sizes["features"]
        self.features = Features(self.items, size)
        self.taste = nn.Parameter(torch.zeros(size))
        self.user_taste = nn.Parameter(torch.zeros(self.users, size))
        self.user_bias = nn.Parameter(torch.zeros(self.users))

    def prepare(self, data: Data) -> None:
        super().prepare(data)
        self.features.fit(data)

    def known(self, user: Tensor, item: Tensor) -> Tensor:
        return torch.ones_like(self.user_seen[user])

    def described(self, user: Tensor, item: Tensor) -> Described:
        x, own, b = self.features(item), self.user_taste[user], self.user_bias[user]
        none = torch.zeros_like(b)
        estimate = self.mean + b + ((self.taste + own) * x).sum(dim=1)
        return Described(estimate, (own.square().sum(dim=1), b.square()), (none, none))
