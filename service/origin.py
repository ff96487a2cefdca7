"""Nothing is done for another site: a page elsewhere must not steer studies, or read them, through a visitor's browser.

Browsers say where a request comes from (`Sec-Fetch-Site`, `Origin`) and by which name they know the service (`Host`);
programs say nothing of the former and are let through.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.problems import FOREIGN, MISDIRECTED, respond

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


class TrustedHosts:
    """ASGI middleware: answers 421 to who knows the service by a name that is not its own.

    A page of another site can let its own name lead to this service (DNS rebinding), and is then of the same origin.
    """

    EXEMPT = ("/healthz", "/readyz")  # asked by whatever address a machine has, and there is nothing to see

    def __init__(self, app: ASGIApp, names: Sequence[str]) -> None:
        """`names` without ports; `*.example.org` stands for all names that end in `.example.org`."""
        self.app = app
        self._exact = frozenset(name for name in names if not name.startswith("*."))
        self._endings = tuple(name[1:] for name in names if name.startswith("*."))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in self.EXEMPT:
            host = Headers(scope=scope).get("host", "")
            if not self._is_own(_name_of(host)):
                detail = f"{host!r} is not a name of this service; the setting trusted_hosts says which are"
                await respond(MISDIRECTED, detail)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _is_own(self, name: str) -> bool:
        return name in self._exact or name.endswith(self._endings)


@lru_cache
def _name_of(host: str) -> str:
    """Without the port, and without the brackets around an address with colons."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_foreign(headers: Headers) -> bool:
    if headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        return True
    origin = headers.get("origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc != headers.get("host")
    except ValueError:  # no address at all, such as one with half a bracket
        return True
