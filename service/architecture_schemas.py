"""The JSON of architectures, and of the report on a supernet's ranking."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_EXAMPLE: dict[str, Any] = {
    "trial": 7,
    "name": "cell",
    "preset": "nas-bench-201",
    "genotype": "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_3x3~2|",
    "canonical": "#+#+(#+(0)@nor_conv_3x3)@nor_conv_3x3",
    "objection": None,
    "drawing": {
        "cells": [
            {
                "name": "cell",
                "nodes": [
                    {"id": "0", "label": "input", "layer": 0},
                    {"id": "1", "label": "1", "layer": 1},
                    {"id": "2", "label": "2", "layer": 2},
                    {"id": "3", "label": "output", "layer": 3},
                ],
                "edges": [
                    {"from": "0", "to": "1", "op": "nor_conv_3x3"},
                    {"from": "1", "to": "2", "op": "skip_connect"},
                    {"from": "2", "to": "3", "op": "nor_conv_3x3"},
                ],
            }
        ]
    },
}


class Node(BaseModel):
    id: str
    label: str
    layer: int = Field(description="Its place from left to right: every edge leads to a higher one.")


class Edge(BaseModel):
    from_: str = Field(alias="from", description="The id of a node.")
    to: str
    op: str = Field(description="The operation; `concat` where the edge merely joins.")

    model_config = ConfigDict(populate_by_name=True)


class Cell(BaseModel):
    name: str
    nodes: list[Node]
    edges: list[Edge]


class Drawing(BaseModel):
    cells: list[Cell]


class Architecture(BaseModel):
    """The architecture of a trial: a part of its config, as a text, and as graphs to draw."""

    trial: int
    name: str = Field(description="The parameter that it is written out under.")
    preset: str
    genotype: str = Field(description="Exact: the parameters can be read from it again.")
    canonical: str = Field(description="Equal for architectures that compute the same, as far as is worked out.")
    objection: str | None = Field(description="Why it cannot be trained, if so.")
    drawing: Drawing

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})


class Pair(BaseModel):
    """A config that the supernet ranked and that was trained by itself."""

    trial: int
    rank: int = Field(description="Its place in the ranking, from 1.")
    score: float = Field(description="By the supernet's weights.")
    value: float = Field(description="Of the first metric, trained by itself.")

    model_config = ConfigDict(from_attributes=True)


class Correlation(BaseModel):
    value: float
    low: float = Field(description="Of the 95 % interval, by resampling the pairs.")
    high: float

    model_config = ConfigDict(from_attributes=True)


class TopHit(BaseModel):
    """How many of the first tenth of the ranking are in the first tenth by their trainings. Of equal ones the mean over
    all orders counts: a ranking that knows nothing comes to `top` by the number of pairs."""

    value: float = Field(description="As a share, from 0 to 1.")
    low: float = Field(description="Of the 95 % interval, by resampling the pairs.")
    high: float
    top: int = Field(description="How many a first tenth has: one at least.")

    model_config = ConfigDict(from_attributes=True)


class Trust(BaseModel):
    """Whether the supernet's ranking says how good architectures are. `withheld`: too little to recommend anything by
    it; `unknown`: too few trainings to tell, or none that differ."""

    metric: str
    verdict: Literal["trusted", "withheld", "unknown"]
    reason: str
    kendall: Correlation | None = Field(description="Kendall's tau-b.")
    spearman: Correlation | None
    top_hit: TopHit | None
    pairs: list[Pair]

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "metric": "val_accuracy",
                    "verdict": "trusted",
                    "reason": "Kendall's tau 0.64 (95 %: 0.11 to 0.95): the ranking says something; 8 pairs are few, "
                    "20 would tell more",
                    "kendall": {"value": 0.64, "low": 0.11, "high": 0.95},
                    "spearman": {"value": 0.81, "low": 0.2, "high": 0.98},
                    "top_hit": {"value": 1.0, "low": 0.0, "high": 1.0, "top": 1},
                    "pairs": [{"trial": 1, "rank": 1, "score": 0.61, "value": 0.97}],
                }
            ]
        }
    )
