"""Baselines of tasks with targets: the majority, logistic regression and label propagation; ridge regression, alone and
with a constant deviation; the last value and an autoregression."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeCV

from workers.baselines import Baseline, Judge, Scores, best_of
from workers.baselines.arrays import Array, answers, first_of, mean_squared, rows, some, standardizing
from workers.baselines.graphs import propagated
from workers.data.loading import Data, Examples
from workers.rows import Facts
from workers.training.predictive import Mixture

PENALTIES = np.logspace(-3, 5, 17)
SOFTENED = 1e-6  # of the probability mass goes to all classes alike: nothing is impossible


def classification(data: Data, facts: Facts, test: Examples | None = None) -> Baseline:
    labels = answers(data.train)
    counts = np.bincount(labels, minlength=facts.outputs)
    share = (counts + 1) / (counts + 1).sum()

    def majority(examples: Examples) -> Scores:
        return class_scores(np.tile(share, (len(examples), 1)), answers(examples))

    models: dict[str, Judge] = {"majority": majority}
    if facts.inputs == "graph":
        classes = propagated(data, facts)
        models["label propagation"] = lambda examples: class_scores(
            classes[examples.inputs.cpu().numpy()], answers(examples)
        )
    elif np.count_nonzero(counts) > 1:
        model = logistic(data.train)
        models[first_of("logistic regression", data.train)] = lambda examples: class_scores(
            probabilities(model, examples, facts.outputs), answers(examples)
        )
    return best_of("classification", models, data, test)


def logistic(train: Examples) -> Any:
    train = some(train)
    model = standardizing(LogisticRegression(max_iter=100, tol=3e-3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # nearly there is near enough for a baseline
        return model.fit(rows(train.inputs), answers(train))


def probabilities(model: Any, examples: Examples, classes: int) -> Array:
    """[n, classes], also of classes that it never saw."""
    everything = np.zeros((len(examples), classes))
    everything[:, model.classes_] = model.predict_proba(rows(examples.inputs))
    return everything


def class_scores(found: Array, labels: Array) -> Scores:
    """Of probabilities [n, classes] and labels [n]."""
    right = ((1 - SOFTENED) * found + SOFTENED / found.shape[1])[np.arange(len(labels)), labels]
    return {"accuracy": float((found.argmax(axis=1) == labels).mean()), "loss": float(-np.log(right).mean())}


@dataclass(frozen=True, slots=True)
class Targets:
    """What training targets [n, outputs] say of their scale."""

    mean: Array
    deviation: Array

    @classmethod
    def of(cls, train: Examples) -> Targets:
        targets = answers(train).astype(np.float64)
        deviation = targets.std(axis=0)
        return cls(targets.mean(axis=0), np.where(deviation > 0, deviation, 1))

    def standardized(self, examples: Examples) -> Array:
        out: Array = (answers(examples) - self.mean) / self.deviation
        return out

    @staticmethod
    def variance(standardized: Array) -> Array:
        """[outputs]: what errors are measured against; that of the training targets where these do not vary."""
        found: Array = standardized.var(axis=0)
        return np.where(found > 0, found, 1)


@dataclass(frozen=True, slots=True)
class Ridge:
    """Ridge regression of standardized targets; each has the penalty that leaves the least error when every example is
    left out in turn. `deviation` [outputs] is the root of that error."""

    model: Any
    deviation: Array

    @classmethod
    def of(cls, train: Examples, targets: Targets) -> Ridge:
        train = some(train)
        several = targets.mean.size > 1
        ridge = RidgeCV(PENALTIES, store_cv_results=True, alpha_per_target=several)
        model = standardizing(ridge).fit(rows(train.inputs), targets.standardized(train))
        squared = ridge.cv_results_.reshape(len(train), -1, len(PENALTIES)).mean(axis=0)  # [outputs, penalties]
        return cls(model, np.sqrt(squared.min(axis=1)))

    def __call__(self, examples: Examples) -> Array:
        """[n, outputs]"""
        out: Array = self.model.predict(rows(examples.inputs)).reshape(len(examples), -1)
        return out


def regression(data: Data, facts: Facts, test: Examples | None = None) -> Baseline:
    targets = Targets.of(data.train)
    ridge = Ridge.of(data.train, targets)

    def judge(examples: Examples) -> Scores:
        y = targets.standardized(examples)
        squared = mean_squared(ridge(examples) - y)
        in_units = squared * targets.deviation**2
        return {
            "r2": float((1 - squared / targets.variance(y)).mean()),
            "rmse": math.sqrt(in_units.mean()),
            "loss": float(squared.mean()),
        }

    return best_of("regression", {first_of("ridge regression", data.train): judge}, data, test)


def uncertainty(data: Data, facts: Facts, test: Examples | None = None) -> Baseline:
    targets = Targets.of(data.train)
    ridge = Ridge.of(data.train, targets)

    def judge(examples: Examples) -> Scores:
        found = Mixture.gaussian(torch.from_numpy(ridge(examples)), torch.from_numpy(ridge.deviation))
        return found.scores(torch.from_numpy(targets.standardized(examples)), torch.from_numpy(targets.deviation))

    name = first_of("ridge regression with a constant deviation", data.train)
    return best_of("uncertainty", {name: judge}, data, test)


def forecasting(data: Data, facts: Facts, test: Examples | None = None) -> Baseline:
    """Inputs are [n, steps, features]; the first features are the series whose next values are the targets."""
    targets = Targets.of(data.train)
    linear = standardizing(LinearRegression()).fit(rows(data.train.inputs), targets.standardized(data.train))

    def judged(found: Array, examples: Examples) -> Scores:
        """`found` [n, outputs] in standardized units."""
        y = targets.standardized(examples)
        squared = mean_squared(found - y)
        rmse = math.sqrt((squared * targets.deviation**2).mean())
        return {"nrmse": math.sqrt((squared / targets.variance(y)).mean()), "rmse": rmse, "loss": float(squared.mean())}

    def persistence(examples: Examples) -> Scores:
        last = last_known(rows_of_steps(examples)[:, :, : facts.outputs], targets.mean)
        return judged((last - targets.mean) / targets.deviation, examples)

    def autoregression(examples: Examples) -> Scores:
        return judged(linear.predict(rows(examples.inputs)).reshape(len(examples), -1), examples)

    models = {"persistence": persistence, f"AR({facts.shape[0]})": autoregression}
    return best_of("forecasting", models, data, test)


def rows_of_steps(examples: Examples) -> Array:
    steps: Array = examples.inputs.double().cpu().numpy()
    return steps


def last_known(series: Array, otherwise: Array) -> Array:
    """[n, steps, outputs] -> [n, outputs]: the last value that is not missing, if there is one."""
    known = ~np.isnan(series)
    last = series.shape[1] - 1 - known[:, ::-1].argmax(axis=1)
    values = np.take_along_axis(series, last[:, None], axis=1)[:, 0]
    found: Array = np.where(known.any(axis=1), values, otherwise)
    return found
