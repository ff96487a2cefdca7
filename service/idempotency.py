"""Writes that may be repeated: a client that got no answer asks again with the same `Idempotency-Key`, and what it
asked for is done once.

    @router.post("/{name}/pause", ...)
    def pause_study(name: StudyName, caller: Writer, database: DatabaseOfApp, once: Once) -> schemas.Study:
        with once.transaction(database) as session:
            paused = views.study(...)
            once.keep(session, paused)
        return paused

The answer is stored in the transaction of what it tells of, so there is never one without the other. The same request
with the same key is given the same status, body and headers again, with `Idempotent-Replayed: true`; another request
with the key is refused (409). Of two at the same time the later one waits for the earlier. Refusals are not kept: what
was refused may be tried again with its key. Keys are a project's own and are remembered for a day. Without the header
all of this is nothing.

Whoever has a transaction already, for many requests at once, calls `claim` and `keep` within it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel

from service.auth.callers import caller_of
from service.database import Database, Session
from service.models import IdempotencyKey, utcnow
from service.problems import KEY_REUSED, Refused
from service.repositories.idempotency import UNANSWERED, IdempotencyKeys
from service.routes.body import content_of

REMEMBERED = timedelta(hours=24)
SWEPT_AFTER = timedelta(hours=25)
"""Later than keys are forgotten, so that no key goes while somebody reads it."""
SWEPT_AT_ONCE = 1000
LONGEST_KEY = 255


@dataclass(frozen=True, slots=True)
class Replay:
    """What was answered to the same request before."""

    status: int
    content: str
    headers: Mapping[str, str]

    def response(self) -> Response:
        headers = {**self.headers, "Idempotent-Replayed": "true"}
        return Response(self.content, self.status, headers, media_type="application/json")


class Replayed(Exception):
    """The request has been answered before; a handler gives the same answer again."""

    def __init__(self, replay: Replay) -> None:
        super().__init__("answered before")
        self.replay = replay


class Repeatable:
    """A request, by its key and by what it asks for; without a key it is like any other."""

    def __init__(self, project_id: int, key: str | None, fingerprint: str = "") -> None:
        self.project_id = project_id
        self.key = key
        self.fingerprint = fingerprint
        self._open = False

    @contextmanager
    def transaction(self, database: Database) -> Iterator[Session]:
        """A transaction that does what is asked for, and calls `keep` at its end. Raises Replayed or Refused."""
        with database.session() as session:
            replay = self.claim(session)
            if replay:
                raise Replayed(replay)
            yield session
            assert not self._open, "the answer is kept with what it tells of"

    def earlier(self, session: Session) -> Replay | None:
        """The earlier answer, if there is one; only reads. Raises Refused when the key was for something else."""
        if self.key is None:
            return None
        found = IdempotencyKeys(session).find(self.project_id, self.key, utcnow() - REMEMBERED)
        return self._replay(found) if found else None

    def claim(self, session: Session) -> Replay | None:
        """Makes the key this request's, or gives the earlier answer. Raises Refused when it was for something else."""
        if self.key is None:
            return None
        keys, now = IdempotencyKeys(session), utcnow()
        if self.fingerprint.startswith("00"):  # one in 256
            keys.sweep(now - SWEPT_AFTER, SWEPT_AT_ONCE)
        self._open = keys.claim(self.project_id, self.key, self.fingerprint, now, now - REMEMBERED)
        if self._open:
            return None
        found = keys.find(self.project_id, self.key, now - REMEMBERED)
        assert found is not None, "whoever had the key keeps it for a day"
        return self._replay(found)

    def keep(
        self, session: Session, answer: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        """Stores the answer to a request whose key was claimed in this transaction."""
        if self._open and self.key is not None:
            content = answer.model_dump_json(by_alias=True)
            IdempotencyKeys(session).answer(self.project_id, self.key, status, content, dict(headers or {}))
        self._open = False

    def _replay(self, found: IdempotencyKey) -> Replay:
        if found.fingerprint != self.fingerprint:
            detail = f"the Idempotency-Key {self.key!r} was used for another request; take a new one for each"
            raise Refused(KEY_REUSED, detail)
        assert found.status != UNANSWERED, "an answer is stored with its key"
        return Replay(found.status, found.answer, found.headers)


async def replayed(request: Request, error: Any) -> Response:
    """The answer to `Replayed`."""
    replay: Replay = error.replay
    return replay.response()


def fingerprint(method: str, target: str, content: bytes) -> str:
    """What is asked for, as a hash; `target` is the path with its query."""
    return sha256(b"\0".join((method.encode(), target.encode(), content))).hexdigest()


KeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=LONGEST_KEY,
        pattern=r"^[!-~]+$",
        description="Any text of your own, new for each request: with it the request may be repeated safely.",
    ),
]


def repeatable(request: Request, key: str | None, content: bytes) -> Repeatable:
    """`content` is the body, or what stands for it, such as its hash."""
    project_id = caller_of(request).project_id
    if key is None:
        return Repeatable(project_id, None)
    target = f"{request.url.path}?{request.url.query}"
    return Repeatable(project_id, key, fingerprint(request.method, target, content))


async def _repeatable(request: Request, idempotency_key: KeyHeader = None) -> Repeatable:
    return repeatable(request, idempotency_key, b"" if idempotency_key is None else await content_of(request))


Once = Annotated[Repeatable, Depends(_repeatable)]
