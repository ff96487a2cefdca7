"""The adapter's side of the pipe: JSON lines on standard input and output.

It runs in a peer's environment, so it imports the standard library alone.

    -> {"start": {"peer", "space", "eta", "seed", "budget", "options"}}   <- {"ready": true} | {"refused": why}
    -> {"ask": true}             <- {"token", "config", "fidelity", "resumed"} | {"done": true}
    -> {"tell": token, "loss": x}                                 <- {"told": true}

A fidelity of null is the highest. `space` is a space on the wire (docs/spaces.md), with its fidelity if it has one.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Start:
    """What is to be searched. `budget` is in full evaluations."""

    peer: str
    space: Mapping[str, Any]
    eta: float
    seed: int
    budget: float
    options: Mapping[str, Any]

    @property
    def parameters(self) -> list[dict[str, Any]]:
        return list(self.space["parameters"])

    @property
    def fidelity(self) -> Mapping[str, Any] | None:
        return self.space.get("fidelity")

    @property
    def range(self) -> tuple[float, float]:
        """The fidelities that a multi-fidelity peer is given; without one, a range too short for a second rung."""
        return (1.0, 1.01) if self.fidelity is None else (self.fidelity["low"], self.fidelity["high"])

    @property
    def conditional(self) -> bool:
        return any("when" in parameter for parameter in self.parameters)

    def wanted(self, config: Mapping[str, Any], fidelity: float, resumed: float = 0.0) -> Wanted:
        """What a multi-fidelity peer wants; an integer fidelity is rounded."""
        if self.fidelity is None:
            return Wanted(config)
        if self.fidelity.get("type", "int") == "int":
            fidelity = round(fidelity)
        return Wanted(config, fidelity, resumed)


@dataclass(frozen=True)
class Wanted:
    """An evaluation that the peer wants. `resumed`: the fidelity of the run of this config that it continues."""

    config: Mapping[str, Any]
    fidelity: float | None = None
    resumed: float = 0.0


class Refused(Exception):
    """The peer cannot search such a space."""


class Search(Protocol):
    """What an adapter implements."""

    def ask(self) -> Wanted | None: ...

    def tell(self, wanted: Wanted, loss: float) -> None: ...


def serve(open_search: Callable[[Start], Search]) -> None:
    """Answers until the input ends. What a peer prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)

    def answer(message: Mapping[str, Any]) -> None:
        print(json.dumps(message), file=answers, flush=True)

    search: Search | None = None
    wanted: dict[int, Wanted] = {}
    for line in sys.stdin:
        match json.loads(line):
            case {"start": start}:
                try:
                    search = open_search(Start(**start))
                    answer({"ready": True})
                except Refused as refused:
                    answer({"refused": str(refused)})
            case {"ask": _}:
                assert search is not None
                asked = search.ask()
                if asked is None:
                    answer({"done": True})
                    continue
                token = len(wanted)
                wanted[token] = asked
                answer(
                    {
                        "token": token,
                        "config": asked.config,
                        "fidelity": asked.fidelity,
                        "resumed": asked.resumed,
                    }
                )
            case {"tell": token, "loss": loss}:
                assert search is not None
                search.tell(wanted[token], loss)
                answer({"told": True})


def active(parameter: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether a parameter is active; of conditions, adapters know `equals` and `in`, parents declared first."""
    when = parameter.get("when")
    if when is None:
        return True
    value = config.get(when["parameter"])
    return value in when["in"] if "in" in when else bool(value == when["equals"])


def parents_first(parameters: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The parameters in an order in which conditions look back only (one level of conditions)."""
    return sorted(parameters, key=lambda parameter: "when" in parameter)
