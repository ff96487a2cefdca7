"""MO-ASHA (Schmucker et al. 2021): ASHA for several objectives.

The best of a rung are its fronts, one after the other (non-dominated sorting); the front in which the places end is
cut so that what goes up is spread along it. The measure of spread is an epsilon net, each next trial the farthest from
all those chosen before, or the crowding distance of NSGA-II. Losses are compared within an objective only, and
distances are measured in units of the front's extent, so that the objectives need no common scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from search import pareto
from search.actions import Promote
from search.history import Outcome, Run, Slot
from search.schedulers.asha import Asha, Rung, places

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Spread = Literal["epsilon-net", "crowding"]


@dataclass(frozen=True, slots=True)
class MoAsha(Asha):
    """As `Asha`, with the trials of a rung ordered by front, and on a front by how well they spread; with one objective
    it makes the same promotions."""

    spread: Spread = "epsilon-net"

    def rung(self, slot: Slot) -> Rung:
        return _Fronts(slot, self.spread)


class _Fronts(Rung):
    """All that completed the rung, as they came; which of them are still here; the best of those, while it holds."""

    def __init__(self, slot: Slot, spread: Spread) -> None:
        super().__init__(slot)
        self._spread = spread
        self._fronts = pareto.Fronts()
        self._runs: list[Run] = []
        self._rows: dict[int, int] = {}  # by run number
        self._here = np.zeros(16, dtype=np.bool_)  # at least as long as there are rows
        self._known: dict[Fraction | None, tuple[int, int] | None] = {}

    def enter(self, run: Run, outcome: Outcome) -> None:
        row = len(self._runs)
        if row == len(self._here):
            self._here = np.concatenate((self._here, np.zeros_like(self._here)))
        self._rows[run.number], self._here[row] = row, True
        self._fronts.add(outcome.ranking)
        self._runs.append(run)
        self._known.clear()

    def leave(self, run: Run, outcome: Outcome) -> None:
        row = self._rows.pop(run.number)
        self._here[row] = False
        self._known.clear()

    def drop(self, trial: int) -> None:
        if not any(run.trial == trial for run in self._runs):
            return
        kept = [row for row, run in enumerate(self._runs) if run.trial != trial]
        values, here, runs = self._fronts.values[kept], self._here[kept], [self._runs[row] for row in kept]
        self._fronts = pareto.Fronts()
        for losses in values.tolist():
            self._fronts.add(tuple(losses))
        self._here = np.concatenate((here, np.zeros(16, dtype=np.bool_)))
        self._runs = runs
        self._rows = {run.number: row for row, run in enumerate(runs) if here[row]}
        self._known.clear()

    def promotion(self, above: Slot, eta: Fraction | None) -> Promote | None:
        if eta not in self._known:
            self._known[eta] = self._best(len(self._runs) if eta is None else places(len(self._runs), eta))
        best = self._known[eta]
        if best is None:
            return None
        row, front = best
        number, losses = self._runs[row].number, self._fronts.values[row].tolist()
        origin = {"rule": "promote", "front": front, "of": len(self._runs), "from_run": number, "losses": losses}
        return Promote(above, number, origin)

    def _best(self, count: int) -> tuple[int, int] | None:
        """The best that is still here (its row and its front), if it is one of the best `count`."""
        here = self._here[: len(self._runs)]
        if not count or not here.any():
            return None
        ranks = self._fronts.ranks
        front = int(ranks[here].min())
        room = count - int(np.count_nonzero(ranks < front))
        if room <= 0:
            return None
        rows = self._fronts.front(front)
        rows = rows[np.argsort([self._runs[row].trial for row in rows])]
        chosen = rows[spread_order(self._fronts.values[rows], min(room, len(rows)), self._spread)]
        return next(((int(row), front) for row in chosen if here[row]), None)


def spread_order(losses: Floats, size: int, spread: Spread) -> Ints:
    """The indices of `size` results of one front, shape [results, objectives], so that the first few are far apart.
    Ties go to the lower index."""
    if spread == "crowding":
        return np.argsort(-pareto.crowding(losses), kind="stable")[:size]
    return epsilon_net(losses, size)


def epsilon_net(losses: Floats, size: int) -> Ints:
    """The best by the first objective, then always the one that is farthest from all before it (Gonzalez 1985)."""
    extent = np.ptp(losses, axis=0)
    scaled = (losses - losses.min(axis=0)) / np.where(extent > 0, extent, 1.0)
    order = [int(np.argmin(losses[:, 0]))]
    nearest = np.full(len(losses), np.inf)
    while len(order) < size:
        nearest = np.minimum(nearest, np.linalg.norm(scaled - scaled[order[-1]], axis=1))
        nearest[order] = -1.0  # equals of a chosen one are at distance 0, and still to be chosen
        order.append(int(np.argmax(nearest)))
    return np.array(order, dtype=np.int64)
