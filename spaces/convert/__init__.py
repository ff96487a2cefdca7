"""Spaces of other libraries, to and from: each module imports its library when it is first used.

A conversion loses nothing without being told to. What the other library has no words for is an Inexpressible, with a
path to each such thing, unless its kind is named as a loss that the caller accepts.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection
from typing import Any, Literal, get_args

from spaces.errors import Inexpressible, Path, Problem
from spaces.values import listing

Loss = Literal["fidelity", "default", "prior", "conditions", "constraints", "order", "mutable"]
LOSSES: tuple[Loss, ...] = get_args(Loss)


class Findings:
    """What cannot be expressed; what belongs to an accepted kind of loss is not noted."""

    def __init__(self, accepted: Collection[Loss] = ()) -> None:
        unknown = [loss for loss in accepted if loss not in LOSSES]
        if unknown:
            raise ValueError(f"unknown kinds of loss {listing(unknown)} (known: {listing(LOSSES)})")
        self._accepted = accepted
        self._problems: list[Problem] = []

    def lost(self, loss: Loss, path: Path, message: str) -> None:
        if loss not in self._accepted:
            self.wrong(path, f"{message}; accept the loss of {loss!r} to leave it out")

    def wrong(self, path: Path, message: str) -> None:
        self._problems.append(Problem(path, message))

    def accepts(self, loss: Loss) -> bool:
        return loss in self._accepted

    def require(self) -> None:
        """Raises Inexpressible when anything was noted."""
        if self._problems:
            raise Inexpressible(self._problems)


def library(module: str, package: str) -> Any:
    """A module of another library; raises ModuleNotFoundError that says which package to install."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"this conversion needs the package {package}: pip install {package}") from error
