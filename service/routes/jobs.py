"""Jobs of a study: the checks before its first run, and the finalization of its result."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from search.history import RunState
from service import job_schemas as schemas
from service import models
from service.auth.audit import audit
from service.auth.callers import Reader, Writer
from service.files import checkpoints_of
from service.idempotency import Once, Replayed
from service.jobs.finalization import cancel, finalize, ranking, state_of
from service.problems import documented
from service.repositories.errors import NotFound
from service.repositories.jobs import Jobs
from service.repositories.studies import Studies
from service.routes.body import StrictJsonRoute
from service.routes.parameters import DatabaseOfApp, Number, StudyName
from service.schemas import Listing

BINARY = {"type": "string", "format": "binary"}

router = APIRouter(prefix="/studies/{name}", tags=["jobs"], route_class=StrictJsonRoute)


@router.get("/jobs", summary="List the checks and the parts of finalizations", responses=documented(404, 422))
def list_jobs(name: StudyName, caller: Reader, database: DatabaseOfApp) -> Listing[schemas.Job]:
    with database.session(write=False) as session:
        study = Studies(session, caller.project_id).get(name)
        return Listing[schemas.Job](items=[shown(job) for job in Jobs(session).of(study.id)])


@router.get("/jobs/{number}", summary="Look at a job", responses=documented(404, 422))
def get_job(name: StudyName, number: Number, caller: Reader, database: DatabaseOfApp) -> schemas.Job:
    with database.session(write=False) as session:
        study = Studies(session, caller.project_id).get(name)
        return shown(Jobs(session).get(study.id, number))


@router.get(
    "/jobs/{number}/model",
    summary="Download the model of a finalization",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {"schema": BINARY}}}, **documented(404, 422)},
)
def get_model(name: StudyName, number: Number, caller: Reader, database: DatabaseOfApp, request: Request) -> Response:
    """Tensors as safetensors, the model card in the header under `assay-model`."""
    with database.session(write=False) as session:
        study = Studies(session, caller.project_id).get(name)
        job = Jobs(session).get(study.id, number)
        if job.model is None:
            raise NotFound(f"job {number} ({job.kind}) has made no model")
        study_id, filename = study.id, f"{name}.safetensors"
    checkpoints = checkpoints_of(request.app.state.settings, request.app.state.store)
    content = checkpoints.read_model(study_id, number)
    if content is None:
        raise NotFound(f"the model of job {number} is gone from the store")
    tag = sha256(content).hexdigest()
    headers = {"Content-Disposition": f'attachment; filename="{filename}"', "ETag": f'"{tag}"'}
    return Response(content, media_type="application/octet-stream", headers=headers)


@router.post(
    "/finalize", status_code=202, summary="Finalize a study", responses=documented(400, 404, 409, 413, 415, 422)
)
def finalize_study(
    name: StudyName,
    caller: Writer,
    database: DatabaseOfApp,
    once: Once,
    wishes: Annotated[schemas.Finalize, Body()],
) -> schemas.Finalization:
    """Confirms the best trials with new seeds, trains the one with the best mean once more, tests it once, and keeps it
    as a model to download; beside it an ensemble of the runs, with a report on calibration."""
    with database.session(write=False) as session:
        if replay := once.earlier(session):
            raise Replayed(replay)
    with once.transaction(database) as session:
        study = Studies(session, caller.project_id).get(name, lock=True)
        number = finalize(session, study, wishes, caller.actor)
        audit(session, caller, "study.finalize", study.name, {"finalization": number})
        answer = told(study, number, Jobs(session).of(study.id, number))
        once.keep(session, answer, 202)
    return answer


@router.post("/final/cancel", summary="Cancel a finalization", responses=documented(404, 409, 422))
def cancel_finalization(
    name: StudyName, caller: Writer, database: DatabaseOfApp, once: Once, request: Request
) -> schemas.Finalization:
    """What runs of it ends at once, for good; what was found stays. The study may be finalized anew."""
    with once.transaction(database) as session:
        study = Studies(session, caller.project_id).get(name, lock=True)
        number = cancel(session, study)
        audit(session, caller, "study.finalize.cancel", study.name, {"finalization": number})
        parts = Jobs(session).of(study.id, number)
        answer = told(study, number, parts)
        once.keep(session, answer)
    checkpoints = checkpoints_of(request.app.state.settings, request.app.state.store)
    for part in parts:
        if part.options.get("keep"):
            checkpoints.remove(checkpoints.name_of_job(part.study_id, part.number))
    return answer


@router.get("/final", summary="What the last finalization found", responses=documented(404, 422))
def get_final(name: StudyName, caller: Reader, database: DatabaseOfApp) -> schemas.Finalization:
    with database.session(write=False) as session:
        study = Studies(session, caller.project_id).get(name)
        number = Jobs(session).last_finalization(study.id)
        if number == 0:
            raise NotFound(f"the study {name!r} has not been finalized")
        return told(study, number, Jobs(session).of(study.id, number))


def shown(job: models.Job) -> schemas.Job:
    fields = {field: getattr(job, field) for field in schemas.Job.model_fields}
    return schemas.Job.model_validate(fields)


def told(study: models.Study, number: int, parts: Sequence[models.Job]) -> schemas.Finalization:
    configs = {part.trial: part.config for part in parts if part.kind == "confirm"}
    refit = next((part for part in parts if part.kind == "refit" and part.state == RunState.SUCCEEDED), None)
    ensemble = next((part.details for part in parts if part.kind == "ensemble" and part.details), None)
    return schemas.Finalization(
        number=number,
        state=state_of(parts),
        metric=study.spec["metrics"][0]["name"],
        ranking=[
            schemas.Confirmation(
                trial=one.trial,
                config=configs[one.trial],
                scores=list(one.scores),
                mean=one.mean,
                half_width=one.half_width,
                tied=one.tied,
            )
            for one in ranking(study.spec, parts)
        ],
        model=refit.number if refit and refit.model else None,
        card=refit.details["card"] if refit and refit.details else None,
        test={key: value for key, value in (refit.metrics or {}).items() if key.startswith("test_")} if refit else None,
        ensemble=ensemble,
        failures=[f"{part.kind} {part.number}: {part.failure['message']}" for part in parts if part.failure],
    )
