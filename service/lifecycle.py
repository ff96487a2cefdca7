"""What people do to studies: create, pause, resume, cancel. Every function runs in the caller's transaction.

A study is created in two steps: what takes long, checking it and gathering the results that it learns from, only reads;
writing is short, because on SQLite the dispatcher and all others wait for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.history import RunState
from service.architectures import transferred
from service.database import Session
from service.datasets.references import resolved_dataset
from service.jobs.checks import add_checks
from service.models import DEFAULT_PROJECT_ID, Json, Study, utcnow
from service.repositories.events import Events
from service.repositories.jobs import Jobs
from service.repositories.projects import Projects
from service.repositories.runs import Runs
from service.repositories.studies import Studies
from service.specs import DEFAULTS, completed, read_spec
from service.states import AttemptState, StudyState
from service.warm_start import resolved
from spaces.errors import InvalidInput, Problem
from workers.catalogue import DATASETS
from workers.objectives import check, written_out

COMMAND = "command"
"""The type of the objectives that run what users send."""


class CommandsRefused(PermissionError):
    """A study would run a command, and whoever submits it may not have that done."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A study that was checked and is complete: it does not change whatever becomes of those that it learns from."""

    project_id: int
    name: str
    spec: Json
    sources: list[Json] | None
    priority: int = 0


def create_study(session: Session, payload: Mapping[str, Any], project_id: int = DEFAULT_PROJECT_ID) -> Study:
    """Both steps at once, by somebody who may do everything. Raises as they do; then nothing is stored."""
    return store_study(session, draft_study(session, payload, project_id, may_execute=True))


def draft_study(
    session: Session,
    payload: Mapping[str, Any],
    project_id: int,
    *,
    may_execute: bool,
    sources: Sequence[Json] = (),
) -> Draft:
    """Checks a study, which learns from `sources`, taken as they are, and from those that it names in `warm_start`.
    It only reads, and may take long.

    Raises InvalidInput with every problem, or CommandsRefused for a command unless the caller `may_execute` such.
    """
    if payload["objective"].get("type") == COMMAND and not may_execute:
        raise CommandsRefused("a command objective runs what you send")
    given = {**DEFAULTS, **{key: value for key, value in payload.items() if key != "name" and value is not None}}
    problems: list[Problem] = []
    if sources or "warm_start" in given:
        named = resolved(Studies(session, project_id), given.get("warm_start", ()), problems)
        given["warm_start"] = [*sources, *named]
    if (dataset := _uploaded(given)) is not None:
        try:
            given["objective"] = {**given["objective"], "dataset": resolved_dataset(session, project_id, dataset)}
        except InvalidInput as error:
            problems += error.problems
            given["objective"] = {key: value for key, value in given["objective"].items() if key != "dataset"}
    known = {problem.path for problem in problems}  # of what is missing now
    try:
        given["space"] = transferred(Studies(session, project_id), given["space"])
        written = written_out(given)
    except InvalidInput as error:
        rest = check({key: value for key, value in given.items() if key != "space"})
        found = [problem for problem in dict.fromkeys([*error.problems, *rest]) if problem.path not in known]
        raise InvalidInput([*found, *problems]) from None
    if written is not None:
        given["space"] = written.space
    spec = None
    try:
        spec = read_spec(given)
    except InvalidInput as error:
        problems = [*error.problems, *problems]
    problems += [problem for problem in check(given) if problem.path not in known]
    if problems or spec is None:
        raise InvalidInput(problems if written is None else map(written.origin, problems))
    priority = given.pop("priority", 0)
    return Draft(project_id, payload["name"], completed(given, spec), given.get("warm_start"), priority)


def store_study(session: Session, draft: Draft) -> Study:
    """Stores a new, active study. Raises NameTaken, or QuotaUsedUp when the project has as many as it may."""
    Projects(session).make_room_for_study(draft.project_id)
    if (dataset := _uploaded(draft.spec)) is not None:
        resolved_dataset(session, draft.project_id, dataset, hold=True)
    study = Studies(session, draft.project_id).add(draft.name, draft.spec, draft.sources)
    study.priority = draft.priority
    study.started_at = study.active_since = utcnow()
    Events(session).append(study, "study.created")
    add_checks(session, study)
    return study


def _uploaded(spec: Mapping[str, Any]) -> object:
    """The uploaded dataset that the study's command or training reads, if it names one."""
    objective = spec["objective"]
    named = objective.get("dataset")
    match objective.get("type"):
        case "command":
            return named
        case "train" if isinstance(named, Mapping) or (isinstance(named, str) and named not in DATASETS):
            return named
        case _:
            return None


def pause_study(session: Session, project_id: int, name: str) -> Study:
    """No new runs; those that are under way go on to their end. Raises NotFound or NotAllowed, as all below."""
    return _move(session, project_id, name, StudyState.PAUSED)


def resume_study(session: Session, project_id: int, name: str) -> Study:
    return _move(session, project_id, name, StudyState.ACTIVE)


def cancel_study(session: Session, project_id: int, name: str) -> Study:
    """Ends the study and every open run at once; the dispatcher stops their workers."""
    study = Studies(session, project_id).get(name, lock=True)
    close_study(session, study, StudyState.CANCELLED)
    return study


def close_study(session: Session, study: Study, state: StudyState, reason: str | None = None) -> None:
    """Ends a study whose row is locked, and cancels its open runs. Raises NotAllowed."""
    runs, events = Runs(session), Events(session)
    for row in runs.open(study.id):
        runs.end_attempt(row.run, AttemptState.SUPERSEDED)
        events.move_run(study, row.run, RunState.CANCELLED)
    Jobs(session).cancel(study.id, finalization=0)
    study.checks = 0
    events.move_study(study, state, reason)


def _move(session: Session, project_id: int, name: str, state: StudyState) -> Study:
    study = Studies(session, project_id).get(name, lock=True)
    Events(session).move_study(study, state)
    return study
