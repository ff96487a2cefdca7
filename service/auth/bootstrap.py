"""The first token of a service: without one nobody could make any."""

from __future__ import annotations

from service.auth.callers import Scope
from service.auth.tokens import Secret
from service.database import Database
from service.models import DEFAULT_PROJECT_ID, utcnow
from service.repositories.audit import AuditLog
from service.repositories.projects import Projects
from service.repositories.tokens import Tokens
from service.settings import Settings

MAKER = "assay up"
NAME = "first"


def first_token(settings: Settings, database: Database) -> str | None:
    """A new token for everything, to be shown once to who starts the service.

    None where auth is off, where the operator has set one, and where there is one already that makes others.
    """
    if not settings.auth_on or settings.admin_token is not None:
        return None
    with database.session() as session:
        Projects(session).lock(DEFAULT_PROJECT_ID)  # of several processes that start at once only one makes it
        if Tokens(session).any_admin(utcnow()):
            return None
        secret = Secret.new()
        row = Tokens(session).add(
            project_id=None,
            name=NAME,
            handle=secret.handle,
            hash_=secret.hash,
            scopes=[Scope.ADMIN.value],
            created_by=MAKER,
            expires_at=None,
        )
        detail = {"id": row.id, "scopes": row.scopes, "project": None}
        AuditLog(session).add(
            project_id=None, actor=MAKER, action="token.create", target=NAME, detail=detail, address=None
        )
    return str(secret)
