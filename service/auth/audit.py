"""Every change that somebody makes is told to the audit log, in the transaction that makes it."""

from __future__ import annotations

from service.auth.callers import Caller
from service.database import Session
from service.models import Json
from service.repositories.audit import AuditLog


def audit(session: Session, caller: Caller, action: str, target: str, detail: Json | None = None) -> None:
    """`action` is a word of what and a word of how (`study.pause`, `dataset.create`); `target` is the name of what it
    was done to. Nothing in `detail` may be secret."""
    audit_in(session, caller.project_id, caller, action, target, detail)


def audit_in(
    session: Session, project_id: int | None, caller: Caller, action: str, target: str, detail: Json | None = None
) -> None:
    """As `audit`, for what does not belong to the project of the request."""
    AuditLog(session).add(
        project_id=project_id,
        actor=caller.actor,
        action=action,
        target=target,
        detail={**(detail or {}), **({"token": caller.token_id} if caller.token_id is not None else {})},
        address=caller.address,
    )
