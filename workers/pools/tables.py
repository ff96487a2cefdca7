"""Tables of objectives by reference: how a worker in another process gets the table that its pool was given."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Protocol, cast, runtime_checkable

from workers.protocol import Objective

DEFAULT = "workers.objectives:OBJECTIVES"


@runtime_checkable
class Warmable(Protocol):
    """An objective with imports or set-up to pay for; workers call `warm` once, before they have anything to do."""

    def warm(self) -> None: ...


@runtime_checkable
class Killable(Protocol):
    """An objective whose attempts can be ended from another thread: it carries them out in processes of their own."""

    def kill(self, key: str) -> None: ...


def load(reference: str) -> Mapping[str, Objective]:
    """The table that `module:attribute` names."""
    module, _, attribute = reference.partition(":")
    return cast(Mapping[str, Objective], getattr(import_module(module), attribute))


def warm(objectives: Mapping[str, Objective]) -> None:
    for objective in objectives.values():
        if isinstance(objective, Warmable):
            objective.warm()
