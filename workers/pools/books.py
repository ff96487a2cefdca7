"""A pool's books: which workers sit on which nodes, what they hold there, and where there is room for more."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from workers.pools.placement import Room
from workers.pools.vigil import Vigil
from workers.protocol import Resources


@dataclass(slots=True, eq=False)
class Seat:
    """A warm worker. `gpus` are those of its node that it has or shares. `asked` is the sign of life that it owes, if
    any; `heard` says whether one ever came. It has been idle since the clock showed `since`, unless it is busy."""

    actor: Any
    node: str
    shape: Resources
    gpus: tuple[int, ...] = ()
    since: float = 0.0
    asked: Any = None
    heard: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Open:
    """An attempt under way: who carries it out, what tells its events, and the watch over it."""

    seat: Seat
    stream: Any
    vigil: Vigil


class Books:
    """`workers` bounds the workers; None means as many as the nodes have room for.

    `nodes` is what each node has that takes work.
    """

    def __init__(self, workers: int | None) -> None:
        self._workers = workers
        self.nodes: Mapping[str, Resources] = {}
        self.seats: list[Seat] = []
        self.open: dict[str, Open] = {}  # by the attempt's key

    def capacity(self, shape: Resources) -> int:
        """How many more attempts of this shape could start now: idle workers give way."""
        room = sum(self._free(node, self._busy()).places(shape) for node in self.nodes)
        return max(0, min(room, self._limit(shape) - len(self.open)))

    def idle(self, shape: Resources) -> Seat | None:
        """A free worker of this shape, the latest hired first."""
        latest_first = reversed(self._idle())
        return next((seat for seat in latest_first if seat.shape == shape and seat.node in self.nodes), None)

    def idle_since(self, then: float) -> list[Seat]:
        """The workers that have had nothing to do since then."""
        return [seat for seat in self._idle() if seat.since <= then]

    def place(self, shape: Resources) -> tuple[str, list[Seat]]:
        """Where a new worker of this shape goes, and the idle ones that give way to it. There must be capacity."""
        node = self._roomiest(shape, self.seats) or self._roomiest(shape, self._busy())
        assert node, "the capacity said that there is room"
        leaving: list[Seat] = []
        for seat in self._idle():
            staying = [other for other in self.seats if other not in leaving]
            if seat.node == node and not self._free(node, staying).places(shape):
                leaving.append(seat)
        return node, leaving

    def spare(self, shape: Resources) -> str | None:
        """The node with room for one more worker of this shape beside all others, if there is one."""
        return self._roomiest(shape, self.seats) if len(self.seats) < self._limit(shape) else None

    def seat(self, actor: Any, node: str, shape: Resources, now: float) -> Seat:
        """A new worker on a node that has room for it."""
        seat = Seat(actor, node, shape, self._free(node, self.seats).choose(shape), since=now)
        self.seats.append(seat)
        return seat

    def update(self, nodes: Mapping[str, Resources]) -> list[Seat]:
        """Takes over which nodes take work, and answers the idle workers of the others, which are none any more; the
        open ones' streams will tell."""
        self.nodes = nodes
        leaving = [seat for seat in self._idle() if seat.node not in nodes]
        self.seats = [seat for seat in self.seats if seat not in leaving]
        return leaving

    def clear(self) -> None:
        self.nodes, self.seats, self.open = {}, [], {}

    def _limit(self, shape: Resources) -> int:
        if self._workers is not None:
            return self._workers
        return sys.maxsize if shape.cpus > 0 else int(sum(node.cpus for node in self.nodes.values()))

    def _busy(self) -> set[Seat]:
        return {work.seat for work in self.open.values()}

    def _idle(self) -> list[Seat]:
        busy = self._busy()
        return [seat for seat in self.seats if seat not in busy]

    def _free(self, node: str, seats: Iterable[Seat]) -> Room:
        """What is left of a node beside these seats."""
        room = Room.of(self.nodes[node])
        for seat in seats:
            if seat.node == node:
                room = room.without(seat.shape, seat.gpus)
        return room

    def _roomiest(self, shape: Resources, seats: Iterable[Seat]) -> str | None:
        """The node with most room for the shape beside these seats; None when no node has any.

        What needs no GPU goes where there is none, as long as it can: the CPUs beside the GPUs are for others.
        """
        seats = list(seats)
        rooms = {node: self._free(node, seats).places(shape) for node in self.nodes}
        fitting = [node for node, room in rooms.items() if room]
        return max(fitting, key=lambda node: (shape.gpus > 0 or not self.nodes[node].gpus, rooms[node]), default=None)
