"""What Prometheus scrapes."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request, Response

from service.auth.callers import Scope, requires
from service.observability.metrics import MEDIA_TYPE
from service.problems import FORBIDDEN, Refused, documented
from service.routes.parameters import DatabaseOfApp

router = APIRouter(tags=["health"])


def _may_look(request: Request) -> None:
    """The numbers are those of all projects: they take a token that is good for all of them, unless they are public."""
    if request.app.state.settings.metrics_open:
        return
    caller = requires(Scope.READ).check(request)
    if not caller.everywhere:
        raise Refused(FORBIDDEN, f"the metrics are of all projects; the token of {caller.actor!r} is for one")


@router.get(
    "/metrics",
    summary="Numbers for Prometheus",
    dependencies=[Depends(_may_look)],
    response_class=Response,
    responses={200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}, **documented(401, 403)},
)
def get_metrics(request: Request, database: DatabaseOfApp) -> Response:
    """In Prometheus' text format. docs/observability.md says what each is."""
    return Response(database.telemetry.metrics.render(request.app.state.census), media_type=MEDIA_TYPE)
