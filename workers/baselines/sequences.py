"""Baselines of what is read, rated or lived through: counted 3-grams, biases of users and items, acting at random."""

from __future__ import annotations

import math

import numpy as np

from workers.baselines import Baseline, Scores, best_of
from workers.baselines.arrays import Array, answers
from workers.data.environments import Environments, Floats, mean_return
from workers.data.loading import Data, Examples
from workers.families.char_lm.ngram import NGram
from workers.rows import Facts

ORDER, SMOOTHING = 3, 5.0
SHRINKAGE = 10.0  # ratings of the mean that every user and every item begins with
ROUNDS = 10  # of biases of items and of users in turn
EPISODES = 20


def language(data: Data, facts: Facts, test: Examples | None = None) -> Baseline:
    """Interpolated n-grams."""
    model = NGram({"order": ORDER, "smoothing": SMOOTHING}, facts)
    model.fit(data.train.inputs.cpu())

    def judge(examples: Examples) -> Scores:
        return {"bpc": model.nats(examples.inputs.cpu()) / math.log(2)}

    return best_of("language", {f"interpolated {ORDER}-grams": judge}, data, test)


def rating(data: Data, facts: Facts, test: Examples | None = None) -> Baseline:
    """mean + bias of the user + bias of the item, shrunk towards 0 (Y. Koren, R. Bell and C. Volinsky, Matrix
    factorization techniques for recommender systems, 2009)."""
    user, item = data.train.inputs.cpu().numpy().T
    stars = answers(data.train)[:, 0].astype(np.float64)
    mean = stars.mean()
    users, items = np.zeros(facts.sizes["users"]), np.zeros(facts.sizes["items"])
    for _ in range(ROUNDS):
        items = shrunk_means(stars - mean - users[user], item, len(items))
        users = shrunk_means(stars - mean - items[item], user, len(users))

    def judge(examples: Examples) -> Scores:
        user, item = examples.inputs.cpu().numpy().T
        error = mean + users[user] + items[item] - answers(examples)[:, 0]
        return {"rmse": math.sqrt(np.square(error).mean()), "mae": float(np.abs(error).mean())}

    return best_of("rating", {"biases of users and items": judge}, data, test)


def shrunk_means(values: Array, group: Array, groups: int) -> Array:
    """[groups]: sum / (count + SHRINKAGE) of the values of each group."""
    count = np.bincount(group, minlength=groups)
    out: Array = np.bincount(group, values, groups) / (count + SHRINKAGE)
    return out


def control(data: Data, facts: Facts, test: Examples | None = None) -> Baseline:
    """Any choice, or any control between its bounds, with equal probability."""
    worlds = Environments(data.context, EPISODES)
    rng = np.random.default_rng(0)

    def act(states: Floats) -> Array:
        if "actions" in facts.sizes:
            return rng.integers(facts.sizes["actions"], size=len(states))
        low, high = worlds.bounds
        return rng.uniform(low, high, (len(states), len(low))).astype(np.float32)

    def judge(examples: Examples) -> Scores:
        return {"return": mean_return(worlds, range(EPISODES), act)}

    return best_of("control", {"acting at random": judge}, data, test)
