"""Trials: the configs of a study."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from search.history import RunState
from service import schemas, views
from service.auth.callers import Reader
from service.problems import documented
from service.repositories.runs import Runs
from service.repositories.studies import Studies
from service.routes.parameters import After, DatabaseOfApp, Limit, Number, StudyName, cut

router = APIRouter(prefix="/studies/{name}/trials", tags=["trials and runs"], responses=documented(404, 422))

InState = Annotated[RunState | None, Query(description="Only trials whose latest run is in this state.")]


@router.get("", summary="List the trials of a study")
def list_trials(
    name: StudyName,
    caller: Reader,
    database: DatabaseOfApp,
    limit: Limit = 100,
    after: After = None,
    state: InState = None,
) -> schemas.Page[schemas.Trial]:
    """By number."""
    with database.session(write=False) as session:
        study = Studies(session, caller.project_id).get(name)
        found = Runs(session).trials(study.id, limit + 1, after, state)
        rows, next_ = cut(found, limit, lambda row: row[0].number)
        return schemas.Page[schemas.Trial](items=[views.trial(trial, runs) for trial, runs in rows], next=next_)


@router.get("/{number}", summary="Look at a trial")
def get_trial(name: StudyName, number: Number, caller: Reader, database: DatabaseOfApp) -> schemas.Trial:
    with database.session(write=False) as session:
        study = Studies(session, caller.project_id).get(name)
        return views.trial(*Runs(session).trial(study.id, number))
