"""What the runs of a study were started for: the side of the budget that `ask` can know."""

from __future__ import annotations

from dataclasses import dataclass

from search.history import Added, Event, History

ROUND_OFF = 1 + 1e-9
"""A sum of fractional fidelities may exceed the limit that it equals on paper by this factor."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What a study was charged so far.

    A run is charged in full when it is started, whatever becomes of it: the history does not know how far a failed run
    came, and a charge that never sinks keeps the end of a budget final. A promoted or forked run costs the difference
    to the run that it continues; without a fidelity axis every run costs 1. What was told, others have paid for.
    """

    runs: int = 0
    trials: int = 0
    fidelity: float = 0


class _Ledger:
    """The view of what was spent."""

    def __init__(self) -> None:
        self.spent = Spent()

    def apply(self, event: Event, history: History) -> None:
        match event:
            case Added(run) if not run.told:
                trials = self.spent.trials + (history.runs_of(run.trial)[0] == run.number)
                fidelity = self.spent.fidelity + cost(history, run.fidelity, run.resume_from)
                self.spent = Spent(self.spent.runs + 1, trials, fidelity)


def cost(history: History, fidelity: float | None, resume_from: int | None = None) -> float:
    """What a run up to `fidelity` costs when it continues the given run (None: from scratch)."""
    if fidelity is None:
        return 1
    done = None if resume_from is None else history.runs[resume_from].fidelity
    return fidelity - (done or 0)


def spent(history: History) -> Spent:
    """The runs, trials and fidelity of all runs that were started."""
    return history.view("ledger", _Ledger, sees="replicates").spent
