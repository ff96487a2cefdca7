"""Where a run's weights come from: the configs under which they were trained, one after the other.

For most algorithms that is one config. Where trials begin with what others have learned (`pbt`), the result of a study
is a schedule: it takes all its configs, each for its part of the training, to come to the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from search.history import Config, History


@dataclass(frozen=True, slots=True)
class Segment:
    """The training from one fidelity to another under one config, by a trial; `end` is None without a fidelity axis.

    `run` is the last run of the trial in this part: its checkpoint holds what came out.
    """

    begin: float | int
    end: float | int | None
    config: Config
    trial: int
    run: int

    def to_json(self) -> dict[str, Any]:
        return {
            "begin": self.begin,
            "end": self.end,
            "config": dict(self.config),
            "trial": self.trial,
            "run": self.run,
        }


def schedule(history: History, run: int) -> tuple[Segment, ...]:
    """What led to a run, itself included, from the first segment on: one for each trial that it descends from.

    Training each of them from its `begin` to its `end`, with its config and the seed of its trial, from where the one
    before has ended, gives the run's result again.
    """
    segments: list[Segment] = []
    number: int | None = run
    while number is not None:
        last = history.runs[number]
        first = last
        while first.resume_from is not None and history.runs[first.resume_from].trial == last.trial:
            first = history.runs[first.resume_from]
        number = first.resume_from
        begin = 0 if number is None else history.runs[number].fidelity or 0
        segments.append(Segment(begin, last.fidelity, last.config, last.trial, last.number))
    return tuple(reversed(segments))
