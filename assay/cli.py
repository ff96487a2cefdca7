"""The command line: `assay`. Data goes to stdout, messages to stderr; the exit codes are in `assay.exit_codes`."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from assay.commands import (
    access,
    amend,
    architecture,
    data,
    doctor,
    final,
    replay,
    results,
    revise,
    serve,
    study,
    transfer,
    webhooks,
    work,
)
from assay.commands.common import Commands, RootProject, RootToken, RootUrl, say_who
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
study.app.command("enqueue")(amend.enqueue)
study.app.command("enqueued")(amend.enqueued)
study.app.command("add-trial")(amend.add_trial)
study.app.command("invalidate")(amend.invalidate)
study.app.command("note")(amend.note)
study.app.command("notes")(amend.notes)
study.app.command("revise")(revise.revise)
study.app.command("priority", context_settings={"ignore_unknown_options": True})(amend.priority)  # -2 is a number
app.add_typer(study.app, name="study")
app.command("trials")(results.trials)
app.command("watch")(results.watch)
app.command("best")(results.best)
app.command("front")(results.front)
app.command("architecture")(architecture.architecture)
app.command("trust")(architecture.trust)
app.command("events")(webhooks.events)
app.command("artifacts")(data.artifacts)
app.command("logs")(data.logs)
app.add_typer(data.app, name="dataset")
app.command("claim")(work.claim)
app.command("report")(work.report)
app.command("complete")(work.complete)
app.command("fail")(work.fail)
app.command("checks")(final.checks)
app.command("finalize")(final.finalize)
app.command("predict")(final.predict)
app.command("replay")(replay.replay)
app.command("export")(transfer.export)
app.command("import")(transfer.import_)
app.add_typer(webhooks.app, name="webhook")
app.add_typer(access.projects, name="project")
app.add_typer(access.tokens, name="token")
app.command("audit")(access.audit)
app.command("whoami")(access.whoami)
app.command("demo")(serve.demo)
app.command("doctor")(doctor.doctor)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"assay {version('assay')}")
        raise typer.Exit


@app.callback()
def root(
    url: RootUrl = None,
    token: RootToken = None,
    project: RootProject = None,
    version_: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    # `url` is read by the commands' own --url, which falls back to this one.
    del url, version_
    say_who(token, project)


def main() -> None:
    """The entry point."""
    app()
