"""Where a process has its datasets from: loaded by itself, or shared with the other workers of its machine.

A worker's pool says which by `use`, before any data is wanted; without it a process loads for itself.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Protocol

from workers.data.source import Array, Source
from workers.rows import load

KEPT = 4


class Shelf(Protocol):
    def get(self, loader: str, place: str) -> Source:
        """The dataset that `loader` reads, from the file `place` if it is an uploaded one. Its arrays are read-only:
        others may be reading them. Raises what the loader raises."""


class OwnShelf:
    """Datasets of this process alone: the last few stay, so that a warm worker trains without reading again."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._sources: OrderedDict[tuple[str, str], Source] = OrderedDict()

    def get(self, loader: str, place: str) -> Source:
        key = (loader, place)
        source = self._sources[key] if key in self._sources else read(loader, place)
        self._sources[key] = source
        self._sources.move_to_end(key)
        if len(self._sources) > self._kept:
            self._sources.popitem(last=False)
        return source


def read(loader: str, place: str) -> Source:
    """The dataset, loaded now, with arrays that cannot be written to."""
    source: Source = load(loader)(place) if place else load(loader)()
    for array in arrays_of(source):
        array.flags.writeable = False
    return source


def size_of(source: Source) -> int:
    """Bytes of all arrays."""
    return sum(array.nbytes for array in arrays_of(source))


def arrays_of(source: Source) -> Iterator[Array]:
    yield source.inputs
    if source.targets is not None:
        yield source.targets
    yield from source.context.values()


_shelf: Shelf = OwnShelf()


def use(shelf: Shelf) -> None:
    """From now on this process takes its datasets from there."""
    global _shelf  # one per process, like the process's memory
    _shelf = shelf


def shelf() -> Shelf:
    return _shelf
