"""`assay trials`, `assay best`, `assay front`, `assay watch`: what a study has found."""

from __future__ import annotations

from enum import StrEnum
from itertools import islice
from typing import Annotated

import typer

from assay import view
from assay.commands.common import AsJson, Name, Url, connect, print_json, stdout
from assay.commands.study import outcome
from assay.env_format import env_lines
from assay.study_file import dump
from assay.watching import watch as watch_study


class Format(StrEnum):
    YAML = "yaml"
    JSON = "json"
    ENV = "env"


class TrialState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    CANCELLED = "cancelled"


def trials(
    name: Name,
    state: Annotated[TrialState | None, typer.Option(help="Only trials in this state.", show_default=False)] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many.", show_default=False)] = None,
    json: AsJson = False,
    url: Url = None,
) -> None:
    """List the trials of a study."""
    with connect(url) as client:
        study = client.studies.get(name)
        found = list(islice(client.studies.trials(name, state=state), limit))
    if json:
        print_json(found)
        return
    fidelity = study["space"].get("fidelity", {}).get("name", "fidelity")
    columns = ("trial", "state", fidelity, "runs", "metrics", "config", "failure", "invalidated")
    view.print_table(
        stdout(),
        columns,
        (
            (
                str(trial["number"]),
                view.state(trial["state"]),
                view.number(trial["fidelity"]),
                str(len(trial["runs"])),
                view.pairs(view.declared(study, trial["metrics"])),
                view.pairs(trial["config"]),
                f"{trial['failure']['class']}: {trial['failure']['message']}" if trial["failure"] else "",
                trial["invalidated"]["reason"] if trial["invalidated"] else "",
            )
            for trial in found
        ),
    )


def best(
    name: Name,
    format_: Annotated[
        Format, typer.Option("--format", help="yaml and json print the whole; env the config.")
    ] = Format.YAML,
    prefix: Annotated[str, typer.Option(help="Put before every name, with --format env.")] = "",
    url: Url = None,
) -> None:
    """Print the best config of a study, its metrics and where they come from.

    Exit code 4 while no run has succeeded. --format env prints lines that a shell can source: LR=0.01
    """
    with connect(url) as client:
        found = client.studies.best(name)
    match format_:
        case Format.JSON:
            print_json(found)
        case Format.YAML:
            typer.echo(dump(found), nl=False)
        case Format.ENV:
            typer.echo("\n".join(env_lines(found["config"], prefix)))


def front(name: Name, json: AsJson = False, url: Url = None) -> None:
    """List the results that no other one dominates (the Pareto front), the best first by the first metric.

    With a single metric to optimise these are the best ones. --json adds the hypervolume.
    """
    with connect(url) as client:
        study = client.studies.get(name)
        found = client.studies.front(name)
    if json:
        print_json(found)
        return
    fidelity = study["space"].get("fidelity", {}).get("name", "fidelity")
    view.print_table(
        stdout(),
        ("trial", "run", fidelity, "metrics", "config", "remarks"),
        (
            (
                str(leader["trial"]),
                str(leader["run"]),
                view.number(leader["fidelity"]),
                view.pairs(view.declared(study, leader["metrics"])),
                view.pairs(leader["config"]),
                view.standing(leader),
            )
            for leader in found["items"]
        ),
    )


def watch(name: Name, url: Url = None) -> None:
    """Follow a study live until it has ended; the exit code is 7 if it failed or was cancelled."""
    with connect(url) as client:
        study = watch_study(client, name, stdout())
    raise typer.Exit(outcome(study))
