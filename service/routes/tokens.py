"""Tokens: who may ask. Whoever administers one project makes and revokes tokens of that project alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Body, Path, Request

from service import access_schemas as schemas
from service import models
from service.auth.audit import audit_in
from service.auth.authenticator import Authenticator
from service.auth.callers import Admin, Caller, Scope
from service.auth.tokens import Secret
from service.models import utcnow
from service.problems import FORBIDDEN, Refused, documented
from service.repositories.projects import Projects
from service.repositories.tokens import Tokens
from service.routes.body import StrictJsonRoute
from service.routes.parameters import MAX_NUMBER, After, DatabaseOfApp, Limit, cut
from service.schemas import Page
from spaces.errors import InvalidInput

router = APIRouter(prefix="/tokens", tags=["access"], route_class=StrictJsonRoute)

TokenId = Annotated[int, Path(ge=0, le=MAX_NUMBER, description="The token's id.")]
LATEST = datetime(9999, 1, 1, tzinfo=UTC)


@router.get("", summary="List the tokens", responses=documented(422))
def list_tokens(caller: Admin, database: DatabaseOfApp, limit: Limit = 100, after: After = None) -> Page[schemas.Token]:
    """Newest first, revoked ones too; never their secrets."""
    with database.session(write=False) as session:
        rows, next_ = cut(Tokens(session).page(_reach(caller), limit + 1, after), limit, lambda row: row.id)
        names = Projects(session).names([row.project_id for row in rows if row.project_id is not None])
        return Page[schemas.Token](items=[_shown(row, names) for row in rows], next=next_)


@router.post("", status_code=201, summary="Create a token", responses=documented(400, 404, 413, 415, 422))
def create_token(
    token: Annotated[schemas.TokenCreate, Body()], caller: Admin, database: DatabaseOfApp
) -> schemas.NewToken:
    """The secret is in the answer, and nowhere else: keep it. So an Idempotency-Key is of no effect here."""
    if not caller.everywhere and token.project != caller.project:
        detail = f"the token of {caller.actor!r} makes tokens for its own project: say project: {caller.project!r}"
        raise Refused(FORBIDDEN, detail)
    if token.expires_at is not None and not utcnow() < token.expires_at < LATEST:
        raise InvalidInput.at(("expires_at",), "must be a time to come, before the year 9999; leave it out for never")
    secret = Secret.new()
    with database.session() as session:
        project = Projects(session).get(token.project) if token.project is not None else None
        row = Tokens(session).add(
            project_id=project.id if project else None,
            name=token.name,
            handle=secret.handle,
            hash_=secret.hash,
            scopes=set(token.scopes),
            created_by=caller.actor,
            expires_at=token.expires_at,
        )
        told = {"id": row.id, "scopes": row.scopes, "project": token.project}
        audit_in(session, row.project_id, caller, "token.create", row.name, told)
        shown = _shown(row, {project.id: project.name} if project else {})
    return schemas.NewToken(**shown.model_dump(), token=str(secret))


@router.delete("/{token_id}", summary="Revoke a token", responses=documented(404, 422))
def revoke_token(token_id: TokenId, caller: Admin, database: DatabaseOfApp, request: Request) -> schemas.Token:
    """At once for this process; others notice within five seconds. Revoking it again changes nothing."""
    with database.session() as session:
        row = Tokens(session).get(token_id, _reach(caller))
        if row.revoked_at is None:
            row.revoked_at = utcnow()
            audit_in(session, row.project_id, caller, "token.revoke", row.name, {"id": row.id})
        shown = _shown(row, Projects(session).names([row.project_id] if row.project_id is not None else []))
    authenticator: Authenticator = request.app.state.authenticator
    authenticator.forget_token(row.handle)
    return shown


def _reach(caller: Caller) -> int | None:
    """The project whose tokens the caller sees; None for all tokens."""
    return None if caller.everywhere else caller.project_id


def _shown(row: models.Token, projects: Mapping[int, str]) -> schemas.Token:
    return schemas.Token(
        id=row.id,
        name=row.name,
        handle=row.handle,
        scopes=[Scope(scope) for scope in row.scopes],
        project=projects[row.project_id] if row.project_id is not None else None,
        created_by=row.created_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        used_at=row.used_at,
    )
