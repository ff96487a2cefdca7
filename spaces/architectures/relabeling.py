"""Cells whose nodes are numbered differently and are otherwise the same: one numbering stands for all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Block:
    """A node that joins operations on earlier states: `edges` are (op, state); `combine` says how they are joined."""

    edges: tuple[tuple[str, int], ...]
    combine: str = "add"


def relabeled(blocks: Sequence[Block], inputs: int) -> list[Block]:
    """The blocks in the numbering that comes first of all that keep each block after its states; the edges of a block
    are ordered by state, then op. Block i computes state `inputs` + i. Tries every numbering: at most n! of them."""
    return min(_renumbered(blocks, inputs, order) for order in _orders(blocks, inputs, ()))


def _orders(blocks: Sequence[Block], inputs: int, placed: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """All orders in which the blocks can be computed."""
    if len(placed) == len(blocks):
        yield placed
    known = {*range(inputs), *(inputs + index for index in placed)}
    for index, block in enumerate(blocks):
        if index not in placed and all(state in known for _, state in block.edges):
            yield from _orders(blocks, inputs, (*placed, index))


def _renumbered(blocks: Sequence[Block], inputs: int, order: Sequence[int]) -> list[Block]:
    number = {state: state for state in range(inputs)} | {inputs + old: inputs + new for new, old in enumerate(order)}
    renamed = []
    for old in order:
        edges = sorted(((number[state], op) for op, state in blocks[old].edges))
        renamed.append(Block(tuple((op, state) for state, op in edges), blocks[old].combine))
    return renamed
