"""Whoever was turned away is told to the log and the audit log; not every time, or those would be what drowns first."""

from __future__ import annotations

import logging

from starlette.concurrency import run_in_threadpool

from service.auth.callers import Caller
from service.auth.limits import Buckets
from service.database import Database, DatabaseError
from service.models import Json
from service.repositories.audit import AuditLog

log = logging.getLogger(__name__)

PER_SECOND = 0.2
AT_ONCE = 20
LONGEST_TARGET = 200


class Refusals:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._turns = Buckets(PER_SECOND, AT_ONCE)
        self._untold = 0

    async def note(self, status: int, target: str, address: str | None, caller: Caller | None) -> None:
        """`caller` is None for who could not say who they are; `target` is what was asked for."""
        if self._turns.take("all"):
            self._untold += 1
            return
        untold, self._untold = self._untold, 0
        action = "access.refused" if caller else "login.refused"
        actor = caller.actor if caller else "unknown"
        target = target[:LONGEST_TARGET]
        log.warning(
            "%s: %d for %s by %s from %s; %d more were not logged", action, status, target, actor, address, untold
        )
        try:
            await run_in_threadpool(
                self._store, action, actor, target, {"status": status, "untold": untold}, address, caller
            )
        except DatabaseError as error:
            log.warning("the audit log misses a refusal: %s", error)

    def _store(
        self, action: str, actor: str, target: str, detail: Json, address: str | None, caller: Caller | None
    ) -> None:
        with self._database.session() as session:
            AuditLog(session).add(
                project_id=caller.project_id if caller else None,
                actor=actor,
                action=action,
                target=target.replace("\0", ""),
                detail=detail,
                address=address,
            )
