"""Two surveys of economists that come with statsmodels: counts with long tails, in which little can be explained."""

from __future__ import annotations

from importlib import import_module

import numpy as np

from workers.data.packages import require
from workers.data.source import Source
from workers.rows import Dataset

DATASETS = (
    Dataset(
        name="randhie",
        title="Visits to a doctor in a year, by insurance and health (RAND health insurance experiment)",
        tasks=("regression", "uncertainty"),
        inputs="table",
        shape=(9,),
        outputs=1,
        examples=20_190,
        licence="public domain",
        source="W. Manning et al., Health insurance and the demand for medical care: evidence from a randomized "
        "experiment, 1987 (as statsmodels ships it)",
        loader="workers.data.sets.statsmodels_tables:randhie",
        splitting="random",
        needs="pip install 'assay[data]' (statsmodels)",
        sha256="7316d66f708e47f9aebe15745c7d933f58baaccfae4f1ca8073ba2ae254be49f",
    ),
    Dataset(
        name="fair",
        title="Time in extramarital affairs, by 8 answers about the marriage",
        tasks=("regression", "uncertainty"),
        inputs="table",
        shape=(8,),
        outputs=1,
        examples=6366,
        licence="included in statsmodels with permission of the author",
        source="R. Fair, A theory of extramarital affairs, 1978 (as statsmodels ships it)",
        loader="workers.data.sets.statsmodels_tables:fair",
        splitting="random",
        needs="pip install 'assay[data]' (statsmodels)",
        sha256="85f945e6549736a4399236a74a20fd77f52cffd32399b637a75c973c09787805",
    ),
)


def randhie() -> Source:
    return _read("randhie")


def fair() -> Source:
    return _read("fair")


def _read(name: str) -> Source:
    require("statsmodels", "data")
    table = import_module(f"statsmodels.datasets.{name}").load_pandas()
    features = table.exog.to_numpy(dtype=np.float32)
    return Source(features, table.endog.to_numpy(dtype=np.float32)[:, None])
