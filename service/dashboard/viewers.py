"""Who looks at a page, and what the frame around every page shows of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import Request

from service.auth.callers import Caller, Scope
from service.database import Session
from service.repositories.projects import Projects

MOST_PROJECTS = 1000


@dataclass(frozen=True, slots=True)
class Viewer:
    """`projects` are those to choose from. `auth` says that there is somebody to log out."""

    caller: Caller
    projects: Sequence[str]
    auth: bool

    @property
    def may_write(self) -> bool:
        return self.caller.may(Scope.WRITE)

    @property
    def may_admin(self) -> bool:
        return self.caller.may(Scope.ADMIN)


def viewer_of(session: Session, caller: Caller, request: Request) -> Viewer:
    projects = [row.name for row in Projects(session).page(MOST_PROJECTS)] if caller.everywhere else [caller.project]
    return Viewer(caller, projects, request.app.state.settings.auth_on)
