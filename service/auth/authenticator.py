"""Knows the tokens and the projects: from a secret to who that is.

What was read is believed for a few seconds, because every request asks: a token that another process revoked is good
for so long, one that this process revoked for no request that comes later.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Generic, TypeVar

from starlette.concurrency import run_in_threadpool

from service.auth.callers import ALL_SCOPES, Scope, with_implied
from service.auth.tokens import Secret, same
from service.database import Database
from service.models import DEFAULT_PROJECT, DEFAULT_PROJECT_ID, utcnow
from service.repositories.errors import NotFound
from service.repositories.projects import Projects
from service.repositories.tokens import Tokens
from service.study_parts import NAME_PATTERN

BELIEVED_SECONDS = 5.0
MOST_KNOWN = 10_000
TOUCHED_EVERY = timedelta(minutes=1)

Value = TypeVar("Value")


class TokenRefused(Exception):
    """The token is not good, for a reason that its owner may know."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody. `project` is None for who may choose among all."""

    actor: str
    scopes: frozenset[Scope]
    token_id: int | None = None
    project: tuple[int, str] | None = None


NOBODY_IN_PARTICULAR = Identity("local", ALL_SCOPES)
"""Where no token is needed, because nobody else can reach the service."""
OPERATOR = Identity("operator", ALL_SCOPES)
"""Who has the token of the settings."""


@dataclass(frozen=True, slots=True)
class _Known:
    identity: Identity
    hash: str
    expires_at: datetime | None
    revoked: bool


class Authenticator:
    """For the coroutines of one event loop, and the threads that they start."""

    def __init__(self, database: Database, *, on: bool, admin_token: str | None = None) -> None:
        self.on = on
        self._database = database
        self._admin_token = admin_token
        self._tokens: _Believed[_Known] = _Believed()
        self._projects: _Believed[int] = _Believed()

    def knows(self, text: str) -> bool:
        """Whether `identify` answers without asking the database."""
        secret = Secret.parse(text)
        return secret is None or secret.handle in self._tokens or self._is_admin(text)

    async def identify(self, text: str) -> Identity:
        """Who has this token. Raises TokenRefused."""
        if self._is_admin(text):
            return OPERATOR
        secret = Secret.parse(text)
        if secret is None:
            raise TokenRefused("that is not a token; tokens look like assay_..._...")
        known = self._tokens.get(secret.handle)
        if known is None:
            known = await run_in_threadpool(self._read, secret)
        if not secret.fits(known.hash if known else None) or known is None:
            raise TokenRefused("the token is not known")
        if known.revoked:
            raise TokenRefused("the token has been revoked")
        if known.expires_at is not None and known.expires_at <= utcnow():
            raise TokenRefused("the token has expired")
        return known.identity

    async def project(self, name: str) -> int:
        """The id of the project of that name. Raises NotFound."""
        if name == DEFAULT_PROJECT:
            return DEFAULT_PROJECT_ID
        known = self._projects.get(name)
        if known is None:
            known = await run_in_threadpool(self._read_project, name)
            self._projects.put(name, known)
        return known

    def forget_token(self, handle: str) -> None:
        self._tokens.forget(handle)

    def forget_project(self, name: str) -> None:
        """Its tokens have gone with it."""
        self._projects.forget(name)
        self._tokens.clear()

    def _is_admin(self, text: str) -> bool:
        return self._admin_token is not None and same(text, self._admin_token)

    def _read(self, secret: Secret) -> _Known | None:
        """The token as it is stored; that it was used is noted now and then, and only if it is."""
        with self._database.session(write=False) as session:
            found = Tokens(session).by_handle(secret.handle)
        if found is None:
            return None
        token, project = found
        known = _Known(
            identity=Identity(
                token.name,
                with_implied(frozenset(map(Scope, token.scopes))),
                token.id,
                (token.project_id, project) if token.project_id is not None and project is not None else None,
            ),
            hash=token.hash,
            expires_at=token.expires_at,
            revoked=token.revoked_at is not None,
        )
        self._tokens.put(secret.handle, known)
        now = utcnow()
        if secret.fits(token.hash) and (token.used_at is None or token.used_at <= now - TOUCHED_EVERY):
            with self._database.session() as session:
                Tokens(session).touch(token.id, now, now - TOUCHED_EVERY)
        return known

    def _read_project(self, name: str) -> int:
        if not re.fullmatch(NAME_PATTERN, name):
            raise NotFound(f"there is no project named {name!r}")
        with self._database.session(write=False) as session:
            return Projects(session).get(name).id


class _Believed(Generic[Value]):
    """What was read from the database a moment ago; the oldest gives way to what is new."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._values: OrderedDict[str, tuple[float, Value]] = OrderedDict()

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def get(self, name: str) -> Value | None:
        found = self._values.get(name)
        return found[1] if found and self._clock() < found[0] else None

    def put(self, name: str, value: Value) -> None:
        self._values[name] = (self._clock() + BELIEVED_SECONDS, value)
        self._values.move_to_end(name)
        if len(self._values) > MOST_KNOWN:
            self._values.popitem(last=False)

    def forget(self, name: str) -> None:
        self._values.pop(name, None)

    def clear(self) -> None:
        self._values.clear()
