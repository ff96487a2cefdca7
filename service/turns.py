"""Turns at what takes much memory or time: a few at once, a few more wait, and there is no room for others.

For the coroutines of one event loop, so nothing here is locked.
"""

from __future__ import annotations


class Turns:
    """`at_once` have their turn, in the order in which they came, and `waiting` more may wait for theirs."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._at_once, self._room = at_once, at_once + waiting
        self._places: list[Place] = []

    def enter(self) -> Place | None:
        """The last place, to be left when it is not needed any more; None when there is no room."""
        if len(self._places) >= self._room:
            return None
        place = Place(self)
        self._places.append(place)
        return place

    def has_turn(self, place: Place) -> bool:
        return place in self._places[: self._at_once]

    def leave(self, place: Place) -> None:
        self._places.remove(place)


class Place:
    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    @property
    def has_turn(self) -> bool:
        return self._turns.has_turn(self)

    def leave(self) -> None:
        self._turns.leave(self)
