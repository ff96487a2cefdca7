"""Templates, and the headers that every page carries.

Pages run under a strict content policy: scripts, styles and data come from this origin alone and nothing is inline, so
that a hostile study name or choice stays a text even if an escape were ever missed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from service.dashboard.formatting import FILTERS
from service.dashboard.viewers import Viewer

HERE = Path(__file__).parent
STATIC = HERE / "static"

HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'self'",
            "img-src 'self' data:",  # the icons within the API page's style sheet
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def page(
    template: str, status: int = 200, *, here: str = "", viewer: Viewer | None = None, **context: Any
) -> HTMLResponse:
    """The template as a response; `here` is the part of the dashboard that it is of, `viewer` who looks at it."""
    content = _ENVIRONMENT.get_template(template).render(here=here, viewer=viewer, **context)
    return HTMLResponse(content, status, HEADERS)


class RevalidatedFiles(StaticFiles):
    """Files that browsers keep but ask about: an update of the service never meets yesterday's script."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def static_files() -> StaticFiles:
    return RevalidatedFiles(directory=STATIC)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    return environment


_ENVIRONMENT = _environment()
