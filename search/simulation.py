"""A study played on simulated workers, in simulated time: for benchmarks and tests of what a study would do.

played = simulate(study, lambda run: Outcome(RunState.SUCCEEDED, (loss(run.config, run.fidelity),)), workers=4)
played.history, played.makespan, played.end
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass

from search.actions import Done
from search.engine import ask_many
from search.history import Ended, History, Outcome, Run
from search.ledger import cost
from search.spec import StudySpec


@dataclass(frozen=True, slots=True)
class Simulation:
    """What happened: all events, the time at which the last run ended, and why no more were started."""

    history: History
    makespan: float
    end: Done


def simulate(
    study: StudySpec,
    objective: Callable[[Run], Outcome],
    workers: int = 1,
    seconds: Callable[[Run], float] | None = None,
) -> Simulation:
    """Runs a study to its end; an idle worker is given the next run at once.

    `seconds` is how long a run takes, by default what it costs in units of the fidelity (continued runs only the
    difference). Runs that end at the same time end in the order of their numbers.
    """
    history, now = History(), 0.0
    busy: list[tuple[float, int]] = []
    while True:
        runs, answer = ask_many(study, history, workers - len(busy))
        for run in runs:
            duration = seconds(run) if seconds else cost(history, run.fidelity, run.resume_from)
            heapq.heappush(busy, (now + duration, run.number))
        if not busy:
            assert isinstance(answer, Done), "waiting with nothing open"
            return Simulation(history, now, answer)
        now, number = heapq.heappop(busy)
        history.append(Ended(number, objective(history.runs[number])))
