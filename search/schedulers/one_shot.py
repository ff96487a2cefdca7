"""One run trains a network that holds all architectures at once, and ranks them; the best are trained by themselves.

    supernet -> what it has come to, the `retrain` best of its ranking, `trusted` others, evenly over the rest -> done

The others say whether the ranking can be believed (`search.trust`): of the best alone, which differ by little, no rank
correlation could be told from chance. The supernet's own trial is no candidate: it has no result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from search.actions import Action, Done, Evaluate, Sample, Wait
from search.history import Added, Config, Event, Found, History, RunState, Slot
from search.streams import Streams

SUPERNET: Final = "supernet"
RANKED: Final = "ranked"
"""The rules in the origins of the run that ranks and of those that it ranked."""
ENOUGH: Final = 20
"""So many configs that were trained say how far a ranking can be trusted; with fewer the intervals are wide."""


@dataclass(frozen=True, slots=True)
class OneShot:
    """`config` is the supernet's: of its architecture nothing is read. `fidelity` is the highest, None in a space
    without one: that of the architectures, and what the supernet is charged, however long it is trained."""

    config: Config
    fidelity: float | int | None
    retrain: int
    trusted: int

    def next(self, history: History, new_trials: bool, streams: Streams) -> Action | None:
        if not new_trials:
            return None
        if history.waiting:  # what people enqueue needs no ranking
            return Sample(Slot(2, fidelity=self.fidelity))
        begun = history.view("one-shot", Begun, sees="schedule")
        if begun.supernet is None:
            return Evaluate(Slot(fidelity=self.fidelity), self.config, "supernet", {"rule": SUPERNET})
        outcome = history.recorded(begun.supernet)
        if outcome is None:
            return Wait("barrier", "the supernet is trained first; it says which architectures are worth a training")
        if outcome.state is not RunState.SUCCEEDED:
            return Done("exhausted", f"run {begun.supernet}, the supernet, {outcome.state}: nothing was ranked")
        wanted = chosen([each.own for each in outcome.found], self.retrain, self.trusted)
        if begun.ranked == len(wanted):
            return Done("exhausted", f"the supernet and {begun.ranked} of the configs that it ranked were trained")
        rank = wanted[begun.ranked]
        found = outcome.found[rank]
        config = {**history.runs[begun.supernet].config, **found.config}
        origin: dict[str, Any] = {"rule": RANKED, "rank": rank + 1, "score": found.score}
        return Evaluate(
            Slot(1, fidelity=self.fidelity), config, origin={**origin, "own": True} if found.own else origin
        )


class Begun:
    """The view of what was started: the supernet's run, and how many of those that it ranked."""

    def __init__(self) -> None:
        self.supernet: int | None = None
        self.ranked = 0

    def apply(self, event: Event, history: History) -> None:
        match event:
            case Added(run) if run.kind == "supernet":
                self.supernet = run.number
            case Added(run) if run.origin.get("rule") == RANKED:
                self.ranked += 1


def chosen(own: Sequence[bool], retrain: int, trusted: int) -> Sequence[int]:
    """Which places of a ranking, the best first, are trained: what the search itself has come to, the first ones, and
    others from there to the last at equal distances. `own` says of each place whether it is that."""
    count, best = len(own), min(retrain, len(own))
    rest = np.linspace(best, count - 1, min(trusted, count - best)) if count > best else ()
    places = [*(place for place, its in enumerate(own) if its), *range(best), *(round(place) for place in rest)]
    return list(dict.fromkeys(places))


def best_first(found: Sequence[Found]) -> tuple[Found, ...]:
    """By score, the highest first; equal ones as they came."""
    return tuple(sorted(found, key=lambda each: -each.score))
