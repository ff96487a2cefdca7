"""`assay dataset ...`, `assay artifacts`, `assay logs`: files that go into studies, and files that come out."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path, PurePath
from typing import Annotated

import typer

from assay import view
from assay.commands.common import AsJson, Name, Url, connect, print_json, stdout
from assay.wire import Artifact, Dataset

app = typer.Typer(no_args_is_help=True, help="Upload datasets, look at them, download and delete them.")

DatasetName = Annotated[str, typer.Argument(metavar="DATASET", help="The dataset's name.", show_default=False)]
Run = Annotated[int, typer.Argument(metavar="RUN", min=0, help="The number of the run.", show_default=False)]


class Format(StrEnum):
    CSV = "csv"
    PARQUET = "parquet"
    NPZ = "npz"


class Kind(StrEnum):
    CHECKPOINT = "checkpoint"
    LOG = "log"
    PLOT = "plot"
    FILE = "file"


@app.command()
def upload(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A CSV, Parquet or NPZ file.")],
    name: Annotated[str | None, typer.Option(help="The name for studies.", show_default="the file's")] = None,
    target: Annotated[str | None, typer.Option(help="The column that is to be predicted.", show_default=False)] = None,
    format_: Annotated[
        Format | None, typer.Option("--format", help="What the file is.", show_default="as its suffix says")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of the dataset of that name.")] = False,
    json: AsJson = False,
    url: Url = None,
) -> None:
    """Upload a dataset and print its name. The same file again is no error."""
    if format_ is None and file.suffix.lower().removeprefix(".") not in list(Format):
        raise typer.BadParameter(f"{file.name} does not say what it is: give --format", param_hint="--format")
    with connect(url) as client:
        dataset = client.datasets.upload(file, name=name, target=target, format=format_, replace=replace)
    if json:
        print_json(dataset)
    else:
        typer.echo(dataset["name"])


@app.command("list")
def list_(json: AsJson = False, url: Url = None) -> None:
    """List all datasets."""
    with connect(url) as client:
        datasets = list(client.datasets.list())
    if json:
        print_json(datasets)
    else:
        view.print_table(stdout(), ("name", "kind", "rows", "columns", "target", "size"), map(_row, datasets))


@app.command()
def show(name: DatasetName, json: AsJson = False, url: Url = None) -> None:
    """Show a dataset, column by column."""
    with connect(url) as client:
        dataset = client.datasets.get(name)
    if json or dataset["kind"] == "builtin":
        print_json(dataset)
        return
    typer.echo(
        f"{dataset['name']}: {dataset['format']}, {dataset['rows']} rows, {_size(dataset['bytes'])}, "
        f"sha256 {dataset['sha256']}"
    )
    columns = ("column", "type", "shape", "missing", "distinct", "from", "to", "values")
    view.print_table(
        stdout(),
        columns,
        (
            (
                column["name"] + (" (target)" if column["name"] == dataset["target"] else ""),
                column["type"],
                "×".join(map(str, column["shape"])) if column["shape"] else "",
                str(column["missing"]),
                str(column["distinct"] or ""),
                _value(column["low"]),
                _value(column["high"]),
                ", ".join(map(view.value_text, column["categories"] or ())),
            )
            for column in dataset["columns"]
        ),
    )


@app.command()
def download(
    name: DatasetName,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A file or folder.", show_default="the working directory")
    ] = None,
    url: Url = None,
) -> None:
    """Download a dataset as it was uploaded and print the path of the file."""
    with connect(url) as client:
        typer.echo(client.datasets.download(name, output))


@app.command()
def delete(name: DatasetName, url: Url = None) -> None:
    """Delete a dataset that no unfinished study uses."""
    with connect(url) as client:
        client.datasets.delete(name)
    typer.echo(f"{name} is deleted", err=True)


def artifacts(
    name: Name,
    run: Annotated[int | None, typer.Option(min=0, help="Only those of this run.", show_default=False)] = None,
    kind: Annotated[Kind | None, typer.Option(help="Only those of this kind.", show_default=False)] = None,
    download: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Download them into this folder.", show_default=False)
    ] = None,
    json: AsJson = False,
    url: Url = None,
) -> None:
    """List the files that a study's runs left: checkpoints, logs, plots and others."""
    with connect(url) as client:
        found = list(client.studies.artifacts(name, run=run, kind=kind))
        if download is not None:
            for artifact in found:
                typer.echo(client.studies.download(name, artifact, _place(download, artifact)))
            return
    if json:
        print_json(found)
        return
    rows = (
        (one["id"], str(one["run"]), str(one["attempt"]), one["kind"], one["name"], _size(one["bytes"]))
        for one in found
    )
    view.print_table(stdout(), ("id", "run", "attempt", "kind", "name", "size"), rows)


def logs(
    name: Name,
    run: Run,
    tail: Annotated[int | None, typer.Option(min=1, help="Only so many lines, the last.", show_default=False)] = None,
    attempt: Annotated[int | None, typer.Option(min=1, help="Of this attempt.", show_default="the latest")] = None,
    url: Url = None,
) -> None:
    """Print what the command of a run wrote to its stdout and stderr."""
    with connect(url) as client:
        typer.echo(client.studies.log(name, run, tail=tail, attempt=attempt), nl=False)


def _place(folder: Path, artifact: Artifact) -> Path:
    """`<folder>/<run>-<attempt>/<name>`; nothing in a name leads elsewhere."""
    name = PurePath(artifact["name"].replace("\\", "/")).name
    place = folder / f"{artifact['run']}-{artifact['attempt']}"
    place.mkdir(parents=True, exist_ok=True)
    return place / (name if name not in ("", ".", "..") else artifact["id"])


def _row(dataset: Dataset) -> tuple[str, ...]:
    if dataset["kind"] == "builtin":
        return dataset["name"], "builtin", str(dataset["examples"]), "", "", ""
    return (
        dataset["name"],
        dataset["format"],
        str(dataset["rows"]),
        str(len(dataset["columns"])),
        dataset["target"] or "",
        _size(dataset["bytes"]),
    )


def _value(bound: float | str | None) -> str:
    return "" if bound is None else view.value_text(bound)


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
