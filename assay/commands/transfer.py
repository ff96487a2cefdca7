"""`assay export`, `assay import`: studies as files."""

from __future__ import annotations

import shutil
import sys
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from assay.commands.common import AsJson, Name, Url, connect, print_json

STDIN = Path("-")


class Format(StrEnum):
    JSONL = "jsonl"
    CSV = "csv"


class Rows(StrEnum):
    TRIALS = "trials"
    RUNS = "runs"
    REPORTS = "reports"


def export(
    name: Name,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A file or folder.", show_default="standard output")
    ] = None,
    format_: Annotated[
        Format, typer.Option("--format", help="jsonl: all of it, to be imported again; csv: a table.")
    ] = Format.JSONL,
    of: Annotated[Rows, typer.Option("--of", help="What the rows of a table are.")] = Rows.TRIALS,
    url: Url = None,
) -> None:
    """Write a study to a file: everything that is known of it as JSON lines, or a table as CSV.

    With -o the file is there as a whole, or as it was. What broke off on standard output has no end, and is refused by
    assay import.
    """
    with connect(url) as client:
        if output is not None:
            typer.echo(client.studies.export(name, output, format=format_.value, of=of.value), err=True)
            return
        sys.stdout.flush()
        client.studies.write_export(name, sys.stdout.buffer, format=format_.value, of=of.value)
        sys.stdout.buffer.flush()


def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="What assay export wrote; - reads it from standard input.")
    ],
    name: Annotated[
        str | None, typer.Option("--name", help="What the study is called here.", show_default="its own name")
    ] = None,
    json: AsJson = False,
    url: Url = None,
) -> None:
    """Make a study of an exported one and print its name.

    The file is checked as a whole: when anything is wrong, nothing is stored. A study that had not ended is paused;
    assay study resume goes on with it.
    """
    if file != STDIN and not file.is_file():
        raise typer.BadParameter(f"there is no file {file}", param_hint="FILE")
    with connect(url) as client, tempfile.TemporaryDirectory(prefix="assay-") as folder:
        if file == STDIN:
            file = Path(folder) / "study.jsonl"
            with file.open("wb") as copy:
                shutil.copyfileobj(sys.stdin.buffer, copy)
        study = client.studies.import_(file, name=name)
    if json:
        print_json(study)
    else:
        typer.echo(study["name"])
