"""The state machines: one table of allowed transitions, one function that checks them.

study:    active <-> paused -> completed | failed | cancelled
run:      pending -> running -> succeeded | failed | stopped | cancelled ;  running -> pending when its worker is lost
job:      as a run, which no rule stops
attempt:  leased -> reporting -> succeeded | error | oom | timeout | lost | preempted | superseded
"""

from __future__ import annotations

from enum import StrEnum

from search.history import RunState


class StudyState(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def finished(self) -> bool:
        return self not in (StudyState.ACTIVE, StudyState.PAUSED)


class AttemptState(StrEnum):
    LEASED = "leased"
    REPORTING = "reporting"
    SUCCEEDED = "succeeded"
    ERROR = "error"
    OOM = "oom"
    TIMEOUT = "timeout"
    LOST = "lost"
    PREEMPTED = "preempted"
    SUPERSEDED = "superseded"


State = StudyState | RunState | AttemptState

_ATTEMPT_ENDS = frozenset(AttemptState) - {AttemptState.LEASED, AttemptState.REPORTING}
_RUN_ENDS = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.STOPPED, RunState.CANCELLED})

TRANSITIONS: dict[State, frozenset[State]] = {
    StudyState.ACTIVE: frozenset({StudyState.PAUSED, StudyState.COMPLETED, StudyState.FAILED, StudyState.CANCELLED}),
    StudyState.PAUSED: frozenset({StudyState.ACTIVE, StudyState.FAILED, StudyState.CANCELLED}),
    RunState.PENDING: frozenset({RunState.RUNNING, RunState.FAILED, RunState.CANCELLED}),
    RunState.RUNNING: _RUN_ENDS | {RunState.PENDING},
    AttemptState.LEASED: _ATTEMPT_ENDS | {AttemptState.REPORTING},
    AttemptState.REPORTING: _ATTEMPT_ENDS,
}


class NotAllowed(ValueError):
    """A transition that the table does not know. `current` is the state that stands."""

    def __init__(self, current: State, wanted: State) -> None:
        self.current = current
        self.wanted = wanted
        final = "" if TRANSITIONS.get(current) else ", a final state"
        super().__init__(f"it is {current}{final}, and cannot become {wanted}")


def check_transition(current: State, wanted: State) -> None:
    """Raises NotAllowed unless the table knows the step from `current` to `wanted`."""
    if wanted not in TRANSITIONS.get(current, frozenset()):
        raise NotAllowed(current, wanted)
