"""Label propagation: classes travel along edges, and what is known stays (D. Zhou, O. Bousquet, T. Lal, J. Weston and
B. Schölkopf, Learning with local and global consistency, 2004).

    F <- a D^-1/2 A D^-1/2 F + (1 - a) Y        Y: 1 for the known class of a known node

All classes then get the mass that they have among the known nodes, so that one with better connections does not take
everything (X. Zhu, Z. Ghahramani and J. Lafferty, Semi-supervised learning using Gaussian fields, 2003).
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array, diags_array

from workers.baselines.arrays import Array, answers
from workers.data.loading import Data
from workers.rows import Facts

TRAVELS, ROUNDS = 0.9, 100


def propagated(data: Data, facts: Facts) -> Array:
    """[nodes, outputs]: probabilities of the classes; all alike where nothing arrives."""
    nodes, (source, target) = facts.sizes["nodes"], data.context["edges"].cpu().numpy()
    adjacency = coo_array((np.ones(len(source)), (target, source)), shape=(nodes, nodes)).tocsr()
    scale = diags_array(1 / np.sqrt(np.maximum(adjacency.sum(axis=1), 1)))
    step = scale @ adjacency @ scale
    known = np.zeros((nodes, facts.outputs))
    known[data.train.inputs.cpu().numpy(), answers(data.train)] = 1
    found = known
    for _ in range(ROUNDS):
        found = TRAVELS * (step @ found) + (1 - TRAVELS) * known
    found = found * known.sum(axis=0) / np.where(found.any(axis=0), found.sum(axis=0), 1)
    total = found.sum(axis=1, keepdims=True)
    out: Array = np.where(total > 0, found / np.where(total > 0, total, 1), 1 / facts.outputs)
    return out
