"""The web application: the API under /api/v1, health at the root, the dashboard in front of it all.

`create_app` makes a new one from its parts; nothing is opened or read when this module is imported.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

from anyio import CapacityLimiter
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from service import problems
from service.auth.authenticator import Authenticator
from service.auth.door import PUBLIC, Door
from service.auth.execution import commands_refused
from service.auth.refusals import Refusals
from service.dashboard import routes as dashboard
from service.database import Database
from service.desk import Desk
from service.files import checkpoints_of, store_of
from service.histories import Histories
from service.idempotency import Replayed, replayed
from service.lifecycle import CommandsRefused
from service.observability.census import CensusCollector
from service.observability.middleware import observed
from service.origin import SameOrigin, TrustedHosts
from service.routes import (
    amendments,
    architectures,
    artifacts,
    attempts,
    audit,
    catalogue,
    claims,
    datasets,
    events,
    health,
    jobs,
    me,
    metrics,
    projects,
    replay,
    reports,
    results,
    revisions,
    runs,
    studies,
    tokens,
    transfer,
    trials,
    webhooks,
)
from service.routes.events import EventStream
from service.routes.uploads import TRANSFERS
from service.settings import Settings
from service.turns import Turns

PREFIX = "/api/v1"
ROUTERS = tuple(
    part.router
    for part in (
        studies,
        revisions,
        transfer,
        claims,
        trials,
        amendments,
        runs,
        attempts,
        reports,
        results,
        architectures,
        events,
        replay,
        catalogue,
        datasets,
        artifacts,
        jobs,
        me,
        projects,
        tokens,
        audit,
        webhooks,
    )
)

DESCRIPTION = """
Submit a *study* (a search space, an objective, an algorithm, a budget), watch its *trials* and *runs*, ask what is
best.

Lists come in pages: pass `next` of a page as `after` of the following one. Whatever goes wrong is answered with a
problem document (RFC 9457) that names every culprit in the input by its path.
"""


def create_app(
    settings: Settings,
    database: Database,
    checks: Mapping[str, Callable[[], str | None]] | None = None,
) -> FastAPI:
    """The application on a migrated database.

    `checks` are further conditions of readiness by name; each answers what is wrong, or None.
    The telemetry of the database is told of every request.
    Set `app.state.closing` when the server is about to stop: open streams then end, instead of holding it up.
    """
    app = FastAPI(
        title="Assay",
        summary="Hyperparameter optimization and neural architecture search",
        description=DESCRIPTION,
        version=version("assay"),
        generate_unique_id_function=_operation_id,
        docs_url=None,  # the dashboard has this page without a content delivery network
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # `observed` does all of it
    )
    app.state.settings = settings
    app.state.database = database
    app.state.census = CensusCollector(database)
    app.state.checks = dict(checks or {})
    app.state.store = store_of(settings)
    app.state.inspections = CapacityLimiter(datasets.INSPECTIONS)
    app.state.transfers = CapacityLimiter(TRANSFERS)
    app.state.desk = Desk(database, checkpoints_of(settings, app.state.store))
    app.state.histories = Histories(database)
    app.state.closing = threading.Event()
    app.state.verifications = Turns(replay.AT_ONCE, replay.WAITING)
    app.state.exports = Turns(transfer.EXPORTS, 0)
    app.state.imports = CapacityLimiter(transfer.IMPORTS)
    problems.install(app)
    app.add_exception_handler(CommandsRefused, commands_refused)
    app.add_exception_handler(Replayed, replayed)
    _guard(app, settings, database)
    app.include_router(health.router)
    app.include_router(metrics.router)
    for router in ROUTERS:
        app.include_router(router, prefix=PREFIX)
    dashboard.mount(app)
    stack = app.build_middleware_stack
    # Around all of it, so that what fails is observed too: Starlette answers faults outside of all added middleware.
    app.build_middleware_stack = lambda: observed(stack(), database.telemetry, settings, PREFIX)  # type: ignore[method-assign]
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # the way that FastAPI documents
    return app


def _guard(app: FastAPI, settings: Settings, database: Database) -> None:
    """What a request passes before any route sees it; what is added last comes first."""
    admin_token = settings.admin_token.get_secret_value() if settings.admin_token else None
    app.state.authenticator = Authenticator(database, on=settings.auth_on, admin_token=admin_token)
    app.state.refusals = Refusals(database)
    app.add_middleware(
        Door,
        authenticator=app.state.authenticator,
        refusals=app.state.refusals,
        rate=settings.requests_per_second,
        public=PUBLIC | {"/metrics"} if settings.metrics_open else PUBLIC,
    )
    app.add_middleware(SameOrigin)
    if settings.allowed_hosts is not None:
        app.add_middleware(TrustedHosts, names=settings.allowed_hosts)


_MESSAGE = {
    "type": "object",
    "properties": {key: {"type": "string"} for key in ("event", "id", "data")},
    "description": "A server-sent event; `data` is JSON.",
}
_PROBLEM = {"schema": {"$ref": "#/components/schemas/Problem"}}


def _operation_id(route: APIRoute) -> str:
    return route.name


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's description, with what it cannot express: the media type of problems, and those that any route with a
    caller may answer."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title,
            summary=app.summary,
            description=app.description,
            version=app.version,
            routes=app.routes,
        )
        for path in schema["paths"].values():
            for operation in path.values():
                if "security" in operation:
                    operation["responses"] |= {
                        str(status): {"description": each["description"], "content": {problems.MEDIA_TYPE: _PROBLEM}}
                        for status, each in problems.documented(401, 403, 429).items()
                    }
                for status, response in operation["responses"].items():
                    if status >= "400":
                        (content,) = response["content"].values()
                        response["content"] = {problems.MEDIA_TYPE: content}
                    elif (stream := response.get("content", {}).get(EventStream.media_type)) is not None:
                        stream.clear()  # FastAPI takes a stream for one text
                        stream["itemSchema"] = _MESSAGE
        app.openapi_schema = schema
    return app.openapi_schema
