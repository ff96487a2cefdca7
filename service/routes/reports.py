"""Reports: the learning curves of a study's runs."""

from __future__ import annotations

from fastapi import APIRouter

from service import schemas, views
from service.auth.callers import Reader
from service.problems import documented
from service.repositories.reports import Reports
from service.repositories.studies import Studies
from service.routes.parameters import AfterReport, DatabaseOfApp, Limit, OfRun, OfTrial, StudyName, cut

router = APIRouter(prefix="/studies/{name}/reports", tags=["trials and runs"], responses=documented(404, 422))


@router.get("", summary="List the reports of a study")
def list_reports(
    name: StudyName,
    caller: Reader,
    database: DatabaseOfApp,
    limit: Limit = 100,
    after: AfterReport = None,
    trial: OfTrial = None,
    run: OfRun = None,
) -> schemas.Page[schemas.Report]:
    """In the order in which they arrived. Of a run that was tried again, only the latest attempt's."""
    with database.session(write=False) as session:
        study = Studies(session, caller.project_id).get(name)
        found = Reports(session).page(study.id, limit + 1, after, run, trial)
        rows, next_ = cut(found, limit, lambda row: row[0].id)
        return schemas.Page[schemas.Report](items=[views.report(report, number) for report, number in rows], next=next_)
