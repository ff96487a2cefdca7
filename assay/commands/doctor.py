"""`assay doctor`: is everything here that the service needs?"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from assay.commands.common import print_json
from assay.commands.serve import Config, DataDir, Part, Pool
from assay.exit_codes import ExitCode

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(
    config: Config = None,
    data_dir: DataDir = None,
    database_url: Annotated[
        str | None, typer.Option(help="The database.", show_default="SQLite in the data directory")
    ] = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="The port.", show_default="8080")] = None,
    pool: Annotated[Pool | None, typer.Option(help="Where runs execute.", show_default="ray")] = None,
    only: Annotated[Part | None, typer.Option(help="Only for this part of the service.", show_default="all")] = None,
    ray: Annotated[bool, typer.Option("--ray", help="Try Ray too, which takes up to a minute.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look whether the service can work here: packages, settings, database, disk, ports, Ray; and say what to fix.

    Takes the same settings as assay up, from the same places, and changes nothing. Exit code 1 if anything fails.
    """
    from assay.up import doctor as examine

    findings = examine(
        config,
        ray=ray,
        data_dir=data_dir,
        database_url=database_url,
        host=host,
        port=port,
        pool=pool,
        role=only,
    )
    well = all(finding.level != "fail" for finding in findings)
    if json:
        print_json({"ok": well, "checks": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            level = typer.style(f"{finding.level:<5}", fg=_COLOURS[finding.level])
            typer.echo(f"{level} {finding.check:<13} {finding.message}")
            if finding.advice:
                typer.echo(f"{'':<19} -> {finding.advice}")
    raise typer.Exit(ExitCode.OK if well else ExitCode.ERROR)
