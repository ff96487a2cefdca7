"""Who carries out the runs of a project just now, and who was lost."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.auth.callers import Caller, Reader
from service.dashboard.rendering import page
from service.dashboard.viewers import viewer_of
from service.database import Session
from service.external.work import OWNER as EXTERNAL
from service.models import utcnow
from service.repositories.workers import Held, Workers
from service.routes.parameters import DatabaseOfApp

router = APIRouter(include_in_schema=False)

MOST_HELD = 200
MOST_LOST = 50
LOST_WITHIN = timedelta(hours=1)


@router.get("/workers")
def show_workers(caller: Reader, database: DatabaseOfApp, request: Request) -> Response:
    with database.session(write=False) as session:
        return page(
            "workers.html", here="workers", viewer=viewer_of(session, caller, request), **_both(session, caller)
        )


@router.get("/parts/workers")
def part_workers(caller: Reader, database: DatabaseOfApp) -> Response:
    with database.session(write=False) as session:
        return page("parts/workers.html", **_both(session, caller))


def _both(session: Session, caller: Caller) -> dict[str, Any]:
    workers, now = Workers(session, caller.project_id), utcnow()
    return {
        "holding": [_shown(one) for one in workers.holding(MOST_HELD + 1)],
        "most_held": MOST_HELD,
        "lost": [_shown(one) for one in workers.lost(now - LOST_WITHIN, MOST_LOST + 1)],
        "most_lost": MOST_LOST,
        "now": now.isoformat(),
    }


def _shown(held: Held) -> dict[str, Any]:
    attempt = held.attempt
    return {
        "study": held.study,
        "run": attempt.run,
        "trial": held.trial,
        "attempt": attempt.number,
        "state": attempt.state,
        "external": attempt.owner == EXTERNAL,
        "worker": attempt.worker,
        "message": attempt.message,
        "since": attempt.created_at.isoformat(),
        "ended": attempt.ended_at.isoformat() if attempt.ended_at else None,
        "lease_expires": attempt.lease_expires.isoformat() if attempt.lease_expires else None,
    }
