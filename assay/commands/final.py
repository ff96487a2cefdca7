"""`assay checks`, `assay finalize`, `assay predict`: what surrounds the search."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from assay import view
from assay.commands.common import AsJson, Name, Url, connect, print_json, stdout
from assay.errors import AssayError
from assay.wire import Finalization, Job

DOUBT = "cannot be told from the best"
CHOSEN = "best on validation"
KINDS = {"hyper_deep": "hyper-deep", "all": "all together"}


class Data(StrEnum):
    TRAIN = "train"
    BOTH = "train+validation"


def checks(name: Name, json: AsJson = False, url: Url = None) -> None:
    """Print what was found out before a study's first run: baseline, overfit gate, learning-rate range."""
    with connect(url) as client:
        found = [job for job in client.studies.jobs(name) if job["finalization"] == 0]
    if json:
        print_json(found)
        return
    view.print_table(stdout(), ("check", "state", "found"), ((job["kind"], job["state"], _found(job)) for job in found))


def finalize(
    name: Name,
    top: Annotated[int | None, typer.Option(min=1, help="Confirm so many of the best trials.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="With so many trainings each.")] = None,
    data: Annotated[Data | None, typer.Option(help="What the last training sees.")] = None,
    ensemble: Annotated[int | None, typer.Option(min=0, help="Of so many of the best runs; 0 makes none.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Where the model goes.", show_default="NAME.safetensors")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait for the end and download the model.")] = True,
    cancel: Annotated[bool, typer.Option("--cancel", help="End the finalization that is under way.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Even if the study has been finalized already.")] = False,
    json: AsJson = False,
    url: Url = None,
) -> None:
    """Confirm the best trials of a study with new seeds, train the best once more, test it once, keep the model."""
    with connect(url) as client:
        if cancel:
            typer.echo(f"finalization {client.studies.cancel_final(name)['number']} is cancelled", err=True)
            return
        begun = any(job["finalization"] for job in client.studies.jobs(name))
        if again or not begun or client.studies.final(name)["state"] == "cancelled":
            client.studies.finalize(
                name, top=top, seeds=seeds, data=None if data is None else data.value, ensemble=ensemble
            )
        if not wait:
            typer.echo(f"under way; look at it with: assay finalize {name}", err=True)
            return
        found = client.studies.wait_final(name, progress=Progress())
        if json:
            print_json(found)
        else:
            _print(found)
        if found["model"] is None:
            raise AssayError(f"there is no model: {_why(found)}")
        typer.echo(f"model: {client.studies.model(name, output)}", err=True)


def predict(
    model: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A model that `assay finalize` left.")],
    data: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="An NPZ with `inputs`, or a CSV of them.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A CSV file.", show_default="standard output")
    ] = None,
) -> None:
    """Answer new inputs with a model: one row each, of class probabilities or of numbers."""
    from assay.up import predict as answer

    lines = answer(model, data, lambda doubt: typer.echo(f"beware: {doubt}", err=True))
    if output is None:
        for line in lines:
            typer.echo(line)
    else:
        output.write_text("\n".join(lines) + "\n")


class Progress:
    """Says on stderr what a finalization is about, whenever that has changed."""

    def __init__(self) -> None:
        self._said = ""

    def __call__(self, parts: list[Job]) -> None:
        over = [job for job in parts if job["state"] not in ("pending", "running")]
        confirmed, of = (sum(job["kind"] == "confirm" for job in some) for some in (over, parts))
        rest = [job["kind"] for job in parts if job["kind"] != "confirm" and job not in over]
        now = (
            f"confirmed {confirmed} of {of} trainings"
            if confirmed < of
            else f"now: {' and '.join(rest)}"
            if rest
            else ""
        )
        if now and now != self._said:
            typer.echo(now, err=True)
            self._said = now


def _found(job: Job) -> str:
    if job["failure"]:
        return f"{job['failure']['class']}: {job['failure']['message']}"
    details = job["details"] or {}
    match job["kind"]:
        case "baseline" if details:
            return f"{details['name']}: {view.pairs(job['metrics'])}"
        case "overfit" if details:
            verdict = "yes" if details["passed"] else f"no: {details['why']}"
            return (
                f"learns {details['examples']} examples by heart: {verdict} ({details['score']} "
                f"{view.number(details['value'])} after {details['epochs']} epochs, {details['seconds']:.1f} s)"
            )
        case "lr_range" if details:
            end = view.number(details["diverged"]) if details["diverged"] else "nowhere"
            return f"search lr from {view.number(details['low'])} to {view.number(details['high'])} (diverges at {end})"
        case _:
            return ""


def _print(found: Finalization) -> None:
    metric = found["metric"]
    rows = (
        (
            str(one["trial"]),
            view.number(one["mean"]) + ("" if one["half_width"] is None else f" ± {view.number(one['half_width'])}"),
            str(len(one["scores"])),
            "best" if place == 0 else DOUBT if one["tied"] else "",
            view.pairs(one["config"]),
        )
        for place, one in enumerate(found["ranking"])
    )
    view.print_table(stdout(), ("trial", metric, "trainings", "", "config"), rows)
    if found["test"]:
        typer.echo(f"test: {view.pairs(found['test'])}")
    if found["ensemble"]:
        _print_ensembles(found["ensemble"])
        for name, one in (found["ensemble"].get("calibration") or {}).items():
            typer.echo(
                f"calibration of the {name}: nll {view.number(one['nll'])}, ece {view.number(one['ece'])}; at "
                f"temperature {view.number(one['temperature'])}: nll {view.number(one['scaled']['nll'])}, ece "
                f"{view.number(one['scaled']['ece'])}"
            )
    for failure in found["failures"]:
        typer.echo(failure, err=True)


def _print_ensembles(found: Mapping[str, Any]) -> None:
    """The best single network and every kind of ensemble, on the split that chose and on the one that did not."""
    names = list(found["single"])
    kinds = found.get("kinds") or [{"kind": "all", "networks": len(found["members"]), "scores": found["ensemble"]}]
    chosen = found.get("chosen", "all")
    rows = [("single network", "1", found["single"], f"of trial {found.get('best', '?')}")]
    rows += [
        (
            KINDS.get(one["kind"], one["kind"]),
            str(one["networks"]),
            one["scores"],
            CHOSEN if one["kind"] == chosen else "",
        )
        for one in kinds
    ]
    view.print_table(
        stdout(),
        ("ensemble", "networks", *names, ""),
        ((kind, count, *(view.number(scores.get(name)) for name in names), mark) for kind, count, scores, mark in rows),
    )
    members = ", ".join(f"{_member(one)} ({one['weight']:.0%})" for one in found["members"])
    typer.echo(f"the chosen ensemble: trial {members}")


def _member(member: Mapping[str, Any]) -> str:
    snapshot = member.get("snapshot")
    of = f" seed {member['seed']}" if member.get("source") == "confirmation" else ""
    return f"{member['trial']}{of}" + ("" if snapshot is None else f" snapshot {snapshot + 1}")


def _why(found: Finalization) -> str:
    if found["state"] == "cancelled":
        return "the finalization was cancelled; `assay finalize` begins anew"
    return "; ".join(found["failures"]) or "no confirmation has a result"
