"""A pool's books: which workers sit on which nodes, what they hold there, and where there is room for more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from workers.pools.placement import places, remaining
from workers.pools.vigil import Vigil
from workers.protocol import Resources


@dataclass(slots=True, eq=False)
class Seat:
    """A warm worker. `asked` is the sign of life that it owes, if any; `heard` says whether one ever came."""

    actor: Any
    node: str
    shape: Resources
    asked: Any = None
    heard: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Open:
    """An attempt under way: who carries it out, what tells its events, and the watch over it."""

    seat: Seat
    stream: Any
    vigil: Vigil


class Books:
    """`workers` bounds the workers; None means as many as the nodes have CPUs."""

    def __init__(self, workers: int | None) -> None:
        self._workers = workers
        self.nodes: Mapping[str, Resources] = {}  # what each live node has, by its id
        self.seats: list[Seat] = []
        self.open: dict[str, Open] = {}  # by the attempt's key

    @property
    def limit(self) -> int:
        return self._workers or int(sum(node.cpus for node in self.nodes.values()))

    def capacity(self, shape: Resources) -> int:
        """How many more attempts of this shape could start now: idle workers give way."""
        room = sum(places(self._free(node, self._busy()), shape) for node in self.nodes)
        return max(0, min(room, self.limit - len(self.open)))

    def idle(self, shape: Resources) -> Seat | None:
        """A free worker of this shape, the latest hired first."""
        latest_first = reversed(self._idle())
        return next((seat for seat in latest_first if seat.shape == shape and seat.node in self.nodes), None)

    def place(self, shape: Resources) -> tuple[str, list[Seat]]:
        """Where a new worker of this shape goes, and the idle ones that give way to it. There must be capacity."""
        node = self._roomiest(shape, self.seats) or self._roomiest(shape, self._busy())
        assert node, "the capacity said that there is room"
        leaving: list[Seat] = []
        for seat in self._idle():
            staying = [other for other in self.seats if other not in leaving]
            if seat.node == node and not places(self._free(node, staying), shape):
                leaving.append(seat)
        return node, leaving

    def spare(self, shape: Resources) -> str | None:
        """The node with room for one more worker of this shape beside all others, if there is one."""
        return self._roomiest(shape, self.seats) if len(self.seats) < self.limit else None

    def update(self, nodes: Mapping[str, Resources]) -> None:
        """Takes over which nodes live. The idle workers of the others are gone; the open ones' streams will tell."""
        self.nodes = nodes
        busy = self._busy()
        self.seats = [seat for seat in self.seats if seat in busy or seat.node in nodes]

    def clear(self) -> None:
        self.nodes, self.seats, self.open = {}, [], {}

    def _busy(self) -> set[Seat]:
        return {work.seat for work in self.open.values()}

    def _idle(self) -> list[Seat]:
        busy = self._busy()
        return [seat for seat in self.seats if seat not in busy]

    def _free(self, node: str, seats: Iterable[Seat]) -> Resources:
        """What is left of a node beside these seats."""
        return remaining(self.nodes[node], (seat.shape for seat in seats if seat.node == node))

    def _roomiest(self, shape: Resources, seats: Iterable[Seat]) -> str | None:
        """The node with most room for the shape beside these seats; None when no node has any."""
        seats = list(seats)
        room = {node: places(self._free(node, seats), shape) for node in self.nodes}
        best = max(room, key=room.__getitem__, default=None)
        return best if best and room[best] else None
