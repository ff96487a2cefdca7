"""For load balancers and orchestrators: is the process alive, can it work?"""

from __future__ import annotations

from fastapi import APIRouter, Request

from service.database import DatabaseError
from service.problems import UNAVAILABLE, Refused, documented
from service.routes.parameters import DatabaseOfApp
from service.schemas import Alive, Ready
from spaces.errors import Problem

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Is the process alive?")
async def get_health() -> Alive:
    return Alive()


@router.get("/readyz", summary="Can the service work?", responses=documented(503))
def get_readiness(database: DatabaseOfApp, request: Request) -> Ready:
    """The database answers and has the schema of this version; whatever else runs in the process is well."""
    troubles: dict[str, str | None] = {"database": _trouble_with(database)}
    troubles |= {name: check() for name, check in request.app.state.checks.items()}
    problems = [Problem((name,), trouble) for name, trouble in troubles.items() if trouble]
    if problems:
        raise Refused(UNAVAILABLE, "; ".join(map(str, problems)), problems)
    return Ready(checks=list(troubles))


def _trouble_with(database: DatabaseOfApp) -> str | None:
    try:
        database.ping()
    except DatabaseError as error:
        return str(error)
    return None
