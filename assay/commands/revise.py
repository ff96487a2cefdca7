"""`assay study revise`, and `assay study create --lr-range`: what the checks found, brought into the space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import count
from typing import Annotated, Any

import typer

from assay import view
from assay.client import Client
from assay.commands.common import AsJson, Name, Url, connect, print_json
from assay.errors import AssayError, Conflict, NotFound
from assay.study_file import parse_mapping
from assay.wire import Proposal, Study

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def revise(
    name: Name,
    new: Annotated[str | None, typer.Option("--name", help="Of the new study.", show_default="NAME-revised")] = None,
    change: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CHANGE",
            help="'{narrow: lr, low: 0.001}'; may be given many times. Without it, what the checks propose.",
            show_default=False,
        ),
    ] = None,
    instead: Annotated[bool, typer.Option("--instead", help="End the old study, if it has not ended.")] = False,
    learn: Annotated[bool, typer.Option(help="Begin with the results of the old study, if it has ended.")] = True,
    yes: Yes = False,
    json: AsJson = False,
    url: Url = None,
) -> None:
    """Begin a study over again in a changed space, and print the new one's name.

    The old one stays as it is, unless it shall end: what was found in one space is not read in another.
    """
    with connect(url) as client:
        if change:
            changes = [parse_mapping(text.encode(), "--change", "a change is a mapping").study for text in change]
        else:
            proposal = client.studies.proposal(name)
            if not proposal["changes"]:
                raise AssayError(f"there is nothing to change: {proposal['why']}")
            show(proposal)
            if not yes:
                typer.confirm("Begin a study with this range?", abort=True, err=True)
            changes = proposal["changes"]
        study = client.studies.revise(name, new or f"{name}-revised", changes, instead=instead, learn=learn)
    if json:
        print_json(study)
    else:
        typer.echo(study["name"])


def create_in_range(client: Client, study: Mapping[str, Any], yes: bool) -> Study:
    """The study of a file with the range of the learning rate that a first one finds, which runs nothing but checks."""
    asked = study.get("checks", True)
    if asked is False or (isinstance(asked, Mapping) and not asked.get("lr_range", True)):
        raise AssayError("--lr-range asks for the range test that the study turns off (checks)")
    first = {
        **study,
        "name": _free(client, f"{study.get('name')}-range"),
        "checks": {**(asked if isinstance(asked, Mapping) else {}), "pause": True},
    }
    name = client.studies.create(first)["name"]
    try:
        client.studies.wait_range(name)
        proposal = client.studies.proposal(name)
        if not proposal["changes"]:
            typer.echo(f"the space stays as it is: {proposal['why']}", err=True)
        else:
            show(proposal)
            if yes or typer.confirm("Search this range?", default=True, err=True):
                return client.studies.revise(name, str(study.get("name")), proposal["changes"])
    finally:
        with suppress(Conflict):  # it has ended by itself
            client.studies.cancel(name)
    return client.studies.create(study)


def _free(client: Client, wanted: str) -> str:
    """The name, or the first of NAME-2, NAME-3, ... that no study has."""
    for number in count(1):
        name = wanted if number == 1 else f"{wanted}-{number}"
        try:
            client.studies.get(name)
        except NotFound:
            break
    return name


def show(proposal: Proposal) -> None:
    for parameter in proposal["parameters"]:
        before, after = parameter["before"] or {}, parameter["after"] or {}
        typer.echo(f"{parameter['name']}: {', '.join(_moves(before, after))}", err=True)
    typer.echo(f"proposed by {proposal['why']}", err=True)


def _moves(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """`0.0001 to 0.3 becomes 0.004 to 0.1`, and likewise what else is another."""
    if (before.get("low"), before.get("high")) != (after.get("low"), after.get("high")):
        yield f"{_range(before)} becomes {_range(after)}"
    for key in sorted({*before, *after} - {"low", "high"}):
        if before.get(key) != after.get(key):
            yield f"{key} {_text(before.get(key))} becomes {_text(after.get(key))}"


def _range(parameter: Mapping[str, Any]) -> str:
    return f"{_text(parameter.get('low'))} to {_text(parameter.get('high'))}"


def _text(value: Any) -> str:
    return "none" if value is None else view.value_text(value)
