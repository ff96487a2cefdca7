"""A cell: a directed graph whose nodes add up what their edges answer. What an edge does is the maker's matter, so that
the network of one architecture and the supernet of all have the same cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from workers.families.cell.operations import Zero

Edge = tuple[int, int]
EdgeMaker = Callable[[int, int], nn.Module | None]
"""From the number of an edge and its stride to its module; None where the cell does not have it."""


@dataclass(frozen=True)
class Form:
    """`inputs` are the first nodes; `edges` lead from lower to higher numbers, in the order of their ends. With
    `concatenated` the cell answers the maps of all nodes but the inputs, else those of the last node."""

    inputs: int
    edges: tuple[Edge, ...]
    concatenated: bool

    @property
    def size(self) -> int:
        return 1 + max(end for _, end in self.edges)

    @property
    def widening(self) -> int:
        """How many times as many maps the cell answers as its nodes have."""
        return self.size - self.inputs if self.concatenated else 1


class Cell(nn.Module):
    """[n, channels, h, w] of each input, once `prepare` has read it -> [n, widening channels, ⌈h / s⌉, ⌈w / s⌉]; s is
    the stride of the edges that leave the inputs. `mix`, where there is one, says how the edges answer."""

    def __init__(self, form: Form, prepare: Sequence[nn.Module], stride: int, make_edge: EdgeMaker) -> None:
        super().__init__()
        assert len(prepare) == form.inputs, "one for each input"
        self.form = form
        self.prepare = nn.ModuleList(prepare)
        self.edges = nn.ModuleDict()
        self.nothing = Zero(stride)
        for number, (start, _) in enumerate(form.edges):
            made = make_edge(number, stride if start < form.inputs else 1)
            if made is not None:
                self.edges[str(number)] = made

    def forward(self, *inputs: Tensor, mix: object = None) -> Tensor:
        states = [prepare(x) for prepare, x in zip(self.prepare, inputs, strict=True)]
        for node in range(self.form.inputs, self.form.size):
            answers = [
                self.edges[str(number)](states[start], *(() if mix is None else (mix, number)))
                for number, (start, end) in enumerate(self.form.edges)
                if end == node and str(number) in self.edges
            ]
            states.append(sum(answers[1:], answers[0]) if answers else self.nothing(states[0]))
        return torch.cat(states[self.form.inputs :], dim=1) if self.form.concatenated else states[-1]
