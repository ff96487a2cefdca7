"""What the commands share: options, consoles, the client, and how errors become messages and exit codes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from assay.client import Client
from assay.errors import AssayError, ConnectionFailed
from assay.exit_codes import of_error
from assay.study_file import StudyFile, parse


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
        return parse(path.read_bytes(), str(path))
    except OSError as error:
        raise typer.BadParameter(f"cannot read {path}: {error.strerror}") from error


def connect(url: str | None) -> Client:
    return Client(url)


def stdout() -> Console:
    """Data goes here."""
    return Console(highlight=False)


def stderr() -> Console:
    """Messages and progress go here."""
    return Console(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
