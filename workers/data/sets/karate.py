"""Zachary's karate club: 34 members, who knows whom outside, and whom they followed when the club fell apart.

The sides of the two whom they followed are known, the teacher's and the administrator's (as T. Kipf and M. Welling have
it, 2017). A member drawn at random may know one other alone, and then says little of anyone.
"""

from __future__ import annotations

from importlib import import_module

import numpy as np

from workers.data.packages import require
from workers.data.source import Source
from workers.rows import Dataset

DATASET = Dataset(
    name="karate",
    title="Zachary's karate club, whose two leaders' sides are known",
    tasks=("classification",),
    inputs="graph",
    shape=(),
    outputs=2,
    examples=34,
    licence="public data of a publication; networkx, which ships it: BSD-3-Clause",
    source="W. Zachary, An information flow model for conflict and fission in small groups, 1977, in networkx",
    loader="workers.data.sets.karate:load",
    sha256="abd6adc22ddf65f03a02cb0e496e409286bf2b14ab06bd0252761a5bba6c51f8",
    splitting="few",
    labels=1,
    sizes={"nodes": 34},
    needs="pip install 'assay[data]'",
)


LEADERS = (0, 33)


def load() -> Source:
    require("networkx", "data")
    graph = import_module("networkx").karate_club_graph()
    sides = np.array([graph.nodes[node]["club"] != "Mr. Hi" for node in range(34)], dtype=np.int64)
    pairs = np.array(sorted(graph.edges), dtype=np.int64).T
    edges = np.concatenate([pairs, pairs[::-1]], axis=1)  # both ways
    return Source(np.arange(34), sides, {"edges": edges}, known=np.array(LEADERS))
