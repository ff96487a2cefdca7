"""External workers: claim runs, report, end them. Any program that speaks HTTP can be one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import APIRouter, Body, Depends, Path, Request

from service import models, views
from service import schemas as api
from service.auth.callers import Caller, Worker
from service.checkpoints import UPLOADED
from service.desk import Desk
from service.engagement import training_seed
from service.external import schemas
from service.external.work import Claimed, External, Heard, Stale
from service.idempotency import Once, Replayed
from service.models import Attempt
from service.observability.notes import note
from service.problems import STALE, Problem, Refused, documented
from service.repositories.artifacts import checkpoint_to_continue
from service.repositories.errors import NotFound
from service.repositories.runs import RunRow
from service.routes.body import LeanRoute
from service.routes.parameters import StudyName
from service.states import AttemptState
from service.study_parts import plain_number
from service.study_work import StudyWork
from service.tracking import restore_fidelity
from spaces.errors import InvalidInput
from spaces.errors import Problem as Finding
from workers.protocol import FailureClass, Report

router = APIRouter(tags=["external workers"], route_class=LeanRoute)

T = TypeVar("T")
RUN_ID = re.compile(r"([0-9]{1,9})-([0-9]{1,9})")


async def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


@dataclass(frozen=True, slots=True)
class RunAddress:
    """A run of any study: what the API's `id` of an assignment stands for."""

    study_id: int
    number: int


async def _run_address(
    id: Annotated[  # noqa: A002 (the name of the parameter in the path)
        str, Path(description="The `id` of the assignment: the study's id and the run's number.", examples=["12-7"])
    ],
) -> RunAddress:
    match = RUN_ID.fullmatch(id)
    if match is None:
        raise NotFound(f"there is no run {id!r}; an id looks like 12-7")
    return RunAddress(int(match[1]), int(match[2]))


RunOfPath = Annotated[RunAddress, Depends(_run_address)]
DeskOfApp = Annotated[Desk, Depends(_desk)]

ERRORS = documented(400, 404, 409, 413, 415, 422)
STALE_TOO = {**ERRORS, 409: {"model": schemas.StaleAttempt, "description": "The attempt has been given up."}}
ENDING = {
    **ERRORS,
    409: {
        "model": schemas.StaleAttempt | Problem,
        "description": "The attempt has been given up, or the Idempotency-Key was used for another request.",
    },
}


@router.post("/studies/{name}/claims", summary="Claim runs to carry out", responses=ERRORS)
async def claim_runs(
    name: StudyName, claim: Annotated[schemas.Claim, Body()], caller: Worker, desk: DeskOfApp, once: Once
) -> schemas.Claimed:
    """The worker has them until their leases expire; any report or heartbeat renews a lease. Claiming again under the
    same name gives back what it has. An empty answer says why."""

    def operation(work: StudyWork) -> schemas.Claimed:
        external = _external(work, caller)
        if replay := once.claim(work.session):
            raise Replayed(replay)
        claimed = external.claim(claim.worker, claim.count, claim.lease_seconds)
        got = "assigned" if claimed.attempts else claimed.nothing.reason if claimed.nothing else "nothing"
        note(work.session, lambda metrics: metrics.claimed(got))
        answer = _claimed(work, claimed)
        once.keep(work.session, answer)
        return answer

    return await desk.act_async(await desk.find_async(caller.project_id, name), operation)


@router.post("/runs/{id}/reports", summary="Report metrics", responses=STALE_TOO)
async def report_metrics(
    run: RunOfPath,
    body: Annotated[schemas.Reports, Body()],
    caller: Worker,
    desk: DeskOfApp,
) -> schemas.Heard:
    """Heartbeat and stop check in one: renews the lease, and says whether to go on. A step that was reported before is
    left as it is, so that repeating a request does no harm."""

    def operation(work: StudyWork) -> Heard | Stale:
        external = _external(work, caller)
        elapsed = external.elapsed(run.number)
        reports = [
            Report(plain_number(one.step), one.metrics, elapsed if one.time is None else one.time)
            for one in body.reports
        ]
        return external.report(run.number, body.token, reports)

    return _heard(await desk.act_async(run.study_id, operation, run.number))


@router.put("/runs/{id}/heartbeat", summary="Say that the run is being carried out", responses=STALE_TOO)
async def beat(
    run: RunOfPath,
    body: Annotated[schemas.Beat, Body()],
    caller: Worker,
    desk: DeskOfApp,
) -> schemas.Heard:
    """For times without reports."""

    def operation(work: StudyWork) -> Heard | Stale:
        return _external(work, caller).beat(run.number, body.token)

    return _heard(await desk.act_async(run.study_id, operation, run.number))


@router.post("/runs/{id}/complete", summary="The run ended well", responses=ENDING)
async def complete_run(
    run: RunOfPath,
    body: Annotated[schemas.Completion, Body()],
    caller: Worker,
    desk: DeskOfApp,
    once: Once,
) -> api.Run:
    """Saying so again changes nothing. Metrics that the study does not accept make the run failed."""
    return await _end(
        run,
        caller,
        desk,
        once,
        lambda external: external.complete(run.number, body.token, body.metrics, body.stopped, body.extra),
    )


@router.post("/runs/{id}/fail", summary="The run ended badly", responses=ENDING)
async def fail_run(
    run: RunOfPath,
    body: Annotated[schemas.Failing, Body()],
    caller: Worker,
    desk: DeskOfApp,
    once: Once,
) -> api.Run:
    """Whether it is tried again is for the study's retry policy to say, by the class of the failure. `preempted` hands
    a run back that could have gone on."""
    failure = FailureClass(body.class_)
    return await _end(
        run,
        caller,
        desk,
        once,
        lambda external: external.fail(run.number, body.token, failure, body.message, body.traceback, body.extra),
    )


@router.post("/runs/{id}/infeasible", summary="The config cannot be carried out", responses=ENDING)
async def reject_run(
    run: RunOfPath,
    body: Annotated[schemas.Infeasible, Body()],
    caller: Worker,
    desk: DeskOfApp,
    once: Once,
) -> api.Run:
    """Never tried again; the search learns that there is nothing there."""
    failure = FailureClass.INFEASIBLE
    return await _end(
        run,
        caller,
        desk,
        once,
        lambda external: external.fail(run.number, body.token, failure, body.message, "", body.extra),
    )


async def _end(
    run: RunAddress,
    caller: Caller,
    desk: Desk,
    once: Once,
    end: Callable[[External], models.Run | Stale],
) -> api.Run:
    def operation(work: StudyWork) -> api.Run | Stale:
        external = _external(work, caller)
        if replay := once.earlier(work.session):
            raise Replayed(replay)
        ended = end(external)
        if isinstance(ended, Stale):
            return ended
        once.claim(work.session)
        work.conclude()
        config = dict(work.tracked.history.runs[run.number].config)
        answer = views.run(RunRow(ended, models.Trial(config=config)))
        once.keep(work.session, answer)
        return answer

    return _or_stale(await desk.act_async(run.study_id, operation, run.number))


def _external(work: StudyWork, caller: Caller) -> External:
    """Raises NotFound for another project's study, and InvalidInput for one that the pool carries out."""
    if work.study.project_id != caller.project_id:
        raise NotFound(f"there is no study with the id {work.study.id}")
    if work.study.spec["objective"]["type"] != "external":
        message = (
            f"the pool carries out the runs of study {work.study.name!r}; only external objectives are for workers"
        )
        raise InvalidInput([Finding(("objective", "type"), message)])
    return External(work)


def _claimed(work: StudyWork, claimed: Claimed) -> schemas.Claimed:
    nothing = claimed.nothing
    return schemas.Claimed(
        assignments=[_assignment(work, attempt, row) for attempt, row in claimed.attempts],
        reason=nothing.reason if nothing else None,
        detail=nothing.detail if nothing else None,
        retry_after=nothing.retry_after if nothing else None,
    )


def _assignment(work: StudyWork, attempt: Attempt, row: RunRow) -> schemas.Assignment:
    spec, run = work.tracked.spec, row.run
    axis, value = spec.space.fidelity, restore_fidelity(spec, run.fidelity)
    id_ = f"{run.study_id}-{run.number}"
    return schemas.Assignment(
        id=id_,
        study=work.study.name,
        trial=run.trial,
        run=run.number,
        attempt=attempt.number,
        token=attempt.token,
        config=row.trial.config,
        fidelity=schemas.FidelityValue(name=axis.name, value=value, maximum=axis.high)
        if axis and value is not None
        else None,
        resume_from=_resume_from(work, attempt, row, id_),
        seed=training_seed(spec, run),
        lease_expires=attempt.lease_expires,
    )


def _resume_from(work: StudyWork, attempt: Attempt, row: RunRow, id_: str) -> schemas.ResumeFrom | None:
    """The checkpoint of the attempt before, or else that of the run that this one goes on from."""
    number, saved, step = row.run.number, attempt.checkpoint, attempt.checkpoint_step
    if saved is None:
        found = checkpoint_to_continue(work.session, row.run) if row.run.resume_from is not None else None
        if found is None or row.run.resume_from is None:
            return None
        number, (saved, step) = row.run.resume_from, found
    return schemas.ResumeFrom(
        run=number,
        step=None if step is None else plain_number(step),
        checkpoint=f"/api/v1/runs/{id_}/checkpoint" if saved.startswith(UPLOADED) else saved,
    )


def _heard(heard: Heard | Stale) -> schemas.Heard:
    found = _or_stale(heard)
    return schemas.Heard(answer=found.answer, lease_expires=found.lease_expires)


def _or_stale(answer: T | Stale) -> T:
    if not isinstance(answer, Stale):
        return answer
    run, attempt = answer.run, answer.attempt
    current = schemas.Current(
        run=run.number,
        trial=run.trial,
        state=run.state,
        attempt=attempt.number,
        attempt_state=AttemptState(attempt.state),
    )
    detail = (
        f"this attempt at run {run.number} has been given up or is over; the run is {run.state}, its latest attempt"
        f" {attempt.number} is {attempt.state}. What you said is kept, and counts for nothing"
    )
    raise Refused(STALE, detail, extension={"current": current.model_dump(mode="json")})
