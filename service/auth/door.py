"""The door: before anything else happens it is found out who asks, for which project, and whether not too often.

Closed unless said otherwise: what is not listed as public needs a token where auth is on, whether a route thought of it
or not. What the caller may do is then for the routes to check (`service.auth.callers`).
"""

from __future__ import annotations

from math import ceil
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from service.auth.authenticator import NOBODY_IN_PARTICULAR, Authenticator, Identity, TokenRefused
from service.auth.callers import Caller
from service.auth.limits import Buckets
from service.auth.refusals import Refusals
from service.database import DatabaseError
from service.models import DEFAULT_PROJECT
from service.problems import FORBIDDEN, NOT_FOUND, TOO_MANY, UNAUTHORIZED, UNAVAILABLE, Refused, respond
from service.repositories.errors import NotFound

PUBLIC = frozenset({"/healthz", "/readyz", "/openapi.json", "/docs", "/login", "/logout"})
PUBLIC_FOLDER = "/static/"
PROJECT_HEADER = "Assay-Project"
TOKEN_COOKIE = "assay_token"
PROJECT_COOKIE = "assay_project"
_AGAIN = '<!doctype html><meta http-equiv="refresh" content="0"><title>Assay</title>'


class Door:
    """ASGI middleware: leaves the `Caller` in the state of the request."""

    def __init__(
        self,
        app: ASGIApp,
        authenticator: Authenticator,
        refusals: Refusals,
        rate: float | None = None,
        public: frozenset[str] = PUBLIC,
    ) -> None:
        self.app = app
        self.authenticator = authenticator
        self.refusals = refusals
        self.public = public
        self._buckets = Buckets(rate) if rate else None

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        visit = _Visit(scope)
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        await self._answer(visit, scope, receive, watched)
        if status == 403 or (status == 401 and visit.token is not None):
            caller: Caller | None = scope.get("state", {}).get("caller")
            await self.refusals.note(status, f"{visit.method} {visit.path}", visit.address, caller)

    async def _answer(self, visit: _Visit, scope: Connection, receive: Receive, send: Send) -> None:
        try:
            if visit.path in self.public or visit.path.startswith(PUBLIC_FOLDER):
                if visit.method == "POST":
                    self._take_turn(("address", visit.address))
            else:
                scope.setdefault("state", {})["caller"] = await self._caller(visit)
        except Refused as refused:
            await visit.refusal(refused)(scope, receive, send)
        except NotFound as error:
            await respond(NOT_FOUND, str(error))(scope, receive, send)
        except DatabaseError as error:
            await respond(UNAVAILABLE, str(error), headers={"Retry-After": "1"})(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _caller(self, visit: _Visit) -> Caller:
        """Raises Refused, NotFound or DatabaseError."""
        identity = await self._identity(visit)
        project_id, project = await self._project(visit, identity)
        return Caller(
            project_id=project_id,
            project=project,
            actor=identity.actor,
            scopes=identity.scopes,
            token_id=identity.token_id,
            everywhere=identity.project is None,
            address=visit.address,
        )

    async def _identity(self, visit: _Visit) -> Identity:
        if not self.authenticator.on:
            self._take_turn(("address", visit.address))
            return NOBODY_IN_PARTICULAR
        if visit.token is None:
            self._take_turn(("address", visit.address))
            raise _unauthorized("send a token: Authorization: Bearer assay_...", "Bearer")
        if not self.authenticator.knows(visit.token):  # guessing costs turns of the address
            self._take_turn(("address", visit.address))
        try:
            identity = await self.authenticator.identify(visit.token)
        except TokenRefused as error:
            raise _unauthorized(str(error), 'Bearer error="invalid_token"') from error
        self._take_turn(("token", identity.actor, identity.token_id))
        return identity

    async def _project(self, visit: _Visit, identity: Identity) -> tuple[int, str]:
        wanted = visit.project
        if identity.project is not None:
            if wanted not in (None, identity.project[1]):
                detail = f"the token is for the project {identity.project[1]!r}, not for {wanted!r}"
                raise Refused(FORBIDDEN, detail)
            return identity.project
        if wanted is not None:
            return await self.authenticator.project(wanted), wanted
        chosen = visit.cookie(PROJECT_COOKIE)
        if chosen is not None and visit.by_cookie(self.authenticator.on):
            try:
                return await self.authenticator.project(chosen), chosen
            except NotFound:
                pass  # it has been deleted since it was chosen
        return await self.authenticator.project(DEFAULT_PROJECT), DEFAULT_PROJECT

    def _take_turn(self, owner: tuple[object, ...]) -> None:
        if self._buckets is None:
            return
        wait = self._buckets.take(owner)
        if wait:
            detail = f"that is more than {self._buckets.rate:g} requests per second"
            raise Refused(TOO_MANY, detail, headers={"Retry-After": str(ceil(wait))})


def _unauthorized(detail: str, challenge: str) -> Refused:
    return Refused(UNAUTHORIZED, detail, headers={"WWW-Authenticate": challenge})


class _Visit:
    """What is to be seen of a request at the door."""

    def __init__(self, scope: Connection) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self._query: bytes = scope["query_string"]
        self._headers = Headers(scope=scope)
        self.address: str | None = scope["client"][0] if scope.get("client") else None
        self.project = self._headers.get(PROJECT_HEADER)
        kind, _, token = self._headers.get("authorization", "").partition(" ")
        self._bearer = token.strip() if kind.lower() == "bearer" else None
        self.token = self._bearer if self._bearer is not None else self.cookie(TOKEN_COOKIE)

    def by_cookie(self, on: bool) -> bool:
        """Whether a browser asks, which says by a cookie what programs say by a header."""
        return self._bearer is None if on else True

    def cookie(self, name: str) -> str | None:
        return cookie_parser(self._headers.get("cookie", "")).get(name)

    def refusal(self, refused: Refused) -> Response:
        """As a problem; who waits in front of a browser is led to the login."""
        page = self.method == "GET" and "text/html" in self._headers.get("accept", "")
        if refused.kind is UNAUTHORIZED and page and not self.path.startswith("/api/"):
            if self.token is None and self._headers.get("sec-fetch-site") in ("cross-site", "same-site"):
                # Who follows a link of another site comes without the cookie, and has it at the next step.
                return HTMLResponse(_AGAIN)
            within = self.path + (f"?{self._query.decode('latin-1')}" if self._query else "")
            return RedirectResponse(f"/login?next={quote(within, safe='')}", 303)
        headers = dict(refused.headers or {})
        if refused.kind is UNAUTHORIZED and "hx-request" in self._headers:
            headers["HX-Refresh"] = "true"  # the part of a page whose login has ended: the whole page asks again
        return respond(refused.kind, refused.detail, headers=headers)
