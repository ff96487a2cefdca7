"""The notation of NAS-Bench-201 for a graph with one operation per edge: |op~0|+|op~0|op~1|+|op~0|op~1|op~2|."""

from __future__ import annotations

import re
from collections.abc import Mapping

MAX_TEXT = 20_000
_EDGE = re.compile(r"([^|~+]+)~(\d{1,3})")


def written(ops: Mapping[tuple[int, int], str], nodes: int) -> str:
    """`ops` by (source, target), of every pair of the nodes."""
    rows = ("".join(f"{ops[source, target]}~{source}|" for source in range(target)) for target in range(1, nodes))
    return "+".join(f"|{row}" for row in rows)


def read(text: str) -> dict[tuple[int, int], str]:
    """The operations by (source, target); raises ValueError with what is wrong."""
    example = "written as |op~0|+|op~0|op~1|"
    if len(text) > MAX_TEXT:
        raise ValueError(f"a text has at most {MAX_TEXT} characters")
    ops: dict[tuple[int, int], str] = {}
    for target, row in enumerate(text.split("+"), start=1):
        edges = row[1:-1].split("|")
        if not (len(row) > 1 and row[0] == row[-1] == "|"):
            raise ValueError(f"node {target} is not between bars; {example}")
        if len(edges) != target:
            raise ValueError(f"node {target} has {len(edges)} edges, not {target}; {example}")
        for source, edge in enumerate(edges):
            match = _EDGE.fullmatch(edge)
            if match is None or int(match[2]) != source:
                raise ValueError(f"edge {source} of node {target} is {edge!r}, not <op>~{source}; {example}")
            ops[source, target] = match[1]
    return ops
