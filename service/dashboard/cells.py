"""Cells as drawings: nodes in layers from left to right, every operation as a label that its edge runs through.

A layered drawing (Sugiyama et al. 1981) in which a label takes a place of its own between two layers, as a node does:
so no label lies on another, however many edges there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from spaces.architectures.graphs import CONCAT

SWEEPS = 8
NODE_HEIGHT, LABEL_HEIGHT, BEND_HEIGHT = 26.0, 19.0, 8.0
GAP = 8.0  # between two things of a column
ROOM = 26.0  # between two columns, in which edges bend
MARGIN = 6.0
PER_LETTER = 6.6
ARROW = 6.0


@dataclass(eq=False)
class Box:
    """Something in a column: a node, the label of an edge, or a bend of it (without a text). x and y are its middle."""

    column: int
    text: str
    height: float
    width: float
    kind: str = ""  # of the operation, of labels
    x: float = 0.0
    y: float = 0.0
    before: list[Box] = field(default_factory=list)
    after: list[Box] = field(default_factory=list)


@dataclass(frozen=True)
class Line:
    """An edge: `path` is that of an SVG, `head` the triangle at its end."""

    path: str
    head: str
    kind: str


@dataclass(frozen=True)
class Picture:
    name: str
    width: float
    height: float
    nodes: Sequence[Box]
    labels: Sequence[Box]
    lines: Sequence[Line]
    told: str
    """The same in words."""


def kind_of(op: str) -> str:
    """What colours an operation: conv, separable, dilated, pool, skip, none, join or other."""
    for kind, words in (
        ("join", (CONCAT,)),
        ("none", ("none",)),
        ("pool", ("pool",)),
        ("separable", ("sep_", "dw_")),
        ("dilated", ("dil_",)),
        ("conv", ("conv",)),
        ("skip", ("skip", "identity")),
    ):
        if any(word in op for word in words):
            return kind
    return "other"


def pictures(drawing: Mapping[str, Any]) -> list[Picture]:
    """The cells of `Architecture.drawing`."""
    return [picture(cell) for cell in drawing["cells"]]


def picture(cell: Mapping[str, Any]) -> Picture:
    nodes = {
        node["id"]: Box(2 * node["layer"], node["label"], NODE_HEIGHT, _width(node["label"]) + 8)
        for node in cell["nodes"]
    }
    routes = [_route(nodes[edge["from"]], nodes[edge["to"]], edge["op"]) for edge in cell["edges"]]
    columns: list[list[Box]] = [[] for _ in range(1 + max((box.column for box in nodes.values()), default=0))]
    for box in [*nodes.values(), *(box for route in routes for box in route[1:-1])]:
        columns[box.column].append(box)
    _order(columns)
    height = _place(columns)
    width = _spread(columns)
    labels = [box for route in routes for box in route[1:-1] if box.text]
    lines = [_line(route, kind_of(edge["op"])) for route, edge in zip(routes, cell["edges"], strict=True)]
    return Picture(cell["name"], width, height, list(nodes.values()), labels, lines, _told(cell))


def _width(text: str) -> float:
    return PER_LETTER * len(text) + 12


def _route(source: Box, target: Box, op: str) -> list[Box]:
    """What an edge leads through: the label in the last column before its target, bends in the others."""
    route = [source]
    for column in range(source.column + 1, target.column):
        last = column == target.column - 1 and op != CONCAT
        kind = kind_of(op)
        box = Box(column, op, LABEL_HEIGHT, _width(op), kind) if last else Box(column, "", BEND_HEIGHT, 0.0, kind)
        route.append(box)
    route.append(target)
    for one, other in pairwise(route):
        one.after.append(other)
        other.before.append(one)
    return route


def _order(columns: Sequence[list[Box]]) -> None:
    """Columns by the mean places of their neighbours, to and fro: few edges cross then."""
    place: dict[Box, float] = {}

    def number(column: list[Box]) -> None:
        place.update({box: index - (len(column) - 1) / 2 for index, box in enumerate(column)})

    for column in columns:
        number(column)
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        for column in columns[1:] if forward else reversed(columns[:-1]):
            mean = {
                box: _mean([place[it] for it in (box.before if forward else box.after)], place[box]) for box in column
            }
            column.sort(key=lambda box: mean[box])
            number(column)


def _place(columns: Sequence[Sequence[Box]]) -> float:
    """Every box as near to the mean height of its neighbours as those of its column leave room; the height of all."""
    for column in columns:
        _fit(column, [0.0] * len(column))
    for sweep in range(SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            _fit(column, [_mean([it.y for it in (*box.before, *box.after)], box.y) for box in column])
    boxes = [box for column in columns for box in column]
    top = min((box.y - box.height / 2 for box in boxes), default=0.0) - MARGIN
    for box in boxes:
        box.y -= top
    return max((box.y + box.height / 2 for box in boxes), default=0.0) + MARGIN


def _fit(column: Sequence[Box], wanted: Sequence[float]) -> None:
    """Nearest to what is wanted in squares, in this order and without overlap: neighbours that would overlap are pooled
    into blocks (isotonic regression)."""
    offsets, reach = [], 0.0
    for box in column:
        offsets.append(reach + box.height / 2)
        reach += box.height + GAP
    blocks: list[list[float]] = []  # sum and count
    for want, offset in zip(wanted, offsets, strict=True):
        blocks.append([want - offset, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, count = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += count
    starts = [total / count for total, count in blocks for _ in range(int(count))]
    for box, start, offset in zip(column, starts, offsets, strict=True):
        box.y = start + offset


def _spread(columns: Iterable[Sequence[Box]]) -> float:
    """Columns from left to right, as wide as their widest box; the width of all."""
    left = MARGIN
    for column in columns:
        width = max((box.width for box in column), default=0.0)
        for box in column:
            box.x = left + width / 2
            box.width = box.width if box.text else width
        left += width + ROOM
    return left - ROOM + MARGIN


def _line(route: Sequence[Box], kind: str) -> Line:
    x, y = route[0].x + route[0].width / 2, route[0].y
    steps = [f"M{x:.1f} {y:.1f}"]
    for box in route[1:]:
        end = box is route[-1]
        left = box.x - box.width / 2 - (ARROW if end else 0)
        middle = (x + left) / 2
        steps.append(f"C{middle:.1f} {y:.1f} {middle:.1f} {box.y:.1f} {left:.1f} {box.y:.1f}")
        x, y = box.x + box.width / 2, box.y
        if not end:
            steps.append(f"H{x:.1f}")
    tip = route[-1].x - route[-1].width / 2
    return Line("".join(steps), f"M{tip:.1f} {y:.1f}l-{ARROW:g} -3.5v7z", kind)


def _told(cell: Mapping[str, Any]) -> str:
    label = {node["id"]: node["label"] for node in cell["nodes"]}
    ways = [f"{label[edge['from']]} to {label[edge['to']]} by {edge['op']}" for edge in cell["edges"]]
    return f"{cell['name']}: {'; '.join(ways) or 'nothing leads anywhere'}"


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
