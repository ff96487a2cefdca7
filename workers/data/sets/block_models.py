"""Graphs drawn from stochastic block models (P. Holland, K. Laskey and S. Leinhardt 1983): whether two nodes know each
other depends on their blocks alone. Ten nodes of each block are known.

    block_model   nodes know their own block mostly
    block_ring    nodes know the next block and the one before, hardly their own: there a node is unlike its neighbours,
                  and whoever believes that neighbours are alike does no better than chance

All nodes of a graph have the same expected degree, 10 and 12.4, so that edges tell, not their number. Five blocks, for
in a ring of four each block has the same neighbours as the one opposite, and nothing tells them apart.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from workers.data.source import Source
from workers.rows import Dataset

BLOCKS, NODES, LABELS = 5, 1200, 10


def row(name: str, title: str, digest: str) -> Dataset:
    return Dataset(
        name=name,
        title=title,
        tasks=("classification",),
        inputs="graph",
        shape=(),
        outputs=BLOCKS,
        examples=NODES,
        licence="none: drawn here",
        source="P. Holland, K. Laskey and S. Leinhardt, Stochastic blockmodels: first steps, 1983",
        loader=f"workers.data.sets.block_models:{name}",
        sha256=digest,
        splitting="few",
        labels=LABELS,
        sizes={"nodes": NODES},
    )


DATASETS = (
    row(
        "block_model",
        "Communities in a random graph, ten known nodes of each",
        "339e27156ef5c1bb7e0cb2e7074decd2e5ed2b973afbafebdd7cb99b513bf968",
    ),
    row(
        "block_ring",
        "A ring of blocks in a random graph, ten known nodes of each",
        "86a6d5a0157f250eb8cfc4df247a2127bf6784d409b9113337612c2e33f27b78",
    ),
)


def block_model() -> Source:
    return drawn(np.where(np.eye(BLOCKS), 30, 5), seed=11)


def block_ring() -> Source:
    here = np.arange(BLOCKS)
    beside = np.isin((here[:, None] - here) % BLOCKS, (1, BLOCKS - 1))
    return drawn(np.where(beside, 25, 4), seed=12)


def drawn(edges: npt.NDArray[np.int64], seed: int) -> Source:
    """`edges` [blocks, blocks]: how many a node would have, were all nodes in that one block."""
    blocks = np.arange(NODES) % BLOCKS
    p = edges / NODES
    first, second = np.triu_indices(NODES, 1)
    there = np.random.Generator(np.random.Philox(seed)).random(len(first)) < p[blocks[first], blocks[second]]
    pairs = np.stack([first[there], second[there]])
    return Source(np.arange(NODES), blocks, {"edges": np.concatenate([pairs, pairs[::-1]], axis=1)})
