"""`assay token ...`, `assay project ...`, `assay audit`, `assay whoami`: who may do what, and who did what."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import Annotated

import typer

from assay import view
from assay.access import Project, Token
from assay.commands.common import AsJson, Url, connect, print_json, stdout

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LIMITS = ("runs", "gpus", "studies")


class ScopeName(StrEnum):
    READ = "read"
    WRITE = "write"
    WORKER = "worker"
    EXECUTE = "execute"
    ADMIN = "admin"


tokens = typer.Typer(no_args_is_help=True, help="Create, list and revoke tokens.")
projects = typer.Typer(no_args_is_help=True, help="Create, list, limit and delete projects.")

ProjectName = Annotated[str, typer.Argument(metavar="PROJECT", help="The project's name.", show_default=False)]


@tokens.command("create")
def create_token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is, or what for.", show_default=False)],
    scope: Annotated[list[ScopeName], typer.Option(help="What it is good for; may be given many times.")],
    project: Annotated[
        str | None, typer.Option(help="Only for this project.", show_default="good for all projects")
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="After 30d, 12h, ..., or at 2030-01-31T12:00:00Z.", show_default="never"),
    ] = None,
    json: AsJson = False,
    url: Url = None,
) -> None:
    """Create a token and print it. It is not shown again.

    write and worker include read; admin includes everything. execute lets studies run commands, with write.
    """
    until = moment(expires) if expires else None
    with connect(url) as client:
        created = client.tokens.create(name, [each.value for each in scope], project=project, expires_at=until)
    if json:
        print_json(created)
    else:
        typer.echo(created["token"])


@tokens.command("list")
def list_tokens(json: AsJson = False, url: Url = None) -> None:
    """List the tokens, newest first. Nobody has their secrets but their owners."""
    with connect(url) as client:
        found = list(client.tokens.list())
    if json:
        print_json(found)
    else:
        columns = ("id", "name", "scopes", "project", "state", "used", "created by")
        view.print_table(stdout(), columns, map(_token, found))


@tokens.command("revoke")
def revoke_token(
    token: Annotated[int, typer.Argument(metavar="ID", min=0, help="The token's id.", show_default=False)],
    url: Url = None,
) -> None:
    """End a token for good."""
    with connect(url) as client:
        revoked = client.tokens.revoke(token)
    typer.echo(f"the token {revoked['name']} is revoked", err=True)


@projects.command("create")
def create_project(
    name: ProjectName,
    runs: Annotated[int | None, typer.Option(min=0, help="Runs at once.", show_default="no limit")] = None,
    gpus: Annotated[float | None, typer.Option(min=0, help="GPUs at once.", show_default="no limit")] = None,
    studies: Annotated[int | None, typer.Option(min=0, help="Open studies at once.", show_default="no limit")] = None,
    json: AsJson = False,
    url: Url = None,
) -> None:
    """Create a project and print its name."""
    with connect(url) as client:
        created = client.projects.create(name, max_runs=runs, max_gpus=gpus, max_studies=studies)
    if json:
        print_json(created)
    else:
        typer.echo(created["name"])


@projects.command("list")
def list_projects(json: AsJson = False, url: Url = None) -> None:
    """List the projects that the token is good for."""
    with connect(url) as client:
        found = list(client.projects.list())
    if json:
        print_json(found)
    else:
        view.print_table(stdout(), ("name", *_LIMITS, "created"), map(_project, found))


@projects.command("show")
def show_project(name: ProjectName, json: AsJson = False, url: Url = None) -> None:
    """Show what a project has just now, and its limits."""
    with connect(url) as client:
        project, usage = client.projects.get(name), client.projects.usage(name)
    if json:
        print_json({**project, "usage": usage})
        return
    typer.echo(f"name:      {project['name']}")
    typer.echo(f"studies:   {usage['open_studies']}{_of(project['max_studies'])} open, {usage['studies']} in all")
    typer.echo(f"runs:      {usage['runs']}{_of(project['max_runs'])} under way")
    typer.echo(f"gpus:      {usage['gpus']:g}{_of(project['max_gpus'])} in use")
    typer.echo(f"datasets:  {usage['datasets']}")
    typer.echo(f"webhooks:  {usage['webhooks']}")
    typer.echo(f"tokens:    {usage['tokens']}")


@projects.command("set")
def change_project(
    name: ProjectName,
    runs: Annotated[str | None, typer.Option(help="Runs at once; none for no limit.", show_default="as it is")] = None,
    gpus: Annotated[str | None, typer.Option(help="GPUs at once; none for no limit.", show_default="as it is")] = None,
    studies: Annotated[
        str | None, typer.Option(help="Open studies at once; none for no limit.", show_default="as it is")
    ] = None,
    json: AsJson = False,
    url: Url = None,
) -> None:
    """Change the limits of a project. What it has already, it keeps."""
    given = {"max_runs": runs, "max_gpus": gpus, "max_studies": studies}
    limits = {name: _limit(value) for name, value in given.items() if value is not None}
    with connect(url) as client:
        changed = client.projects.change(name, **limits)
    if json:
        print_json(changed)
    else:
        shown = ", ".join(f"{what} {_shown(value)}" for what, value in zip(_LIMITS, _limits(changed), strict=True))
        typer.echo(f"{changed['name']}: {shown}", err=True)


@projects.command("delete")
def delete_project(name: ProjectName, url: Url = None) -> None:
    """Delete an empty project, with its tokens."""
    with connect(url) as client:
        client.projects.delete(name)
    typer.echo(f"the project {name} is deleted", err=True)


def audit(
    project: Annotated[str | None, typer.Option(help="Only of this project.", show_default="all")] = None,
    actor: Annotated[str | None, typer.Option(help="Only what this actor did.", show_default="all")] = None,
    action: Annotated[str | None, typer.Option(help="Only this, as study.pause.", show_default="all")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many.")] = 50,
    json: AsJson = False,
    url: Url = None,
) -> None:
    """Show who changed what, and who was turned away, newest first."""
    with connect(url) as client:
        found = list(islice(client.audit(project=project, actor=actor, action=action), limit))
    if json:
        print_json(found)
        return
    columns = ("when", "who", "from", "what", "which", "project")
    rows = (
        (e["created_at"], e["actor"], e["address"] or "", e["action"], e["target"], e["project"] or "") for e in found
    )
    view.print_table(stdout(), columns, rows)


def whoami(json: AsJson = False, url: Url = None) -> None:
    """Show who the service takes you for, and what you may do there."""
    with connect(url) as client:
        me = client.me()
    if json:
        print_json(me)
        return
    typer.echo(f"actor:     {me['actor']}{'' if me['auth'] else ' (the service asks for no token)'}")
    typer.echo(f"project:   {me['project']}{'' if me['projects'] else ' (of all)'}")
    typer.echo(f"scopes:    {', '.join(me['scopes'])}")


def moment(text: str) -> datetime:
    """A time to come: how far away (`30d`), or when (`2030-01-31T12:00:00Z`; local where no zone is given)."""
    found = re.fullmatch(r"(\d{1,5})([mhdw])", text)
    if found:
        return datetime.now(UTC) + timedelta(**{_UNITS[found[2]]: int(found[1])})
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f"{text!r} is neither like 30d, 12h or 90m nor a time like 2030-01-31T12:00:00Z"
        ) from error


def _token(token: Token) -> tuple[str, ...]:
    return (
        str(token["id"]),
        token["name"],
        ", ".join(token["scopes"]),
        token["project"] or "all",
        _state(token),
        token["used_at"] or "never",
        token["created_by"],
    )


def _state(token: Token) -> str:
    if token["revoked_at"]:
        return f"revoked {token['revoked_at']}"
    if token["expires_at"] is None:
        return "good"
    ended = datetime.fromisoformat(token["expires_at"]) <= datetime.now(UTC)
    return f"{'expired' if ended else 'good until'} {token['expires_at']}"


def _limits(project: Project) -> tuple[float | None, ...]:
    return project["max_runs"], project["max_gpus"], project["max_studies"]


def _project(project: Project) -> tuple[str, ...]:
    return project["name"], *map(_shown, _limits(project)), project["created_at"]


def _shown(limit: float | None) -> str:
    return "no limit" if limit is None else f"{limit:g}"


def _of(limit: float | None) -> str:
    return "" if limit is None else f" of {limit:g}"


def _limit(text: str) -> float | None:
    if text == "none":
        return None
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is neither a number nor none") from error
