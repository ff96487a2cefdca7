"""Users who rated alike tell how a user will rate (P. Resnick et al., GroupLens, 1994), about the baseline, with
similarities that few common ratings shrink (Y. Koren 2010).

    rating = baseline(u, i) + sum over v of s_uv d_vi / sum over v of s_uv,      d = rating - baseline
    s_uv = cos(d_u, d_v over the items of both) · n_uv / (n_uv + shrinkage)

over the `neighbours` users v, most similar to u, who rated i and have s_uv > 0. There is nothing to descend on.
"""

from __future__ import annotations

import torch
from torch import Tensor

from workers.data.loading import Data, Examples
from workers.families.blocks import Settings, infeasible
from workers.families.recommender.network import Recommender, ratings_of
from workers.rows import Facts
from workers.training.learner import Epoch

SHRINKAGE = 50.0  # common ratings that halve a similarity
DOUBT = 0.5
MOST_NUMBERS = 2 * 10**8


class Neighbours(Recommender):
    """Deviations [items, users], NaN where there is no rating, and similarities [users, users]."""

    deviations: Tensor
    similarity: Tensor

    def __init__(self, settings: Settings, facts: Facts) -> None:
        super().__init__(settings, facts)
        numbers = self.users * (self.items + self.users)
        if numbers > MOST_NUMBERS:
            raise infeasible(
                f"knn keeps {numbers} numbers for {self.users} users and {self.items} items, more than {MOST_NUMBERS}; "
                "choose another model"
            )
        self.register_buffer("deviations", torch.full((self.items, self.users), torch.nan))
        self.register_buffer("similarity", torch.zeros(self.users, self.users))

    def prepare(self, data: Data) -> None:
        super().prepare(data)
        user, item, rating = ratings_of(data.train.to(self.mean.device))
        self.deviations.fill_(torch.nan)
        self.deviations[item, user] = rating - self.baseline(user, item)
        rated = (~self.deviations.isnan()).float()
        d = self.deviations.nan_to_num()
        common = rated.T @ rated
        squares = d.square().T @ rated  # [u, v]: of u's deviations, over the items that v rated, too
        cosine = (d.T @ d) / (squares * squares.T).sqrt().clamp(min=1e-9)
        self.similarity.copy_((cosine * common / (common + SHRINKAGE)).fill_diagonal_(0))

    def estimate(self, user: Tensor, item: Tensor) -> Tensor:
        theirs = self.deviations[item]  # [n, users]
        weights = torch.where(theirs.isnan(), 0, self.similarity[user].clamp(min=0))
        best, who = weights.topk(min(self.settings["neighbours"], self.users), dim=1)
        total = (best * theirs.gather(1, who).nan_to_num()).sum(dim=1)
        return self.baseline(user, item) + total / (best.sum(dim=1) + DOUBT)

    def loss(self, batch: Examples, rng: torch.Generator) -> Tensor:
        return self.errors(batch).square().mean()

    def train_epoch(self, epoch: Epoch) -> float:
        """The squared error of the training ratings, of which each is told by those of others."""
        return float(self.errors(epoch.examples.to(epoch.device)).square().mean())
