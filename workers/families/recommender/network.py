"""What all recommenders share: the baseline of kind users and good items, and what to say of the unknown ones."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from workers.data.loading import Data, Examples
from workers.families.blocks import Settings, infeasible
from workers.families.recommender.rated import occurrences
from workers.rows import Facts
from workers.training.learner import Learner
from workers.training.optimizers import make_optimizer
from workers.training.preprocessing import Standardize

# The ratings that deviate by 0, added to those of an item and of a user: Y. Koren, Factor in the neighbors: scalable
# and accurate collaborative filtering, 2010.
ITEM_SHRINKAGE, USER_SHRINKAGE = 5.0, 5.0
CONTENT_RIDGE = 1.0  # of standardized features, per item
EVALUATION_BATCH = 4096


def build(settings: Settings, facts: Facts) -> Learner:
    from workers.families.recommender import boltzmann, factors, neighbours

    kinds: Mapping[str, type[Recommender]] = {
        "bias": factors.Biases,
        "mf": factors.Factorization,
        "svdpp": factors.Implicit,
        "neural": factors.Neural,
        "content": factors.Content,
        "knn": neighbours.Neighbours,
        "rbm": boltzmann.Boltzmann,
    }
    model = settings["model"]
    wants = {
        "model content": model == "content",
        "cold content": settings["cold"] == "content",
        "item_features": model in ("mf", "svdpp", "neural") and settings["item_features"],
    }
    for want, there in wants.items():
        if there and "features" not in facts.sizes:
            raise infeasible(f"nothing is known of these items, which {want} needs: choose another value")
    return kinds[model](settings, facts)


class Recommender(Learner):
    """`forward` maps users and items, int64 [n, 2], to ratings [n, 1] within the range of the training ratings.

    For a known user and a known item it is `estimate`. Else it is the baseline of the known one alone,

        mean + user's deviation + item's deviation

    where an unknown user deviates by 0, and an unknown item by 0 or by what a ridge regression on its features tells.
    """

    mean: Tensor
    low: Tensor
    high: Tensor
    by_user: Tensor
    by_item: Tensor
    ratings: Tensor
    per_user: Tensor
    per_item: Tensor
    user_seen: Tensor
    item_seen: Tensor

    def __init__(self, settings: Settings, facts: Facts) -> None:
        super().__init__(settings, facts)
        self.users, self.items = facts.sizes["users"], facts.sizes["items"]
        for name in ("mean", "low", "high", "ratings"):
            self.register_buffer(name, torch.zeros(()))
        self.register_buffer("by_user", torch.zeros(self.users))
        self.register_buffer("by_item", torch.zeros(self.items))
        self.register_buffer("per_user", torch.ones(self.users))  # 1 / ratings: what each pays of a penalty on the user
        self.register_buffer("per_item", torch.ones(self.items))
        self.register_buffer("user_seen", torch.zeros(self.users, dtype=torch.bool))
        self.register_buffer("item_seen", torch.zeros(self.items, dtype=torch.bool))

    def prepare(self, data: Data) -> None:
        """The baseline, by shrunk means: of items first, then of users."""
        user, item, rating = ratings_of(data.train.to(self.mean.device))
        self.mean.copy_(rating.mean())
        self.low.copy_(rating.min())
        self.high.copy_(rating.max())
        self.ratings.fill_(len(rating))
        self.per_user.copy_(1 / occurrences(user, self.users).clamp(min=1))
        self.per_item.copy_(1 / occurrences(item, self.items).clamp(min=1))
        self.user_seen[user] = True
        self.item_seen[item] = True
        self.by_item.copy_(shrunk_means(rating - self.mean, item, self.items, ITEM_SHRINKAGE))
        self.by_user.copy_(shrunk_means(rating - self.mean - self.by_item[item], user, self.users, USER_SHRINKAGE))
        if self.settings["cold"] == "content" and self.settings["model"] != "content":
            told = content_regression(data.context["features"], self.by_item, self.item_seen)
            self.by_item.copy_(torch.where(self.item_seen, self.by_item, told))

    def baseline(self, user: Tensor, item: Tensor) -> Tensor:
        """[n]"""
        return self.mean + self.by_user[user] + self.by_item[item]

    @abstractmethod
    def estimate(self, user: Tensor, item: Tensor) -> Tensor:
        """[n]: the rating of known users and known items, both int64 [n]."""

    def known(self, user: Tensor, item: Tensor) -> Tensor:
        """[n]: where `estimate` has something to say."""
        return self.user_seen[user] & self.item_seen[item]

    def forward(self, inputs: Tensor) -> Tensor:
        user, item = inputs[:, 0], inputs[:, 1]
        rating = torch.where(self.known(user, item), self.estimate(user, item), self.baseline(user, item))
        return torch.minimum(torch.maximum(rating, self.low), self.high)[:, None]

    def optimizers(self) -> list[torch.optim.Optimizer]:
        """None where nothing is left to learn. What is penalized is so in the loss, so that only what a step touches
        pays."""
        learns = any(parameter.requires_grad for parameter in self.parameters())
        return [make_optimizer(self, {**self.settings, "weight_decay": 0.0})] if learns else []

    @torch.no_grad()
    def errors(self, examples: Examples) -> Tensor:
        """[n, 1] in stars."""
        assert examples.targets is not None
        parts = [self(part.to(self.mean.device)) for part in torch.split(examples.inputs, EVALUATION_BATCH)]
        return torch.cat(parts).double() - examples.targets.to(self.mean.device)

    def evaluate(self, examples: Examples, rng: torch.Generator) -> Mapping[str, float]:
        self.eval()
        error = self.errors(examples)
        return {"rmse": math.sqrt(float(error.square().mean())), "mae": float(error.abs().mean())}


def ratings_of(examples: Examples) -> tuple[Tensor, Tensor, Tensor]:
    """Users, items and ratings, [n] each."""
    assert examples.targets is not None
    return examples.inputs[:, 0], examples.inputs[:, 1], examples.targets[:, 0]


def shrunk_means(values: Tensor, group: Tensor, groups: int, shrinkage: float) -> Tensor:
    """[groups]: sum / (count + shrinkage) of the values [n] of each group."""
    none = torch.zeros(groups, dtype=torch.float64, device=values.device)
    sums, counts = (none.index_add(0, group, each) for each in (values.double(), torch.ones_like(values).double()))
    return (sums / (counts + shrinkage)).float()


def content_regression(features: Tensor, by_item: Tensor, seen: Tensor) -> Tensor:
    """[items]: what a ridge regression on the features [items, numbers] of seen items tells of each item."""
    standardize = Standardize((features.shape[1],)).to(features.device)
    standardize.fit(features)
    x = torch.nn.functional.pad(standardize(features), (0, 1), value=1.0).double()
    known = x * seen[:, None]
    gram = known.T @ known + CONTENT_RIDGE * torch.eye(x.shape[1], dtype=torch.float64, device=x.device)
    told: Tensor = x @ torch.linalg.solve(gram, known.T @ by_item.double())
    return told.float()
