"""The command line: `assay`. Data goes to stdout, messages to stderr; the exit codes are in `assay.exit_codes`."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from assay.commands import replay, results, serve, study
from assay.commands.common import Commands, RootUrl
from assay.exit_codes import MEANINGS

_EXIT_CODES = "\n\n".join(["Exit codes:", *(f"{code.value:>3}  {meaning}" for code, meaning in MEANINGS.items())])

app = typer.Typer(
    name="assay",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a traceback is a bug report or a line in a log: plain
    epilog=_EXIT_CODES,
    help="Self-hosted AutoML: hyperparameter optimization and neural architecture search over HTTP.",
)
app.command("up")(serve.up)
app.add_typer(study.app, name="study")
app.command("trials")(results.trials)
app.command("watch")(results.watch)
app.command("best")(results.best)
app.command("front")(results.front)
app.command("replay")(replay.replay)
app.command("demo")(serve.demo)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"assay {version('assay')}")
        raise typer.Exit


@app.callback()
def root(
    url: RootUrl = None,
    version_: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    # `url` is read by the commands' own --url, which falls back to this one.
    del url, version_


def main() -> None:
    """The entry point."""
    app()
