"""What a client can do with projects, tokens and the audit log: one method per route of the API."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Literal, TypedDict, cast
from urllib.parse import quote

from assay.http import API, Connection

Scope = Literal["read", "write", "worker", "execute", "admin"]


class Project(TypedDict):
    """Owns studies, datasets, webhooks and tokens; a limit of None is none."""

    name: str
    max_runs: int | None
    max_gpus: float | None
    max_studies: int | None
    created_at: str


class Usage(TypedDict):
    """What a project has just now."""

    project: str
    studies: int
    open_studies: int
    runs: int
    gpus: float
    datasets: int
    webhooks: int
    tokens: int


class Token(TypedDict):
    """What is known of a token; without a project it is good for all of them."""

    id: int
    name: str
    handle: str
    scopes: list[Scope]
    project: str | None
    created_by: str
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    used_at: str | None


class NewToken(Token):
    """With the secret, which is shown once."""

    token: str


class AuditEntry(TypedDict):
    """Somebody changed something, or was turned away."""

    id: int
    project: str | None
    actor: str
    action: str
    target: str
    detail: dict[str, Any]
    address: str | None
    created_at: str


class Me(TypedDict):
    """Who asks, as the service sees it; `projects` is None for a token that is good for all."""

    actor: str
    project: str
    projects: list[str] | None
    scopes: list[Scope]
    auth: bool


class Projects:
    """The projects that the token is good for. Changes raise `Forbidden` without the scope `admin` for all of them."""

    def __init__(self, connection: Connection) -> None:
        self._http = connection

    def create(self, name: str, **limits: float | None) -> Project:
        """`limits` are max_runs, max_gpus and max_studies. Raises `Conflict` when the name is taken."""
        return cast(Project, self._http.post(f"{API}projects", {"name": name, **limits}))

    def list(self) -> Iterator[Project]:
        return self._http.pages(f"{API}projects")

    def get(self, name: str) -> Project:
        return cast(Project, self._http.get(_project(name)))

    def usage(self, name: str) -> Usage:
        """What its limits are measured against."""
        return cast(Usage, self._http.get(_project(name, "/usage")))

    def change(self, name: str, **limits: float | None) -> Project:
        """Sets the limits that are named; None takes one away."""
        return cast(Project, self._http.patch(_project(name), limits))

    def delete(self, name: str) -> Project:
        """Raises `Conflict` unless it is empty. Its tokens go with it."""
        return cast(Project, self._http.delete(_project(name)))


class Tokens:
    """Needs the scope `admin`; of a token for one project, this is about the tokens of that project."""

    def __init__(self, connection: Connection) -> None:
        self._http = connection

    def create(
        self,
        name: str,
        scopes: Sequence[Scope],
        *,
        project: str | None = None,
        expires_at: datetime | None = None,
    ) -> NewToken:
        """The secret is `token` of the answer, this one time. `expires_at` has a zone."""
        body = {
            "name": name,
            "scopes": list(scopes),
            "project": project,
            "expires_at": expires_at.isoformat() if expires_at else None,
        }
        return cast(NewToken, self._http.post(f"{API}tokens", body))

    def list(self) -> Iterator[Token]:
        """Newest first, revoked ones too."""
        return self._http.pages(f"{API}tokens")

    def revoke(self, token: int) -> Token:
        """The token with this id is refused from now on; by other processes of the service within seconds."""
        return cast(Token, self._http.delete(f"{API}tokens/{token}"))


def _project(name: str, rest: str = "") -> str:
    return f"{API}projects/{quote(name, safe='')}{rest}"
