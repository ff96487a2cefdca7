"""The table of transitions is the state machine of the design, no more and no less."""

from __future__ import annotations

from itertools import product

import pytest

from search.history import RunState
from service.states import TRANSITIONS, AttemptState, NotAllowed, StudyState, check_transition

RUN_STEPS = {
    ("pending", "running"),
    ("pending", "failed"),
    ("pending", "cancelled"),
    ("running", "pending"),
    ("running", "succeeded"),
    ("running", "failed"),
    ("running", "stopped"),
    ("running", "cancelled"),
}
STUDY_STEPS = {
    ("active", "paused"),
    ("active", "completed"),
    ("active", "failed"),
    ("active", "cancelled"),
    ("paused", "active"),
    ("paused", "cancelled"),
    ("paused", "failed"),
}


@pytest.mark.parametrize(("states", "allowed"), [(RunState, RUN_STEPS), (StudyState, STUDY_STEPS)])
def test_exactly_the_steps_of_the_design_are_allowed(
    states: type[RunState | StudyState], allowed: set[tuple[str, str]]
) -> None:
    for current, wanted in product(states, states):
        if (current, wanted) in allowed:
            check_transition(current, wanted)
        else:
            with pytest.raises(NotAllowed):
                check_transition(current, wanted)


def test_what_has_ended_stays_ended() -> None:
    ends = {state for state in (*RunState, *StudyState) if state.finished}
    ends |= set(AttemptState) - {AttemptState.LEASED, AttemptState.REPORTING}
    assert not ends & TRANSITIONS.keys()


def test_a_refusal_says_what_is_possible() -> None:
    with pytest.raises(NotAllowed, match="it is paused, and cannot become completed"):
        check_transition(StudyState.PAUSED, StudyState.COMPLETED)
    with pytest.raises(NotAllowed, match="it is failed, a final state, and cannot become running"):
        check_transition(RunState.FAILED, RunState.RUNNING)
