"""The attempts at runs: who carried them out, with what, and what they took."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from service import models, schemas
from service.auth.callers import Reader
from service.external.work import OWNER as EXTERNAL
from service.models import utcnow
from service.problems import documented
from service.repositories.costs import Costs
from service.repositories.runs import Runs
from service.repositories.studies import Studies
from service.routes.parameters import MAX_NUMBER, DatabaseOfApp, Limit, StudyName, cut
from service.routes.parameters import Number as RunNumber
from service.states import AttemptState
from service.study_parts import Number, Values, plain_number

router = APIRouter(prefix="/studies/{name}", tags=["trials and runs"], responses=documented(404, 422))

AfterAttempt = Annotated[
    int | None, Query(ge=0, le=MAX_NUMBER, description="`next` of the page before; nothing for the first page.")
]


class Cost(BaseModel):
    """What an attempt took: seconds of CPU time, and GPUs times the seconds that they were held; null where nobody
    told."""

    cpu_seconds: float | None
    gpu_seconds: float | None


class Attempt(BaseModel):
    """One execution of a run."""

    number: int = Field(description="Counts the attempts at the run, from 1.")
    state: AttemptState
    owner: Literal["pool", "external"] = Field(description="Whether the service's pool had it, or somebody's worker.")
    worker: str | None
    lease_expires: datetime | None
    checkpoint_step: Number | None = Field(description="The step after which it last saved a checkpoint.")
    message: str | None = Field(description="Why it ended, if not well.")
    late: Values | None = Field(description="What its worker said after it had been given up; that counts for nothing.")
    provenance: Values | None = Field(description="With what code, libraries, machine, data, space and seed.")
    cost: Cost
    created_at: datetime
    ended_at: datetime | None


class StateCost(BaseModel):
    """What all attempts in one state took; those under way up to now."""

    state: AttemptState
    attempts: int
    told: int = Field(description="How many of them told their CPU or GPU seconds.")
    cpu_seconds: float
    gpu_seconds: float
    wall_seconds: float = Field(description="From begin to end, added up.")


class StudyCost(BaseModel):
    """What a study took over all attempts, lost ones included."""

    attempts: int
    told: int
    cpu_seconds: float
    gpu_seconds: float
    wall_seconds: float
    states: list[StateCost]


@router.get("/runs/{number}/attempts", summary="List the attempts at a run")
def list_attempts(
    name: StudyName,
    number: RunNumber,
    caller: Reader,
    database: DatabaseOfApp,
    limit: Limit = 100,
    after: AfterAttempt = None,
) -> schemas.Page[Attempt]:
    """Oldest first. The last one is that which counts."""
    with database.session(write=False) as session:
        study, runs = Studies(session, caller.project_id).get(name), Runs(session)
        found = runs.attempts(runs.get(study.id, number).run, limit + 1, after)
        rows, next_ = cut(found, limit, lambda row: row.number)
        return schemas.Page[Attempt](items=[_attempt(row) for row in rows], next=next_)


@router.get("/cost", summary="What a study took")
def get_cost(name: StudyName, caller: Reader, database: DatabaseOfApp) -> StudyCost:
    """Runs that workers lost took time too; it is listed apart."""
    with database.session(write=False) as session:
        study = Studies(session, caller.project_id).get(name)
        rows = Costs(session).by_state(study.id, utcnow())
    return StudyCost(
        attempts=sum(row.attempts for row in rows),
        told=sum(row.told for row in rows),
        cpu_seconds=sum(row.cpu_seconds for row in rows),
        gpu_seconds=sum(row.gpu_seconds for row in rows),
        wall_seconds=sum(row.wall_seconds for row in rows),
        states=[
            StateCost(
                state=AttemptState(row.state),
                attempts=row.attempts,
                told=row.told,
                cpu_seconds=row.cpu_seconds,
                gpu_seconds=row.gpu_seconds,
                wall_seconds=row.wall_seconds,
            )
            for row in rows
        ],
    )


def _attempt(row: models.Attempt) -> Attempt:
    return Attempt(
        number=row.number,
        state=AttemptState(row.state),
        owner="external" if row.owner == EXTERNAL else "pool",
        worker=row.worker,
        lease_expires=row.lease_expires,
        checkpoint_step=None if row.checkpoint_step is None else plain_number(row.checkpoint_step),
        message=row.message,
        late=row.late,
        provenance=row.provenance,
        cost=Cost(cpu_seconds=row.cpu_seconds, gpu_seconds=row.gpu_seconds),
        created_at=row.created_at,
        ended_at=row.ended_at,
    )
