"""A cell: a directed graph whose nodes join what their edges answer, as a sum where nothing else is said. What an edge
does is the maker's matter, so that the network of one architecture and the supernet of all have the same cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from workers.families.cell.operations import Zero

Edge = tuple[int, int]
EdgeMaker = Callable[[int, int], nn.Module | None]
"""From the number of an edge and its stride to its module; None where the cell does not have it."""


@dataclass(frozen=True)
class Form:
    """`inputs` are the first nodes; `edges` lead from lower to higher numbers, in the order of their ends. The cell
    answers the maps of `outputs`, one node's behind another's. The nodes of `beside` put what their edges answer side
    by side, rather than add it up."""

    inputs: int
    edges: tuple[Edge, ...]
    outputs: tuple[int, ...]
    beside: frozenset[int] = frozenset()

    @property
    def size(self) -> int:
        return 1 + max(end for _, end in self.edges)

    @property
    def widening(self) -> int:
        """How many times as many maps the cell answers as its nodes have."""
        return len(self.outputs)

    @property
    def read(self) -> frozenset[int]:
        """The inputs that an edge reads."""
        return frozenset(start for start, _ in self.edges if start < self.inputs)

    def edges_to(self, node: int) -> int:
        return sum(end == node for _, end in self.edges)


class Cell(nn.Module):
    """[n, channels, h, w] of each input, once `prepare` has read it -> [n, widening channels, ⌈h / s⌉, ⌈w / s⌉]; s is
    the stride of the edges that leave the inputs. `narrow`: by node of `beside`, from the maps that lie side by side to
    as many as a node has. `mix`, where there is one, says how the edges answer."""

    def __init__(
        self,
        form: Form,
        prepare: Sequence[nn.Module],
        narrow: Mapping[int, nn.Module],
        stride: int,
        make_edge: EdgeMaker,
    ) -> None:
        super().__init__()
        assert len(prepare) == form.inputs, "one for each input"
        assert narrow.keys() == form.beside
        self.form = form
        self.prepare = nn.ModuleList(prepare)
        self.narrow = nn.ModuleDict({str(node): module for node, module in narrow.items()})
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
            states.append(self._joined(node, answers) if answers else self.nothing(states[0]))
        found = [states[node] for node in self.form.outputs]
        return torch.cat(found, dim=1) if len(found) > 1 else found[0]

    def _joined(self, node: int, answers: Sequence[Tensor]) -> Tensor:
        if node in self.form.beside:
            out: Tensor = self.narrow[str(node)](torch.cat(list(answers), dim=1))
            return out
        return sum(answers[1:], answers[0])
