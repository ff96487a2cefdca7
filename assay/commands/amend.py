"""`assay study enqueue`, `add-trial`, `invalidate`, `note`, `priority`: what people add to a study."""

from __future__ import annotations

import json as jsonlib
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from assay import view
from assay.commands.common import AsJson, Name, Url, connect, numbers, pairs, print_json, stdout
from assay.errors import FieldProblem, Invalid, StudyFileInvalid
from assay.study_file import scalar
from assay.wire import Trial, Wish

Config = Annotated[list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", show_default=False)]
TrialNumber = Annotated[int, typer.Argument(metavar="TRIAL", min=0, help="The trial's number.", show_default=False)]
OfTrial = Annotated[int | None, typer.Option("--trial", min=0, help="Of this trial.", show_default=False)]

_ITEM = re.compile(r"/configs/([0-9]+)")


class Failure(StrEnum):
    ERROR = "error"
    DIVERGED = "diverged"
    INFEASIBLE = "infeasible"
    OOM = "oom"
    TIMEOUT = "timeout"


def enqueue(
    name: Name,
    config: Config = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "-f", "--file", help="Configs as JSON, one per line; - reads from standard input.", show_default=False
        ),
    ] = None,
    json: AsJson = False,
    url: Url = None,
) -> None:
    """Have configs tried before what the search would try next: one by its values (lr=0.1 width=64), or a file of them.

    Prints the place of each in the queue. If one is not of the space, none is enqueued.
    """
    if bool(config) == (file is not None):
        raise typer.BadParameter("say what to try: lr=0.1 width=64, or --file configs.jsonl")
    listed = _read(file) if file is not None else Listed("", [_config(config)], [0])
    with connect(url) as client:
        try:
            wishes = client.studies.enqueue(name, listed.configs)
        except Invalid as error:
            raise listed.explain(error) if file is not None else error from error
    if json:
        print_json(wishes)
    else:
        for wish in wishes:
            typer.echo(wish["number"])


def enqueued(name: Name, json: AsJson = False, url: Url = None) -> None:
    """List what was enqueued, and which run tries it."""
    with connect(url) as client:
        wishes = client.studies.enqueued(name)
    if json:
        print_json(wishes)
    else:
        view.print_table(stdout(), ("number", "run", "author", "config"), map(_row, wishes))


def add_trial(
    name: Name,
    config: Config = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=NUMBER", help="A result; may be given many times.", show_default=False),
    ] = None,
    fidelity: Annotated[
        float | None, typer.Option(help="How far it was trained.", show_default="to the highest")
    ] = None,
    failure: Annotated[Failure | None, typer.Option(help="How it failed.", show_default=False)] = None,
    json: AsJson = False,
    url: Url = None,
) -> None:
    """Add a trial that was carried out elsewhere, for the search to learn from, and print its number."""
    values, metrics = _config(config), numbers(metric)
    if bool(metrics) == (failure is not None):
        raise typer.BadParameter("say what came of it: --metric val_loss=0.2, or --failure oom")
    with connect(url) as client:
        trial = client.studies.add_trial(name, values, metrics or None, fidelity, failure.value if failure else None)
    if json:
        print_json(trial)
    else:
        typer.echo(trial["number"])


def invalidate(
    name: Name,
    trial: TrialNumber,
    reason: Annotated[str, typer.Option(help="Why; it is kept with the trial.", show_default=False)],
    json: AsJson = False,
    url: Url = None,
) -> None:
    """Take the results of a trial out: they are kept, but count for nothing any more."""
    with connect(url) as client:
        changed = client.studies.invalidate(name, trial, reason)
    if json:
        print_json(changed)
    else:
        typer.echo(_out(changed), err=True)


def note(
    name: Name,
    text: Annotated[str, typer.Argument(help="What to write down; - reads from standard input.", show_default=False)],
    trial: OfTrial = None,
    json: AsJson = False,
    url: Url = None,
) -> None:
    """Write something down about a study, or about one of its trials."""
    with connect(url) as client:
        written = client.studies.note(name, sys.stdin.read().strip() if text == "-" else text, trial)
    if json:
        print_json(written)
    else:
        typer.echo(f"note {written['id']} is written", err=True)


def notes(name: Name, trial: OfTrial = None, json: AsJson = False, url: Url = None) -> None:
    """List the notes, oldest first."""
    with connect(url) as client:
        found = list(client.studies.notes(name, trial=trial))
    if json:
        print_json(found)
        return
    rows = ((view.number(one["trial"]), one["author"], one["created_at"], one["text"]) for one in found)
    view.print_table(stdout(), ("trial", "author", "created", "text"), rows)


def priority(
    name: Name,
    number: Annotated[
        int, typer.Argument(metavar="N", min=-4, max=4, help="From -4 to 4; each step doubles.", show_default=False)
    ],
    json: AsJson = False,
    url: Url = None,
) -> None:
    """Change a study's share of the workers: each step up doubles it, from now on."""
    with connect(url) as client:
        study = client.studies.change(name, priority=number)
    if json:
        print_json(study)
    else:
        typer.echo(f"{study['name']} has the priority {study['priority']}", err=True)


@dataclass(frozen=True)
class Listed:
    """Configs of a file, with the line of each."""

    name: str
    configs: Sequence[Mapping[str, Any]]
    lines: Sequence[int]

    def explain(self, error: Invalid) -> StudyFileInvalid:
        """The service's refusal with the line before every problem."""
        return StudyFileInvalid(*map(self._place, error.errors or [FieldProblem("", "", error.detail or error.title)]))

    def _place(self, problem: FieldProblem) -> str:
        found = _ITEM.match(problem.pointer)
        if not found or int(found[1]) >= len(self.lines):
            return f"{self.name}: {problem}"
        path = problem.path.partition("]")[2].lstrip(".")
        return f"{self.name}:{self.lines[int(found[1])]}: {FieldProblem(path, '', problem.message)}"


def _read(file: Path) -> Listed:
    name = "<stdin>" if str(file) == "-" else str(file)
    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"cannot read {file}: {error.strerror}") from error
    configs, lines = [], []
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            config = jsonlib.loads(line, parse_constant=_not_json)
        except (ValueError, RecursionError) as error:
            raise StudyFileInvalid(f"{name}:{number}: is not JSON: {error}") from error
        if not isinstance(config, dict):
            raise StudyFileInvalid(f'{name}:{number}: a config is an object, such as {{"lr": 0.1}}')
        configs.append(config)
        lines.append(number)
    if not configs:
        raise StudyFileInvalid(f"{name}: has no configs")
    return Listed(name, configs, lines)


def _not_json(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number there")


def _config(given: Sequence[str] | None) -> dict[str, Any]:
    return pairs(given or (), _value, "lr=0.1")


def _value(text: str) -> Any:
    value = scalar(text)
    if value is None:
        raise ValueError("has no value")
    return value


def _row(wish: Wish) -> tuple[str, ...]:
    return str(wish["number"]), view.number(wish["run"]), wish["author"], view.pairs(wish["config"])


def _out(trial: Trial) -> str:
    taken = trial["invalidated"]
    assert taken is not None
    return f"trial {trial['number']} counts for nothing any more: {taken['reason']} ({taken['by']})"
