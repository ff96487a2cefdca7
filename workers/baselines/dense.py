"""Baselines of tasks that answer as much as they are asked: pixels by their brightness, principal components,
independent pixels, one Gaussian."""

from __future__ import annotations

import math

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from workers.baselines import Baseline, Scores, best_of
from workers.baselines.arrays import Array, answers, first_of, rows, some
from workers.data.loading import Data, Examples
from workers.rows import Facts
from workers.training.densities import Binarize
from workers.training.generation import generation_scores
from workers.training.probe import Probe, are_classes
from workers.training.segmentation import mean_iou

CODE = 16  # numbers that principal components keep of an example
SHADES = 64  # of brightness, equally frequent
SMALLEST_DEVIATION = 1e-3  # of a feature, in parts of the largest: one that never varies has no density


def segmentation(data: Data, facts: Facts, test: Examples | None = None) -> Baseline:
    """The most frequent class everywhere; or of each shade. Inputs are images, targets [n, height, width]."""
    train = some(data.train)
    brightness, classes = pixels(train), answers(train).ravel()
    edges = np.unique(np.quantile(brightness, np.linspace(0, 1, SHADES + 1)[1:-1]))
    majority, by_shade = np.empty(0), edges
    models = {}
    for name, cuts in (("majority", majority), (first_of("majority of each shade", data.train), by_shade)):
        counts = np.ones((len(cuts) + 1, facts.outputs))
        np.add.at(counts, (np.searchsorted(cuts, brightness, side="right"), classes), 1)
        share = counts / counts.sum(axis=1, keepdims=True)
        models[name] = lambda examples, cuts=cuts, share=share: pixel_scores(
            share, np.searchsorted(cuts, pixels(examples), side="right"), answers(examples).ravel()
        )
    return best_of("segmentation", models, data, test)


def pixels(examples: Examples) -> Array:
    """[n · height · width]: the mean over the channels."""
    flat: Array = examples.inputs.mean(dim=1).flatten().cpu().numpy()
    return flat


def pixel_scores(share: Array, shade: Array, classes: Array) -> Scores:
    """`share` [shades, classes]: how probable each class is; `shade` and `classes` [pixels]."""
    outputs = share.shape[1]
    answered = share.argmax(axis=1)[shade]
    table = np.bincount(outputs * classes + answered, minlength=outputs**2).reshape(outputs, outputs)
    return {"iou": mean_iou(torch.from_numpy(table)), "loss": float(-np.log(share[shade, classes]).mean())}


def reconstruction(data: Data, facts: Facts, test: Examples | None = None, code: int = CODE) -> Baseline:
    train = some(data.train)
    middle = np.nan_to_num(np.nanmean(rows(train.inputs), axis=0))

    def filled(examples: Examples) -> Array:
        x = rows(examples.inputs)
        return np.where(np.isnan(x), middle, x)

    x = filled(train)
    code = min(code, *x.shape)
    pca = PCA(code, svd_solver="covariance_eigh").fit(x)
    probe = Probe(code, facts.outputs)
    if train.targets is not None and are_classes(train.targets):
        probe.fit(torch.from_numpy(pca.transform(x)), train.targets.cpu())

    def judge(examples: Examples) -> Scores:
        codes = pca.transform(filled(examples))
        error = pca.inverse_transform(codes) - rows(examples.inputs)
        right = 0.0
        if examples.targets is not None and are_classes(examples.targets):
            right = float((probe(torch.from_numpy(codes)) == examples.targets.cpu()).double().mean())
        return {"mse": float(np.nanmean(np.square(error))), "probe_accuracy": right}

    return best_of("reconstruction", {first_of(f"PCA with {code} components", data.train): judge}, data, test)


def density(data: Data, facts: Facts, test: Examples | None = None) -> Baseline:
    """Features that know nothing of each other: binary pixels of an image, which the families see, too; Gaussians in
    the inputs' own units for anything else."""
    if facts.inputs == "image":
        binarize = Binarize(facts.inputs, facts.shape)
        share = ((binarize(data.train.inputs).double().sum(dim=0) + 1) / (len(data.train) + 2)).flatten().cpu()

        def bernoulli(examples: Examples) -> Scores:
            x = binarize(examples.inputs).double().flatten(1).cpu()
            return {"nats": float(-(x * share.log() + (1 - x) * (1 - share).log()).sum(dim=1).mean())}

        return best_of("density", {"independent pixels": bernoulli}, data, test)

    mean, deviation = gaussian_of(data.train)

    def gaussian(examples: Examples) -> Scores:
        z = (rows(examples.inputs) - mean) / deviation
        each = np.square(z) / 2 + np.log(deviation) + math.log(2 * math.pi) / 2
        return {"nats": float(np.nansum(each, axis=1).mean())}

    return best_of("density", {"independent Gaussians": gaussian}, data, test)


def gaussian_of(train: Examples) -> tuple[Array, Array]:
    """Mean and deviation of each feature."""
    x = rows(train.inputs)
    deviation = np.nan_to_num(np.nanstd(x, axis=0))
    least = SMALLEST_DEVIATION * (deviation.max() or 1)
    return np.nan_to_num(np.nanmean(x, axis=0)), np.maximum(deviation, least)


def generation(data: Data, facts: Facts, test: Examples | None = None) -> Baseline:
    """Samples of the Gaussian with the training examples' mean and covariance."""
    x = torch.from_numpy(rows(some(data.train).inputs)).nan_to_num()
    mean, spread = x.mean(dim=0), torch.cov(x.T, correction=0).reshape(x.shape[1], x.shape[1])
    values, directions = torch.linalg.eigh(spread)
    root = directions * values.clamp_min(0).sqrt()
    context = {name: array.cpu() for name, array in data.context.items()}

    def judge(examples: Examples) -> Scores:
        rng = torch.Generator().manual_seed(0)
        drawn = torch.randn(len(examples), len(mean), generator=rng, dtype=x.dtype) @ root.T + mean
        return generation_scores(drawn, flat(examples), context)

    return best_of("generation", {first_of("one Gaussian", data.train): judge}, data, test)


def flat(examples: Examples) -> Tensor:
    return examples.inputs.flatten(1).double().cpu()
