"""Logging in with a token, logging out, and the choice of a project.

The browser keeps the token in a cookie that scripts cannot read and that no other site's page can make it send.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from service.auth.authenticator import Authenticator, TokenRefused
from service.auth.callers import Reader
from service.auth.door import PROJECT_COOKIE, TOKEN_COOKIE
from service.auth.refusals import Refusals
from service.dashboard.forms import AnyForm
from service.dashboard.rendering import page
from service.problems import FORBIDDEN, Refused

router = APIRouter(include_in_schema=False)

REMEMBERED_SECONDS = 14 * 24 * 3600


@router.get("/login")
async def show_login(request: Request, next: str = "/") -> Response:  # noqa: A002 (the name in the address)
    if not request.app.state.settings.auth_on:
        return RedirectResponse(_within(next), 303)
    return page("login.html", next=_within(next), problem=None)


@router.post("/login")
async def log_in(request: Request, form: AnyForm) -> Response:
    """Where it came from, with a cookie; or the form again, with what is wrong with the token."""
    authenticator: Authenticator = request.app.state.authenticator
    onward, token = _within(form.text("next")), form.text("token")
    try:
        await authenticator.identify(token)
    except TokenRefused as error:
        refusals: Refusals = request.app.state.refusals
        await refusals.note(401, "POST /login", request.client.host if request.client else None, None)
        return page("login.html", 401, next=onward, problem=str(error))
    answer = RedirectResponse(onward, 303)
    _remember(answer, request, TOKEN_COOKIE, token)
    return answer


@router.post("/logout")
async def log_out(request: Request) -> Response:
    answer = RedirectResponse("/login", 303)
    for name in (TOKEN_COOKIE, PROJECT_COOKIE):
        answer.delete_cookie(name, httponly=True, samesite="strict", secure=request.url.scheme == "https")
    return answer


@router.post("/project")
async def choose_project(request: Request, caller: Reader, form: AnyForm) -> Response:
    """For who may see several. Raises NotFound."""
    name = form.text("name")
    if not caller.everywhere and name != caller.project:
        raise Refused(FORBIDDEN, f"the token is for the project {caller.project!r}")
    authenticator: Authenticator = request.app.state.authenticator
    await authenticator.project(name)
    answer = RedirectResponse("/", 303)
    _remember(answer, request, PROJECT_COOKIE, name)
    return answer


def _remember(answer: Response, request: Request, name: str, value: str) -> None:
    secure = request.url.scheme == "https"
    answer.set_cookie(name, value, REMEMBERED_SECONDS, httponly=True, samesite="strict", secure=secure)


def _within(address: str) -> str:
    """An address within the dashboard: nobody is sent to another site with a link that begins with ours."""
    inside = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
    return address if inside else "/"
