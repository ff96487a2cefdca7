"""What people do to studies: create, pause, resume, cancel. Every function runs in the caller's transaction.

A study is created in two steps: what takes long, checking it and gathering the results that it learns from, only reads;
writing is short, because on SQLite the dispatcher and all others wait for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search.history import RunState
from service.database import Session
from service.models import Json, Study, utcnow
from service.repositories.events import Events
from service.repositories.runs import Runs
from service.repositories.studies import Studies
from service.specs import DEFAULTS, completed, read_spec
from service.states import AttemptState, StudyState
from service.warm_start import resolved
from spaces.errors import InvalidInput, Problem
from workers.objectives import check


@dataclass(frozen=True, slots=True)
class Draft:
    """A study that was checked and is complete: it does not change whatever becomes of those that it learns from."""

    name: str
    spec: Json
    sources: list[Json] | None


def create_study(session: Session, payload: Mapping[str, Any]) -> Study:
    """Both steps at once. Raises InvalidInput or NameTaken; then nothing is stored."""
    return store_study(session, draft_study(session, payload))


def draft_study(session: Session, payload: Mapping[str, Any]) -> Draft:
    """Checks a study. It only reads, and may take long. Raises InvalidInput with every problem."""
    given = {**DEFAULTS, **{key: value for key, value in payload.items() if key != "name" and value is not None}}
    problems: list[Problem] = []
    if "warm_start" in given:
        given["warm_start"] = resolved(session, given["warm_start"], problems)
    spec = None
    try:
        spec = read_spec(given)
    except InvalidInput as error:
        problems = [*error.problems, *problems]
    problems += check(given)
    if problems or spec is None:
        raise InvalidInput(problems)
    return Draft(payload["name"], completed(given, spec), given.get("warm_start"))


def store_study(session: Session, draft: Draft) -> Study:
    """Stores a new, active study. Raises NameTaken."""
    study = Studies(session).add(draft.name, draft.spec, draft.sources)
    study.started_at = study.active_since = utcnow()
    Events(session).append(study, "study.created")
    return study


def pause_study(session: Session, name: str) -> Study:
    """No new runs; those that are under way go on to their end. Raises NotAllowed."""
    return _move(session, name, StudyState.PAUSED)


def resume_study(session: Session, name: str) -> Study:
    return _move(session, name, StudyState.ACTIVE)


def cancel_study(session: Session, name: str) -> Study:
    """Ends the study and every open run at once; the dispatcher stops their workers. Raises NotAllowed."""
    study = Studies(session).get(name, lock=True)
    close_study(session, study, StudyState.CANCELLED)
    return study


def close_study(session: Session, study: Study, state: StudyState, reason: str | None = None) -> None:
    """Ends a study whose row is locked, and cancels its open runs. Raises NotAllowed."""
    runs, events = Runs(session), Events(session)
    for row in runs.open(study.id):
        runs.end_attempt(row.run, AttemptState.SUPERSEDED)
        events.move_run(study, row.run, RunState.CANCELLED)
    events.move_study(study, state, reason)


def _move(session: Session, name: str, state: StudyState) -> Study:
    study = Studies(session).get(name, lock=True)
    Events(session).move_study(study, state)
    return study
