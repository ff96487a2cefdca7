"""`assay study ...`: create, list, show, pause, resume, cancel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.text import Text

from assay import view
from assay.commands.common import AsJson, File, Name, Url, connect, print_json, read_study, stderr, stdout
from assay.commands.revise import Yes, create_in_range
from assay.errors import Invalid
from assay.exit_codes import ExitCode
from assay.study_file import dump
from assay.watching import watch
from assay.wire import Study

_OPTIONAL = ("replicates", "warm_start", "priority")
_DECLARED = ("objective", "algorithm", "metrics", "budget", *_OPTIONAL, "parallelism", "resources", "seed", "space")

app = typer.Typer(
    no_args_is_help=True, help="Create studies, look at them, add to them, and pause, resume or cancel them."
)


@app.command()
def create(
    file: File,
    name: Annotated[str | None, typer.Option(help="Use this name instead of the file's.")] = None,
    lr_range: Annotated[
        bool, typer.Option("--lr-range", help="Search the learning rates that a range test finds; it is shown first.")
    ] = False,
    yes: Yes = False,
    wait: Annotated[bool, typer.Option("--wait", help="Show progress and return when the study has ended.")] = False,
    json: AsJson = False,
    url: Url = None,
) -> None:
    """Submit a study and print its name.

    What is legal in it but hardly meant is told on stderr, as advice.

    With --lr-range a first study, NAME-range, runs the checks, and ends when the range is shown.

    With --wait the exit code is 7 if the study failed or was cancelled. An interrupted wait leaves the study running.
    """
    source = read_study(file)
    with connect(url) as client:
        given = {**source.study, **({"name": name} if name else {})}
        try:
            study = create_in_range(client, given, yes) if lr_range else client.studies.create(given)
        except Invalid as error:
            raise source.explain(error) from error
        for advice in study["advice"]:
            typer.echo(f"advice: {source.remark(advice)}", err=True)
        if wait:
            study = watch(client, study["name"], stderr())
    if json:
        print_json(study)
    else:
        typer.echo(study["name"])
    if wait:
        raise typer.Exit(outcome(study))


@app.command("list")
def list_(json: AsJson = False, url: Url = None) -> None:
    """List all studies."""
    with connect(url) as client:
        studies = list(client.studies.list())
    if json:
        print_json(studies)
    else:
        columns = ("name", "state", "algorithm", "runs", "best", "created")
        view.print_table(stdout(), columns, map(_row, studies))


@app.command()
def show(name: Name, json: AsJson = False, url: Url = None) -> None:
    """Show one study: its state, its progress and its declaration."""
    with connect(url) as client:
        study = client.studies.get(name)
    if json:
        print_json(study)
    else:
        typer.echo("\n".join(_lines(study)))


@app.command()
def pause(name: Name, url: Url = None) -> None:
    """Start no new runs; running ones go on to their end."""
    with connect(url) as client:
        _say(client.studies.pause(name))


@app.command()
def resume(name: Name, url: Url = None) -> None:
    """Go on with a paused study."""
    with connect(url) as client:
        _say(client.studies.resume(name))


@app.command()
def cancel(name: Name, url: Url = None) -> None:
    """End a study and its runs, for good. Results stay."""
    with connect(url) as client:
        _say(client.studies.cancel(name))


def outcome(study: Study) -> ExitCode:
    """The exit code for a study that was waited for."""
    return ExitCode.OK if study["state"] == "completed" else ExitCode.STUDY_FAILED


def _say(study: Study) -> None:
    typer.echo(f"{study['name']} is {study['state']}", err=True)


def _row(study: Study) -> tuple[str | Text, ...]:
    best = view.incumbent(study, study["best"]) if study["best"] else ""
    return (
        study["name"],
        view.state(study["state"]),
        study["algorithm"]["name"],
        view.headline(study),
        best,
        study["created_at"],
    )


def _lines(study: Study) -> Iterator[str]:
    reason = f" ({study['reason']})" if study["reason"] else ""
    yield f"name:       {study['name']}"
    yield f"state:      {study['state']}{reason}"
    yield f"runs:       {view.headline(study)}, {study['counts']['trials']} trials"
    yield f"time:       {view.duration(study['spent']['seconds'])} active, created {study['created_at']}"
    if study["waiting"]:
        yield f"waiting:    {study['waiting']}"
    if study["best"]:
        yield f"best:       {view.incumbent(study, study['best'])}"
        yield f"            {view.pairs(study['best']['config'])}"
    if study["test"]:
        yield f"test:       {view.pairs(study['test']['metrics'])} (trial {study['test']['trial']})"
    for advice in study["advice"]:
        yield f"advice:     {advice['path']}: {advice['message']}"
    declared: dict[str, Any] = dict(study)
    for key in _DECLARED:
        if declared[key] or key not in _OPTIONAL:
            yield dump({key: declared[key]}).rstrip()
