"""Going on after the space of a study was changed: what was tried, as results of the revised space.

    revised = revise(study.space, changes)
    history = carried(history, changes, revised)     # go on with the study in the revised space

A trial is carried, with all its runs, reports and results, when its config still has a place (`spaces.carry`); the
others are forgotten, and numbers close ranks. Models learn from carried trials, populations begin with them, the best
of them leads, and none of their configs is tried again. Schedules begin anew: half a rung would promote others than a
whole one, so carried runs are outside all brackets. Configs that are enqueued and still wait are carried as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from search.history import Added, Ended, Enqueued, Event, History, Invalidated, Reported, Run
from search.schedulers.brackets import OUTSIDE
from spaces import Change, Config, Space, carry

CARRIED = "carried"
"""The rule in the origin of runs that no decision of the study has made."""


def carried(history: History, changes: Sequence[Change], revised: Space) -> History:
    """The history of the study in the revised space; `history` is left as it is.

    Events keep their order, runs that are open stay open. The origin of a carried run names in `from_run` the number
    that it had; what was told stays told. A trial that began with what a forgotten one had learned is forgotten with
    it.
    """
    configs = _places(history, changes, revised)
    runs: dict[int, int] = {}
    trials: dict[int, int] = {}
    wishes = (carry(wish.config, changes, revised) for wish in history.waiting)
    events: list[Event] = [Enqueued(*wish) for wish in enumerate(config for config in wishes if config is not None)]
    for event in history.events:
        match event:
            case Added(run) if run.trial in configs:
                runs[run.number] = len(runs)
                trials.setdefault(run.trial, len(trials))
                events.append(Added(_outside(run, configs[run.trial], runs, trials)))
            case Ended() | Reported() if event.run in runs:
                events.append(replace(event, run=runs[event.run]))
            case Invalidated(trial) if trial in trials:
                events.append(Invalidated(trials[trial]))
    return History(events)


def _places(history: History, changes: Sequence[Change], revised: Space) -> dict[int, Config]:
    """The configs in the revised space, of the trials that have one there."""
    found: dict[int, Config] = {}
    for trial in range(history.trial_count):
        first = history.runs[history.runs_of(trial)[0]]
        donor = None if first.resume_from is None else history.runs[first.resume_from].trial
        if first.kind != "train" or (donor is not None and donor not in found):
            continue
        config = carry(first.config, changes, revised)
        if config is not None:
            found[trial] = config
    return found


def _outside(run: Run, config: Config, runs: dict[int, int], trials: dict[int, int]) -> Run:
    origin: dict[str, Any] = {"rule": CARRIED, "probabilities": {CARRIED: 1.0}, "from_run": run.number}
    if run.told:
        origin = {**run.origin, "from_run": run.number}
    return replace(
        run,
        number=runs[run.number],
        trial=trials[run.trial],
        config=config,
        slot=replace(run.slot, bracket=OUTSIDE),
        origin=origin,
        resume_from=None if run.resume_from is None else runs[run.resume_from],
    )
