"""`assay claim`, `assay report`, `assay complete`, `assay fail`: runs carried out by people, or by shell scripts."""

from __future__ import annotations

import getpass
from enum import StrEnum
from json import dumps
from typing import Annotated, Any, cast

import typer

from assay import view
from assay.commands.common import AsJson, Name, Url, connect, numbers, print_json
from assay.exit_codes import ExitCode
from assay.runs import FailureClass
from assay.wire import Run

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id, from its claim.", show_default=False)]
Token = Annotated[str, typer.Argument(metavar="TOKEN", help="The token, from its claim.", show_default=False)]
Metrics = Annotated[list[str] | None, typer.Argument(metavar="[METRIC=NUMBER]...", show_default=False)]


class Class(StrEnum):
    ERROR = "error"
    DIVERGED = "diverged"
    OOM = "oom"
    TIMEOUT = "timeout"
    PREEMPTED = "preempted"
    INFEASIBLE = "infeasible"


def claim(
    name: Name,
    worker: Annotated[
        str | None,
        typer.Option(
            help="Who carries the runs out; claiming again gives back what this worker has.", show_default="your name"
        ),
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=100, help="How many runs to have at most.")] = 1,
    lease: Annotated[float, typer.Option(min=1, help="Seconds of silence after which a run is given away.")] = 3600,
    no_lease: Annotated[bool, typer.Option("--no-lease", help="Take as long as you like.")] = False,
    json: AsJson = False,
    url: Url = None,
) -> None:
    """Claim runs of a study with an external objective: prints for each its id, its token and what to try.

    Exit code 4 when there is none just now; why is told on stderr.
    """
    who = worker or getpass.getuser()
    with connect(url) as client:
        claimed = client.studies.claim(name, who, count=count, lease_seconds=None if no_lease else lease)
    if json:
        print_json(claimed)
    for run in () if json else claimed["assignments"]:
        typer.echo(f"{run['id']} {run['token']} {dumps(run['config'])}{_how_far(cast(dict[str, Any], run))}")
    if claimed["reason"]:
        again = "" if claimed["retry_after"] is None else f"; there may be more in {claimed['retry_after']:g} s"
        typer.echo(f"{claimed['reason']}: {claimed['detail']}{again}", err=True)
    if not claimed["assignments"]:
        raise typer.Exit(ExitCode.NOT_FOUND)


def report(run: RunId, token: Token, metrics: Metrics = None, json: AsJson = False, url: Url = None) -> None:
    """Report metrics after a step, such as step=3 val_loss=0.2; without any, just say that you are still at it.

    Prints what the study wants: continue, stop or pause.
    """
    values = numbers(metrics)
    step = values.pop("step", None)
    if values and step is None:
        raise typer.BadParameter("say after which step: step=1")
    with connect(url) as client:
        heard = client.runs.beat(run, token) if step is None else client.runs.report(run, token, step, values)
    if json:
        print_json(heard)
    else:
        typer.echo(heard["answer"])


def complete(
    run: RunId,
    token: Token,
    metrics: Metrics = None,
    stopped: Annotated[bool, typer.Option("--stopped", help="It ended early, as it was told to.")] = False,
    json: AsJson = False,
    url: Url = None,
) -> None:
    """Tell the result of a run; without metrics those of its last report count."""
    values = numbers(metrics)
    with connect(url) as client:
        _say(client.runs.complete(run, token, values or None, stopped=stopped or None), as_json=json)


def fail(
    run: RunId,
    token: Token,
    message: Annotated[str, typer.Argument(help="What went wrong.", show_default=False)] = "",
    class_: Annotated[
        Class, typer.Option("--class", help="How; preempted hands the run back, for somebody else.")
    ] = Class.ERROR,
    json: AsJson = False,
    url: Url = None,
) -> None:
    """Tell that a run failed. Whether it is tried again is for the study's retry policy to say."""
    with connect(url) as client:
        if class_ is Class.INFEASIBLE:
            ended = client.runs.infeasible(run, token, message)
        else:
            ended = client.runs.fail(run, token, message, class_=cast(FailureClass, class_.value))
    _say(ended, as_json=json)


def _how_far(run: dict[str, Any]) -> str:
    fidelity, source = run["fidelity"], run["resume_from"]
    text = f" | {fidelity['name']} {view.number(fidelity['value'])}" if fidelity else ""
    return text + (f" | from {source['checkpoint']}" if source else "")


def _say(run: Run, *, as_json: bool) -> None:
    if as_json:
        print_json(run)
    else:
        failure = f" ({run['failure']['class']}: {run['failure']['message']})" if run["failure"] else ""
        typer.echo(f"run {run['number']} is {run['state']}{failure}", err=True)
