"""`assay replay`: what a study has decided, and whether the search decides it again."""

from __future__ import annotations

from collections.abc import Mapping
from json import dumps
from typing import Annotated, Any

import typer
from rich.progress import Progress

from assay import view
from assay.client import Client
from assay.commands.common import AsJson, Name, Url, connect, print_json, stderr, stdout
from assay.exit_codes import ExitCode
from assay.wire import Difference, Run, Verification

_DECIDED = (
    "number", "trial", "kind", "bracket", "rung", "replicate", "fidelity", "resume_from", "config", "origin",
    "stopped_by",
)  # fmt: skip
_ROWS = 20  # fields that are shown of a difference
_LEADS = {
    "suggestion": "run {run} is not what the search suggests",
    "stop": "run {run} was not stopped as the rule says",
    "end": "the study has ended, but the search suggests run {run}",
    "order": "what happens to run {run} is out of order",
}


def replay(
    name: Name,
    verify: Annotated[
        bool, typer.Option("--verify", help="Derive every decision again and name the first difference.")
    ] = False,
    json: AsJson = False,
    url: Url = None,
) -> None:
    """List what a study has decided, in order: what to run, by which rule, with what probabilities.

    With --verify the service derives every suggestion and every stop again from what is stored before it, which may
    take as long as all of them took. Exit code 1 when a decision is another one than is stored.
    """
    with connect(url) as client:
        if verify:
            result = _verify(client, name)
        else:
            study = client.studies.get(name)
            runs = list(client.studies.runs(name))
    if not verify:
        _list(study["space"].get("fidelity", {}).get("name"), runs, json)
        return
    if json:
        print_json(result)
    else:
        _tell(name, result)
    raise typer.Exit(ExitCode.OK if result["verified"] else ExitCode.ERROR)


def _verify(client: Client, name: str) -> Verification:
    console = stderr()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("events", total=None)
        return client.studies.verify(name, lambda done, of: bar.update(task, completed=done, total=of))


def _list(fidelity: str | None, runs: list[Run], json: bool) -> None:
    if json:
        print_json([{key: value for key, value in run.items() if key in _DECIDED} for run in runs])
        return
    columns = ("run", "trial", "slot", fidelity or "", "goes on from", "rule", "probabilities", "why", "config", "stop")
    view.print_table(stdout(), columns, (_row(fidelity, run) for run in runs))


def _row(fidelity: str | None, run: Run) -> tuple[str, ...]:
    origin = dict(run["origin"])
    rule, chances = origin.pop("rule", ""), origin.pop("probabilities", None)
    slot = f"{run['bracket']}/{run['rung']}" if fidelity else ""
    repeated = f"replicate {run['replicate']}" if run["replicate"] else ""
    return (
        str(run["number"]),
        str(run["trial"]),
        " ".join(filter(None, (slot, repeated))),
        view.number(run["fidelity"]),
        view.number(run["resume_from"]),
        str(rule),
        view.pairs(chances),
        view.pairs(origin),
        view.pairs(run["config"]),
        _stop(run["stopped_by"]),
    )


def _stop(said: Mapping[str, Any] | None) -> str:
    return f"{said.get('rule')} at {view.value_text(said.get('step'))}" if said else ""


def _tell(name: str, result: Verification) -> None:
    again = f"{_count(result['runs'], 'suggestion')} and {_count(result['stops'], 'stop')}"
    difference = result["difference"]
    if difference is None:
        typer.echo(f"{name}: {again} derived again, all as stored")
        return
    lead = _LEADS[difference["decision"]].format(run=difference["run"])
    typer.echo(f"{name}: {lead}; {again} before it are as stored")
    _table(difference)
    if difference["rounding"]:
        typer.echo(
            "Only last digits differ, as on another machine or with other versions of numerical libraries.", err=True
        )


def _table(difference: Difference) -> None:
    fields = difference["fields"]
    view.print_table(
        stdout(),
        ("part", "stored", "derived", "apart by"),
        (
            (
                field["path"],
                _exactly(field["stored"]),
                _exactly(field["derived"]),
                "" if field["distance"] is None else f"{field['distance']:.1e}",
            )
            for field in fields[:_ROWS]
        ),
    )
    if len(fields) > _ROWS:
        typer.echo(f"and {len(fields) - _ROWS} more", err=True)


def _exactly(value: Any) -> str:
    """With all digits, since the last ones may be what differs."""
    return value if isinstance(value, str) else dumps(value, ensure_ascii=False)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
