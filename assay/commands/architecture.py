"""`assay architecture`, `assay trust`: what architecture search has found, and whether to believe it."""

from __future__ import annotations

from typing import Annotated

import typer

from assay import view
from assay.commands.common import AsJson, Name, Url, connect, print_json, stdout
from assay.wire import Correlation, TopHit


def architecture(
    name: Name,
    trial: Annotated[
        int | None, typer.Argument(min=0, metavar="[TRIAL]", help="A trial's number.", show_default="the best one's")
    ] = None,
    json: AsJson = False,
    url: Url = None,
) -> None:
    """Print the architecture of a trial: its genotype, and what leads where in its cells.

    Exit code 4 where the space has no architecture, or while no run has succeeded.
    """
    with connect(url) as client:
        found = client.studies.architecture(name, trial)
    if json:
        print_json(found)
        return
    typer.echo(f"trial {found['trial']}: {found['preset']}")
    typer.echo(found["genotype"])
    if found["objection"]:
        typer.echo(f"cannot be trained: {found['objection']}", err=True)
    rows = []
    for cell in found["drawing"]["cells"]:
        label = {node["id"]: node["label"] for node in cell["nodes"]}
        rows += [(cell["name"], label[edge["from"]], label[edge["to"]], edge["op"]) for edge in cell["edges"]]
    view.print_table(stdout(), ("cell", "from", "to", "operation"), rows)


def trust(name: Name, json: AsJson = False, url: Url = None) -> None:
    """Tell whether the ranking of a one-shot study agrees with the trainings of what it ranked.

    Exit code 4 where no supernet was begun.
    """
    with connect(url) as client:
        found = client.studies.trust(name)
    if json:
        print_json(found)
        return
    typer.echo(f"{found['verdict']}: {found['reason']}")
    for title, correlation in (("Kendall's tau", found["kendall"]), ("Spearman's rho", found["spearman"])):
        if correlation is not None:
            typer.echo(f"{title} {_written(correlation)}")
    if (hit := found["top_hit"]) is not None:
        chance = hit["top"] / len(found["pairs"])
        typer.echo(f"hits in the first tenth ({hit['top']}) {_written(hit)}; by chance {chance:.2f}")
    rows = (
        (str(pair["rank"]), view.number(pair["score"]), str(pair["trial"]), view.number(pair["value"]))
        for pair in sorted(found["pairs"], key=lambda pair: pair["rank"])
    )
    view.print_table(stdout(), ("rank", "score", "trial", found["metric"]), rows)


def _written(measure: Correlation | TopHit) -> str:
    return f"{measure['value']:.2f} (95 %: {measure['low']:.2f} to {measure['high']:.2f})"
