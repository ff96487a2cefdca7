"""`assay up` and `assay demo`: the service itself."""

from __future__ import annotations

import signal
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from assay.commands.common import read_study, stderr, stdout
from assay.exit_codes import ExitCode


class Pool(StrEnum):
    RAY = "ray"
    LOCAL = "local"


class Part(StrEnum):
    API = "api"
    DISPATCHER = "dispatcher"


DataDir = Annotated[
    Path | None,
    typer.Option(file_okay=False, help="The database and the checkpoints.", show_default="./assay-data"),
]
PoolOption = Annotated[
    Pool | None, typer.Option(help="Where runs execute: on Ray, or in this process.", show_default="ray")
]
Config = Annotated[
    Path | None,
    typer.Option(dir_okay=False, help="A file of settings (TOML or YAML).", show_default="$ASSAY_CONFIG_FILE"),
]
WorkersOption = Annotated[int | None, typer.Option(min=1, help="How many runs at once.", show_default="one per CPU")]


def up(
    host: Annotated[str | None, typer.Option(help="The address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="The port to listen on; 0 takes a free one.", show_default="8080"),
    ] = None,
    data_dir: DataDir = None,
    pool: PoolOption = None,
    workers: WorkersOption = None,
    database_url: Annotated[
        str | None, typer.Option(help="The database.", show_default="SQLite in the data directory")
    ] = None,
    only: Annotated[Part | None, typer.Option(help="Only this part of the service.", show_default="all of it")] = None,
    api_workers: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="How many processes answer requests, with --only api.", show_default="1"),
    ] = None,
    config: Config = None,
) -> None:
    """Start the service: API, dashboard, dispatcher and workers. Ctrl-C stops all of it.

    Studies that were running when the service ended, however it ended, go on. Every option, and many more settings, can
    be given by the environment (ASSAY_PORT, ASSAY_ROLE, ...) and in a file too: see docs/settings.md.
    """
    from assay.up import up as serve

    serve(
        config,
        host=host,
        port=port,
        data_dir=data_dir,
        pool=pool,
        workers=workers,
        database_url=database_url,
        role=only,
        api_workers=api_workers,
    )


def demo(
    file: Annotated[
        Path, typer.Argument(help="The study, as YAML or JSON; - reads from standard input.", show_default=False)
    ],
    exit_: Annotated[bool, typer.Option("--exit", help="Shut everything down when the study has ended.")] = False,
    port_from: Annotated[int, typer.Option(min=1, max=65535, help="Use the first free port from here.")] = 8080,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            file_okay=False, help="The database and the checkpoints.", show_default="a new directory below ./assay-data"
        ),
    ] = None,
    pool: PoolOption = None,
    workers: WorkersOption = None,
) -> None:
    """Start a service, run a study on it and show what it finds.

    Keeps serving until Ctrl-C, so that you can look at the dashboard. The exit code is 7 if the study did not complete.
    """
    from assay.demo import Demo

    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _terminate)
    demonstration = Demo(read_study(file), port_from, data_dir, pool, workers, stdout(), stderr())
    raise typer.Exit(demonstration.run(keep_serving=not exit_))


def _terminate(signum: int, frame: object) -> None:
    # As an exception, so that the service is taken down on the way out.
    raise typer.Exit(ExitCode.INTERRUPTED if signum == signal.SIGINT else 128 + signum)
