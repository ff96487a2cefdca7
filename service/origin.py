"""Nothing is changed for another site: a page elsewhere must not steer studies through a visitor's browser.

Browsers say where a request comes from (`Sec-Fetch-Site`, `Origin`); programs say nothing and are let through.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.problems import FOREIGN, respond

SAFE = ("GET", "HEAD", "OPTIONS")


class SameOrigin:
    """ASGI middleware: answers 403 to what other sites make a browser send, unless it only reads."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in SAFE and _is_foreign(Headers(scope=scope)):
            await respond(FOREIGN, "a page of another site asked for this; use the dashboard, the CLI or a program")(
                scope, receive, send
            )
            return
        await self.app(scope, receive, send)


def _is_foreign(headers: Headers) -> bool:
    if headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        return True
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host")
