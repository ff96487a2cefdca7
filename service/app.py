"""The web application: the API under /api/v1, health at the root, the dashboard in front of it all.

`create_app` makes a new one from its parts; nothing is opened or read when this module is imported.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from service import problems
from service.dashboard import routes as dashboard
from service.database import Database
from service.origin import SameOrigin
from service.routes import catalogue, events, health, replay, reports, results, runs, studies, trials
from service.settings import Settings
from service.turns import Turns

PREFIX = "/api/v1"
ROUTERS = tuple(part.router for part in (studies, trials, runs, reports, results, events, replay, catalogue))

DESCRIPTION = """
Submit a *study* (a search space, an objective, an algorithm, a budget), watch its *trials* and *runs*, ask what is
best.

Lists come in pages: pass `next` of a page as `after` of the following one. Whatever goes wrong is answered with a
problem document (RFC 9457) that names every culprit in the input by its path.
"""


def create_app(
    settings: Settings, database: Database, checks: Mapping[str, Callable[[], str | None]] | None = None
) -> FastAPI:
    """The application on a migrated database.

    `checks` are further conditions of readiness by name; each answers what is wrong, or None.
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
    )
    app.state.settings = settings
    app.state.database = database
    app.state.checks = dict(checks or {})
    app.state.closing = threading.Event()
    app.state.verifications = Turns(replay.AT_ONCE, replay.WAITING)
    problems.install(app)
    app.add_middleware(SameOrigin)
    app.include_router(health.router)
    for router in ROUTERS:
        app.include_router(router, prefix=PREFIX)
    dashboard.mount(app)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # the way that FastAPI documents
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's description, except that problems have their own media type, which it cannot express."""
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
                for status, response in operation["responses"].items():
                    if status >= "400":
                        (content,) = response["content"].values()
                        response["content"] = {problems.MEDIA_TYPE: content}
        app.openapi_schema = schema
    return app.openapi_schema
