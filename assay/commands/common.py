"""What the commands share: options, consoles, the client, and how errors become messages and exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from typer.core import TyperGroup

from assay.client import Client
from assay.errors import AssayError, ConnectionFailed, Unauthorized
from assay.exit_codes import of_error
from assay.study_file import StudyFile, parse

T = TypeVar("T")


class Commands(TyperGroup):
    """A group whose commands end with a message and a documented exit code, never with a traceback, for AssayError."""

    def invoke(self, ctx: Any) -> Any:  # the context's class is private to typer
        try:
            return super().invoke(ctx)
        except AssayError as error:
            fail(error)
            raise typer.Exit(of_error(error)) from error


def fail(error: AssayError) -> None:
    """Prints what went wrong to stderr, with what helps beside it."""
    typer.secho(f"{error}", fg="red", err=True)
    if isinstance(error, ConnectionFailed):
        typer.echo("Is the service running (assay up)? Is this its address (--url or ASSAY_URL)?", err=True)
    if isinstance(error, Unauthorized):
        typer.echo("Set ASSAY_TOKEN to a token of this service (assay token create makes one).", err=True)
    for note in getattr(error, "__notes__", ()):
        typer.echo(note, err=True)


def _address(ctx: typer.Context, value: str | None) -> str | None:
    """The command's own --url, or the one before the command."""
    return value or ctx.find_root().params.get("url")


_URL_DEFAULT = "$ASSAY_URL, or http://127.0.0.1:8080"
RootUrl = Annotated[str | None, typer.Option("--url", metavar="URL", help="The service.", show_default=_URL_DEFAULT)]
Url = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="The service.", show_default=_URL_DEFAULT, callback=_address),
]
# Whoever lists processes sees an option, so the environment is the better place for a token.
RootToken = Annotated[
    str | None, typer.Option("--token", metavar="TOKEN", help="Your token.", show_default="$ASSAY_TOKEN")
]
RootProject = Annotated[
    str | None, typer.Option("--project", metavar="PROJECT", help="The project.", show_default="$ASSAY_PROJECT")
]
_WHO: ContextVar[tuple[str | None, str | None]] = ContextVar("who", default=(None, None))
Name = Annotated[str, typer.Argument(metavar="STUDY", help="The study's name.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, as the API gives it.")]
File = Annotated[
    Path,
    typer.Option("-f", "--file", show_default=False, help="The study, as YAML or JSON; - reads from standard input."),
]


def read_study(path: Path) -> StudyFile:
    """The study in the file, or on standard input for `-`."""
    if str(path) == "-":
        return parse(sys.stdin.buffer.read(), "<stdin>")
    try:
        return parse(path.read_bytes(), str(path), path.parent)
    except OSError as error:
        raise typer.BadParameter(f"cannot read {path}: {error.strerror}") from error


def pairs(given: Iterable[str], read: Callable[[str], T], example: str) -> dict[str, T]:
    """What stands on the command line as `name=value`; `read` may raise ValueError."""
    found: dict[str, T] = {}
    for pair in given:
        name, equals, text = pair.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"{pair!r} is not like {example}")
        if name in found:
            raise typer.BadParameter(f"{name} is given twice")
        try:
            found[name] = read(text)
        except ValueError as error:
            raise typer.BadParameter(f"{pair!r} is not like {example}: {error}") from error
    return found


def numbers(given: Iterable[str] | None) -> dict[str, float]:
    """Metrics: `val_loss=0.3`."""
    return pairs(given or (), float, "val_loss=0.3")


def say_who(token: str | None, project: str | None) -> None:
    """What stands before the command, for its `connect`."""
    _WHO.set((token, project))


def connect(url: str | None) -> Client:
    token, project = _WHO.get()
    return Client(url, token=token, project=project)


def stdout() -> Console:
    """Data goes here."""
    return Console(highlight=False)


def stderr() -> Console:
    """Messages and progress go here."""
    return Console(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
