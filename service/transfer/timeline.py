"""The events of a study, played in order: each is a step that the state machines allow, and where they lead is what the
records say."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping

from search.history import RunState
from service.models import Json
from service.states import NotAllowed, StudyState, check_transition
from service.transfer.reading import Line
from service.transfer.records import EventRecord
from spaces.errors import InvalidInput
from spaces.values import show

_STATES = tuple(RunState)
_PLACES = {state: place for place, state in enumerate(_STATES)}

_OF_STUDIES = {
    "study.paused": StudyState.PAUSED,
    "study.resumed": StudyState.ACTIVE,
    "study.completed": StudyState.COMPLETED,
    "study.failed": StudyState.FAILED,
    "study.cancelled": StudyState.CANCELLED,
}
_OF_RUNS = {
    "run.running": RunState.RUNNING,
    "run.retried": RunState.PENDING,
    "run.succeeded": RunState.SUCCEEDED,
    "run.failed": RunState.FAILED,
    "run.stopped": RunState.STOPPED,
    "run.cancelled": RunState.CANCELLED,
}
_REMARKS = ("study.incumbent", "study.tested", "study.checked", "study.finalizing", "study.finalized")
NOT_YET = 0


class Timeline:
    """First told what to expect of every run, trial and config; then given the events."""

    def __init__(self) -> None:
        self.seq = 0
        self.latest = 0
        self.enqueued: list[int] = []
        self.invalidated: dict[int, tuple[int, Json]] = {}
        self._study = StudyState.ACTIVE
        self._trials = array("i")
        self._said = bytearray()
        self._added = array("i")
        self._ended = array("i")
        self._states = bytearray()
        self._wishes = 0
        self._gone: set[int] = set()
        self._open = 0

    def expect(self, trial: int, state: RunState, added: int, ended: int | None) -> None:
        """Of the next run."""
        self._trials.append(trial)
        self._said.append(_PLACES[state])
        self._added.append(added)
        self._ended.append(NOT_YET if ended is None else ended)

    def said(self, run: int) -> RunState:
        """The state that its record says."""
        return _STATES[self._said[run]]

    def added(self, run: int) -> int:
        return self._added[run]

    def ended(self, run: int) -> int:
        """The event of its end; 0 while it is open."""
        return self._ended[run]

    def counts(self) -> Mapping[RunState, int]:
        return {_STATES[place]: number for place, number in Counter(self._said).items()}

    def play(self, line: Line, event: EventRecord) -> None:
        """Raises InvalidInput."""
        if event.seq != self.seq + 1:
            raise line.wrong("seq", f"must be {self.seq + 1}, the next one, got {event.seq}")
        self.seq = event.seq
        if (event.type == "study.created") != (event.seq == 1):
            raise line.wrong("type", "the first event, and no other, is study.created")
        self._check_named(line, event)
        try:
            if event.type in _OF_STUDIES:
                self._move_study(line, _OF_STUDIES[event.type])
            elif event.type in _OF_RUNS:
                self._move_run(line, event, _OF_RUNS[event.type])
            elif event.type == "run.pending":
                self._add(line, event)
            elif event.type == "trial.enqueued":
                self._enqueue(line, event)
            elif event.type == "trial.invalidated":
                self._invalidate(line, event)
            elif event.type not in ("study.created", *_REMARKS):
                raise line.wrong("type", f"{show(event.type)} is none of the events of this version")
        except NotAllowed as error:
            raise line.wrong("type", f"{event.type}: {error}") from error

    def check_end(self, study: StudyState) -> None:
        """After the last event. Raises InvalidInput."""
        if self.seq == 0:
            raise _wrong("a study has at least one event: study.created")
        if self._study is not study:
            raise _wrong(f"by its events the study is {self._study}, but it is said to be {study}")
        if len(self._states) != len(self._said):
            raise _wrong(f"no event adds run {len(self._states)}")
        for run, (state, said) in enumerate(zip(self._states, self._said, strict=True)):
            if state != said:
                raise _wrong(f"by its events run {run} is {_STATES[state]}, but it is said to be {_STATES[said]}")
        if self._wishes != len(self.enqueued):
            raise _wrong(f"no event enqueues config {self._wishes}")
        if missing := self.invalidated.keys() - self._gone:
            raise _wrong(f"no event invalidates trial {min(missing)}")
        if self.latest > self.seq:
            raise _wrong(f"a report comes after event {self.latest}, but there are {self.seq}")

    def _check_named(self, line: Line, event: EventRecord) -> None:
        """What an event names is there by then, and belongs together."""
        if event.run is None:
            if event.trial is not None or event.type.startswith("run.") or event.type == "trial.invalidated":
                raise line.wrong("run", "is missing")
            return
        known = len(self._states) + (event.type == "run.pending")
        if event.run >= min(known, len(self._trials)):
            raise line.wrong("run", f"run {event.run} was not added yet")
        if event.trial != self._trials[event.run]:
            raise line.wrong("trial", f"run {event.run} is of trial {self._trials[event.run]}")

    def _move_study(self, line: Line, state: StudyState) -> None:
        check_transition(self._study, state)
        if state.finished and self._open:
            raise line.wrong("type", f"the study ends, but {self._open} runs have not")
        self._study = state

    def _move_run(self, line: Line, event: EventRecord, state: RunState) -> None:
        assert event.run is not None, "it was checked"
        check_transition(_STATES[self._states[event.run]], state)
        self._states[event.run] = _PLACES[state]
        if state.finished:
            self._open -= 1
            if self._ended[event.run] != event.seq:
                raise line.wrong("seq", f"is not the event that run {event.run} names as its end")

    def _add(self, line: Line, event: EventRecord) -> None:
        if event.run != len(self._states) or self._added[event.run] != event.seq:
            raise line.wrong("run", f"must be {len(self._states)}, the next one, and the event that its record names")
        if self._study.finished:
            raise line.wrong("type", f"the study is {self._study}: nothing is added any more")
        self._states.append(_PLACES[RunState.PENDING])
        self._open += 1

    def _enqueue(self, line: Line, event: EventRecord) -> None:
        if self._wishes >= len(self.enqueued) or self.enqueued[self._wishes] != event.seq:
            raise line.wrong("seq", f"is not the event that config {self._wishes} names")
        if type(event.data.get("number")) is not int or event.data["number"] != self._wishes:
            raise line.wrong("data", f"must have the number {self._wishes}")
        self._wishes += 1

    def _invalidate(self, line: Line, event: EventRecord) -> None:
        assert event.trial is not None, "it was checked"
        if self.invalidated.get(event.trial) != (event.seq, event.data):
            raise line.wrong("data", f"is not what trial {event.trial} says of this event")
        self._gone.add(event.trial)


def _wrong(message: str) -> InvalidInput:
    return InvalidInput.at((), message)
