"""What a study has found: its best run, and how the lead changed."""

from __future__ import annotations

from fastapi import APIRouter

from service import schemas, views
from service.auth.callers import Reader
from service.problems import documented
from service.repositories.errors import NotFound
from service.repositories.runs import Runs
from service.repositories.studies import Studies
from service.routes.parameters import DatabaseOfApp, HistoriesOfApp, Limit, StudyName

router = APIRouter(prefix="/studies/{name}", tags=["results"], responses=documented(404, 422))


@router.get("/best", summary="What is best?")
def get_best(name: StudyName, caller: Reader, database: DatabaseOfApp) -> schemas.Best:
    """The best run at the highest fidelity that has results. 404 while no run has succeeded."""
    with database.session(write=False) as session:
        best = views.best(Runs(session), Studies(session, caller.project_id).get(name))
    if best is None:
        raise NotFound(f"no run of study {name!r} has succeeded yet")
    return best


@router.get("/front", summary="Which results does no other one dominate?")
def get_front(name: StudyName, caller: Reader, histories: HistoriesOfApp, limit: Limit = 1000) -> schemas.Front:
    """The Pareto front at the highest fidelity that has results; with a single objective, the best ones. Results that
    break constraints are dominated by all that keep them."""
    with histories.see(caller.project_id, name) as seen:
        return views.front(seen, limit)


@router.get("/incumbents", summary="How the best run changed over time")
def list_incumbents(name: StudyName, caller: Reader, database: DatabaseOfApp) -> schemas.Listing[schemas.Incumbent]:
    """Oldest first; the last one is the best run."""
    with database.session(write=False) as session:
        trace = views.incumbents(Runs(session), Studies(session, caller.project_id).get(name))
    return schemas.Listing[schemas.Incumbent](items=trace)
