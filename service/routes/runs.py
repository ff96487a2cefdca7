"""Runs: the trainings of a study's trials."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from search.history import RunState
from service import schemas, views
from service.auth.callers import Reader
from service.problems import documented
from service.repositories.runs import Runs
from service.repositories.studies import Studies
from service.routes.parameters import After, DatabaseOfApp, Limit, Number, OfTrial, StudyName, cut

router = APIRouter(prefix="/studies/{name}/runs", tags=["trials and runs"], responses=documented(404, 422))

InState = Annotated[RunState | None, Query(description="Only runs in this state.")]


@router.get("", summary="List the runs of a study")
def list_runs(
    name: StudyName,
    caller: Reader,
    database: DatabaseOfApp,
    limit: Limit = 100,
    after: After = None,
    state: InState = None,
    trial: OfTrial = None,
) -> schemas.Page[schemas.Run]:
    """By number, which is the order in which the algorithm decided on them."""
    with database.session(write=False) as session:
        study = Studies(session, caller.project_id).get(name)
        found = Runs(session).page(study.id, limit + 1, after, state, trial)
        rows, next_ = cut(found, limit, lambda row: row.run.number)
        return schemas.Page[schemas.Run](items=[views.run(row) for row in rows], next=next_)


@router.get("/{number}", summary="Look at a run")
def get_run(name: StudyName, number: Number, caller: Reader, database: DatabaseOfApp) -> schemas.Run:
    with database.session(write=False) as session:
        study = Studies(session, caller.project_id).get(name)
        return views.run(Runs(session).get(study.id, number))
