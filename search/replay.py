"""Whether a record is what the search decides: every suggestion and every stop, derived again from what came before.

A study is a pure function of its specification and of what the world answered, so nothing has to be believed: what the
record says was decided is what `ask` and `should_stop` decide at that place of it, or the record differs, and here is
where. Derived are decisions, never results: a result that was changed is noticed by the first decision that would have
been another one. Nor is derived what people added by hand: enqueued configs, told trials, invalidations.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from search.actions import Done, Wait
from search.engine import ask, should_stop
from search.history import Added, Ended, Enqueued, Event, History, Invalidated, Reported, Run
from search.revision import CARRIED
from search.spec import StudySpec
from spaces.errors import Path

ROUNDING = 1e-9
"""Relative. What floating point alone brings about, on another machine or with other versions of the libraries."""

Decision = Literal["suggestion", "stop", "end", "order"]


@dataclass(frozen=True, slots=True)
class Record:
    """A study and all that happened in it, in order.

    `events` may have reports that say nothing new, as repeated attempts make them. `stops` are what the stopping rule
    said of the runs that it ended (`Stop.to_json`), by number; without it nothing is known of stops, and none is
    derived. `finished`: the study ended because the search had nothing more to start; not by the clock, nor by hand.
    """

    study: StudySpec
    events: Sequence[Event]
    stops: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    finished: bool = False


@dataclass(frozen=True, slots=True)
class Field:
    """A part of a decision that is another one. None where one of them does not have it."""

    path: Path
    stored: Any
    derived: Any

    @property
    def distance(self) -> float | None:
        """By how much two finite numbers differ, relative to the larger one; None for anything else."""
        if not (_is_finite(self.stored) and _is_finite(self.derived)):
            return None
        return float(abs(self.stored - self.derived) / max(abs(self.stored), abs(self.derived), math.ulp(0.0)))


@dataclass(frozen=True, slots=True)
class Verified:
    """How many suggestions and stops were derived again, all as they are stored."""

    runs: int
    stops: int


@dataclass(frozen=True, slots=True)
class Difference:
    """The first decision that is not the stored one; after it, nothing can be said.

    `position` is the place in the record, from 0, and `run` the number of the run that is decided about. The decision
    is a *suggestion*; a *stop*; the *end* of the study, which says that there is nothing more to start; or none: in the
    *order* of the record, something happens to a run that was not added yet, or what people added has the wrong number.
    `runs` and `stops` are those before it.
    """

    position: int
    run: int
    decision: Decision
    fields: tuple[Field, ...]
    runs: int
    stops: int

    @property
    def rounding(self) -> bool:
        """Whether all of it is in the last digits of numbers."""
        return all(one.distance is not None and one.distance <= ROUNDING for one in self.fields)


def verify(record: Record, progress: Callable[[int], None] = lambda checked: None) -> Verified | Difference:
    """Derives all decisions again, which takes as long as they took. `progress` is told after every event how many
    events have been gone through."""
    replay = _Replay(record)
    for position, event in enumerate(record.events):
        found = replay.next(event)
        if found:
            return Difference(position, *found, replay.runs, replay.stops)
        progress(position + 1)
    if found := replay.end():
        return Difference(len(record.events), *found, replay.runs, replay.stops)
    return Verified(replay.runs, replay.stops)


_Found = tuple[int, Decision, tuple[Field, ...]]


class _Replay:
    """The record up to an event; all of it is as derived."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.history = History()
        self.runs = self.stops = 0
        self._undecided = dict(record.stops)

    def next(self, event: Event) -> _Found | None:
        """Goes on by one event; a difference is not gone past."""
        history = self.history
        match event:
            case Added(run) if run.told:
                due = replace(run, number=len(history.runs), trial=history.trial_count)
                if run != due:
                    return due.number, "order", _instead(f"told as {_words(run)}", f"told as {_words(due)}")
            case Added(run):
                if found := self._suggestion(run):
                    return found
            case Enqueued(number) if number != len(history.enqueued):
                due_now = f"config {len(history.enqueued)} enqueued"
                return len(history.runs), "order", _instead(f"config {number} enqueued", due_now)
            case Invalidated(trial) if not 0 <= trial < history.trial_count:
                missing = f"trial {trial} has not been added"
                return len(history.runs), "order", _instead(f"trial {trial} invalidated", missing)
            case Ended(number) | Reported(number) if not 0 <= number < len(history.runs):
                what = "ends" if isinstance(event, Ended) else "reports"
                return number, "order", _instead(f"run {number} {what}", f"run {number} has not been added")
            case Ended(number):
                if number in self._undecided:
                    return self._no_stop(number)
        history.append(event)
        return self._stop(event.run) if isinstance(event, Reported) else None

    def end(self) -> _Found | None:
        """What is left to be derived after the last event."""
        if self._undecided:
            return self._no_stop(min(self._undecided))
        if not self.record.finished:
            return None
        answer = ask(self.record.study, self.history)
        if isinstance(answer, Done):
            return None
        return len(self.history.runs), "end", _instead("done", _words(answer))

    def _suggestion(self, stored: Run) -> _Found | None:
        if not self.runs and stored.origin.get("rule") == CARRIED and stored.number == len(self.history.runs):
            return None  # from before the space was revised: what this study began with
        derived = ask(self.record.study, self.history)
        number = len(self.history.runs)
        if not isinstance(derived, Run):
            return number, "suggestion", _instead(_words(stored), _words(derived))
        if fields := tuple(_fields(_plain(stored), _plain(derived))):
            return number, "suggestion", fields
        self.runs += 1
        return None

    def _stop(self, number: int) -> _Found | None:
        """Asked after the same reports as the study was, those that said nothing new too, and until the run is to stop:
        the others' curves grow meanwhile."""
        if number not in self._undecided or self.history.outcome(number) is not None:
            return None
        derived = should_stop(self.record.study, self.history, number)
        if derived is None:
            return None
        stored = self._undecided.pop(number)
        if fields := tuple(_fields(_through_json(stored), _through_json(derived.to_json()))):
            return number, "stop", fields
        self.stops += 1
        return None

    def _no_stop(self, number: int) -> _Found:
        stop = self._undecided[number]
        return number, "stop", _instead(f"stop by {stop.get('rule')} at step {stop.get('step')}", "go on")


def _plain(run: Run) -> dict[str, Any]:
    """All that is decided of a run, as it comes out of a database."""
    return {
        "number": run.number,
        "trial": run.trial,
        "kind": run.kind,
        "bracket": run.slot.bracket,
        "rung": run.slot.rung,
        "replicate": run.slot.replicate,
        "fidelity": run.slot.fidelity,
        "resume_from": run.resume_from,
        "config": _through_json(dict(run.config)),
        "origin": _through_json(dict(run.origin)),
    }


def _through_json(value: object) -> Any:
    return json.loads(json.dumps(value))


def _fields(stored: Any, derived: Any, path: Path = ()) -> Iterator[Field]:
    """Where two JSON values differ: 1 and 1.0 are the same, 1 and true are not."""
    match stored, derived:
        case dict(), dict():
            for key in {**stored, **derived}:
                if key in stored and key in derived:
                    yield from _fields(stored[key], derived[key], (*path, key))
                else:
                    yield Field((*path, key), stored.get(key), derived.get(key))
        case list(), list() if len(stored) == len(derived):
            for index, pair in enumerate(zip(stored, derived, strict=True)):
                yield from _fields(*pair, (*path, index))
        case _:
            if isinstance(stored, bool) != isinstance(derived, bool) or stored != derived:
                yield Field(path, stored, derived)


def _instead(stored: str, derived: str) -> tuple[Field, ...]:
    """Of a decision as a whole."""
    return (Field(("decision",), stored, derived),)


def _words(answer: Run | Wait | Done) -> str:
    if isinstance(answer, Run):
        return f"run {answer.number} of trial {answer.trial}"
    return f"{'done' if isinstance(answer, Done) else 'wait'} ({answer.reason}: {answer.detail})"


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
