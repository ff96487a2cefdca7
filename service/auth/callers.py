"""Who asks, and what they may. Every route says with a parameter which scope it needs:

    @router.get("/{name}")
    def get_study(name: StudyName, caller: Reader, database: DatabaseOfApp) -> schemas.Study:
        with database.session(write=False) as session:
            return views.study(Runs(session), Studies(session, caller.project_id).get(name))

The door (`service.auth.door`) has found out before who it is; here it is only checked whether that is enough.
"""

# Annotations are evaluated here: FastAPI does not find the names in those of a callable object otherwise.

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from fastapi import Request, Security
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from service.problems import FORBIDDEN, Refused


class Scope(StrEnum):
    """What a token is good for."""

    READ = "read"
    WRITE = "write"
    WORKER = "worker"
    EXECUTE = "execute"
    ADMIN = "admin"


IMPLIED: dict[Scope, frozenset[Scope]] = {
    Scope.READ: frozenset({Scope.READ}),
    Scope.WRITE: frozenset({Scope.WRITE, Scope.READ}),
    Scope.WORKER: frozenset({Scope.WORKER, Scope.READ}),
    Scope.EXECUTE: frozenset({Scope.EXECUTE}),
    Scope.ADMIN: frozenset(Scope),
}
"""What each scope includes, itself among it."""
ALL_SCOPES = frozenset(Scope)


def with_implied(scopes: frozenset[Scope]) -> frozenset[Scope]:
    return frozenset().union(*(IMPLIED[scope] for scope in scopes))


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, for what project. `scopes` has what they imply.

    `everywhere` says that the token is good for all projects, not for this one alone; `token_id` is None for the
    operator's own token, and where no token is needed.
    """

    project_id: int
    project: str
    actor: str
    scopes: frozenset[Scope]
    token_id: int | None = None
    everywhere: bool = False
    address: str | None = None

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes


class Requires(SecurityBase):
    """Answers the caller, if it has the scope. Raises Refused."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.scheme_name = "token"
        self.model = HTTPBearer(description="A token: `Authorization: Bearer assay_...`. Only where auth is on.")

    async def __call__(self, request: Request) -> Caller:
        return self.check(request)

    def check(self, request: Request) -> Caller:
        caller = caller_of(request)
        if not caller.may(self.scope):
            held = ", ".join(sorted(caller.scopes)) or "none"
            detail = f"this needs the scope {self.scope}; the token of {caller.actor!r} has {held}"
            raise Refused(FORBIDDEN, detail)
        return caller


def caller_of(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


def requires(scope: Scope) -> Requires:
    return Requires(scope)


Reader = Annotated[Caller, Security(requires(Scope.READ), scopes=[Scope.READ.value])]
Writer = Annotated[Caller, Security(requires(Scope.WRITE), scopes=[Scope.WRITE.value])]
Worker = Annotated[Caller, Security(requires(Scope.WORKER), scopes=[Scope.WORKER.value])]
Admin = Annotated[Caller, Security(requires(Scope.ADMIN), scopes=[Scope.ADMIN.value])]
