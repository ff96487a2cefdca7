"""What people do to studies: create, pause, resume, cancel. Every function runs in the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search import StudySpec
from search.history import RunState
from service.database import Session
from service.models import Json, Study, utcnow
from service.repositories.events import Events
from service.repositories.runs import Runs
from service.repositories.studies import Studies
from service.states import AttemptState, StudyState
from spaces.errors import InvalidInput, Problem
from workers.objectives import check

SEARCH_KEYS = ("space", "algorithm", "metrics", "budget", "parallelism", "seed")
DEFAULTS: Json = {"parallelism": 1, "seed": 0, "budget": {}, "resources": {"cpus": 1, "gpus": 0}}


def search_spec(study: Mapping[str, Any]) -> StudySpec:
    """The part of a study that the search knows. Raises InvalidInput."""
    return StudySpec.from_json({key: study[key] for key in SEARCH_KEYS if key in study})


def create_study(session: Session, payload: Mapping[str, Any]) -> Study:
    """Stores a new, active study. Raises InvalidInput with every problem, or NameTaken; then nothing is stored."""
    spec = {**DEFAULTS, **{key: value for key, value in payload.items() if key != "name" and value is not None}}
    problems: list[Problem] = []
    try:
        search_spec(spec)
    except InvalidInput as error:
        problems += error.problems
    problems += check(spec)
    if problems:
        raise InvalidInput(problems)
    study = Studies(session).add(payload["name"], spec)
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
